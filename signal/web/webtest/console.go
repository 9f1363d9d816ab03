package webtest

import (
	"slices"
	"sync"
)

const consoleLines = 500

// console collects what a page wrote and what went wrong in it.
type console struct {
	mu     sync.Mutex // guards what follows
	lines  []string
	errors []string
}

func (c *console) add(isError bool, line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lines) < consoleLines {
		c.lines = append(c.lines, line)
	}
	if isError && len(c.errors) < consoleLines {
		c.errors = append(c.errors, line)
	}
}

func (c *console) all() (lines, errors []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.lines), slices.Clone(c.errors)
}

// reportViolations makes a breach of the content security policy an error on
// the console of every browser: Firefox does not report it to BiDi.
const reportViolations = `document.addEventListener('securitypolicyviolation', e =>
	console.error('content security policy: ' + e.effectiveDirective + ' blocked ' + (e.blockedURI || e.sample)));`
