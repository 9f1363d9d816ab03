package web_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// tools is where npm installs what checks the modules of the pages: see make deps.
const tools = "testdata/js"

// unchecked are the modules that have no types yet, or are too long.
func unchecked() []string {
	return strings.Fields("app.js call.js channel.js chat.js extension.js filecards.js files.js hello.js ice.js " +
		"media.js page.js phone.js sdp.js sha256.js signaling.js text.js verify.js")
}

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
	out, ok := npmTool(t, "tsc", "--pretty", "false", "-p", tools)
	if ok {
		return
	}
	wrong := regexp.MustCompile(`(?m)^(?:.*/)?([\w.]+\.js)\(\d+,\d+\): error .*$`)
	found := wrong.FindAllStringSubmatch(out, -1)
	if len(found) == 0 {
		t.Fatalf("tsc: %s", out)
	}
	for _, m := range found {
		if !slices.Contains(unchecked(), m[1]) {
			t.Error(m[0])
		}
	}
}

// TestLint checks the style and the length of all modules of the pages.
func TestLint(t *testing.T) {
	args := []string{"--config", tools + "/eslint.config.js", "--max-warnings", "0", "--no-error-on-unmatched-pattern", "page", tools}
	for _, name := range unchecked() {
		args = append(args, "--ignore-pattern", "page/"+name)
	}
	if out, ok := npmTool(t, "eslint", args...); !ok {
		t.Error(out)
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
