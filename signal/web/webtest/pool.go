package webtest

import (
	"sync"
	"testing"
)

// Pool starts each kind of browser when the first test asks for it and keeps it
// for the tests after. The zero value is ready:
//
//	var browsers webtest.Pool
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(browsers.Around(m)) }
type Pool struct {
	mu      sync.Mutex // guards what follows; held while a browser starts
	running map[string]*running
}

// Chromium is the pool's Chromium with these options, for this test.
func (p *Pool) Chromium(t testing.TB, o *Options) *Browser {
	t.Helper()
	return p.get(t, "chromium", startChromium, o)
}

// Firefox is the pool's Firefox with these options, for this test.
func (p *Pool) Firefox(t testing.TB, o *Options) *Browser {
	t.Helper()
	return p.get(t, "firefox", startFirefox, o)
}

func (p *Pool) get(t testing.TB, name string, start func(Options) (*running, error), o *Options) *Browser {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	options := o.clone()
	key := name + options.key()
	r := p.running[key]
	if r == nil {
		var err error
		if r, err = start(options); err != nil {
			t.Fatal(err)
		}
		if p.running == nil {
			p.running = map[string]*running{}
		}
		p.running[key] = r
	}
	return &Browser{t: t, running: r}
}

// Close ends all browsers of the pool.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, r := range p.running {
		r.stop()
		delete(p.running, key)
	}
}

// Runner is what a *testing.M does.
type Runner interface{ Run() int }

// Around runs the tests and then closes the pool.
func (p *Pool) Around(m Runner) Runner { return around{p, m} }

type around struct {
	pool *Pool
	m    Runner
}

func (a around) Run() int {
	defer a.pool.Close()
	return a.m.Run()
}
