//go:build !quick

package web_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tools is where npm installs what checks the modules of the pages: see make deps.
const tools = "testdata/js"

// npmTool returns what a program that npm has installed prints, and whether it succeeded.
func npmTool(t *testing.T, name string, args ...string) (string, bool) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(tools, "node_modules", ".bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is not installed: run make deps", name)
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		t.Fatalf("%s: %v", name, err)
	}
	return string(out), err == nil
}

// TestTypes checks the JSDoc types of all modules of the pages.
func TestTypes(t *testing.T) {
	if out, ok := npmTool(t, "tsc", "--pretty", "false", "-p", tools); !ok {
		t.Error(out)
	}
}

// TestLint checks the style and the length of all modules of the pages.
func TestLint(t *testing.T) {
	if out, ok := npmTool(t, "eslint", "--config", tools+"/eslint.config.js", "--max-warnings", "0", "page", tools); !ok {
		t.Error(out)
	}
}

// TestExemptions checks that only a module of others, which is kept as it is, exempts itself from
// the checks.
func TestExemptions(t *testing.T) {
	modules, err := filepath.Glob("page/*.js")
	if err != nil || len(modules) == 0 {
		t.Fatalf("there are no modules: %v", err)
	}
	exemption := regexp.MustCompile(`eslint-(disable|env)|@ts-(nocheck|ignore|expect-error)`)
	for _, module := range modules {
		text, err := os.ReadFile(module)
		if err != nil {
			t.Fatal(err)
		}
		if found := exemption.Find(text); found != nil && filepath.Base(module) != "uqr.js" {
			t.Errorf("%s contains %s", module, found)
		}
	}
}

// TestModules runs the tests of the modules that need no document.
func TestModules(t *testing.T) {
	tests, err := filepath.Glob(tools + "/*.test.js")
	if err != nil || len(tests) == 0 {
		t.Fatalf("there are no tests of modules: %v", err)
	}
	out, err := exec.Command("node", append([]string{"--test", "--test-reporter=tap"}, tests...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if passed := regexp.MustCompile(`(?m)^# pass ([1-9]\d*)$`); !passed.Match(out) || strings.Contains(string(out), "# SKIP") {
		t.Errorf("no test has passed, or one was skipped:\n%s", out)
	}
}
