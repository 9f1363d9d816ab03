//go:build bench

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// reportsForm finds the reports in README.
var reportsForm = regexp.MustCompile(`(?s)<!-- make reports -->\n.*?<!-- /make reports -->\n`)

// TestReports probes a Chromium tab of our page, a page as the originals are, and an echo, and writes the reports into README.
func TestReports(t *testing.T) {
	page, server := serving(t, "--limits", "off")
	files := httptest.NewServer(http.FileServer(http.Dir("../../signal/web/testdata")))
	defer files.Close()
	b := browsers().Chromium(t, nil)
	idle(b.Open(page + "/?as=tab&answer=1"))
	old := b.Open(files.URL + "/reload.html?page=video.html&as=page&server=" + server)
	old.Wait(`document.title === 'ready'`)
	runningHere(t, "echo", "--server", server)
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, of := range []struct{ what, args string }{
		{"a Chromium tab of our page", "tab"}, {"a page as the originals are, in Chromium", "page --pause 3s"}, {"parley echo", "echo --level echo"},
	} {
		cmd := exec.Command(path, append([]string{"probe", "--server", server, "-q"}, strings.Fields(of.args)...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", of.what, err, out)
		}
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		fmt.Fprintf(&text, "<details><summary>%s: %s</summary>\n\n```text\n$ parley probe %s\n%s\n```\n\n</details>\n\n", of.what, lines[len(lines)-1], of.args, strings.Join(lines, "\n"))
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil || !reportsForm.Match(readme) {
		t.Fatalf("README.md has no place for the reports, <!-- make reports -->: %v", err)
	}
	whole := "<!-- make reports -->\n" + text.String() + "<!-- /make reports -->\n"
	if err := os.WriteFile("../../README.md", reportsForm.ReplaceAllLiteral(readme, []byte(whole)), 0o666); err != nil {
		t.Fatal(err)
	}
}
