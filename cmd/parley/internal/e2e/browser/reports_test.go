//go:build bench

package browser

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/scenario"
)

// TestReports probes a Chromium tab of the page, a page like the original ones, and an echo, and
// writes the results into the topic interop.
func TestReports(t *testing.T) {
	page, server := e2etest.Serve(t, "--limits", "off")
	b := e2etest.Browsers().Chromium(t, nil)
	e2etest.Idle(b.Open(page + "/?as=tab&answer=1"))
	old := b.Open(e2etest.OriginalPages(t) + "/reload.html?page=video.html&as=page&server=" + server)
	old.Wait(`document.title === 'ready'`)
	e2etest.Start(t, "echo", "--server", server).Says(t, "waiting for calls")
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	verdicts := []scenario.Verdict{scenario.Pass, scenario.Fail, scenario.Error, scenario.ExpectedFail, scenario.Skip}
	var notes []string
	var table strings.Builder
	table.WriteString("<!-- make reports -->\n| peer | command | passed | failed | errors | expected to fail | skipped | seconds |\n|---|---|---:|---:|---:|---:|---:|---:|\n")
	for _, probed := range []struct{ peer, args string }{
		{"a Chromium tab of the page", "tab"}, {"a page like the original ones, in Chromium", "page --pause 3s"}, {"`parley echo`", "echo --peer-type echo"},
	} {
		cmd := exec.Command(path, append([]string{"probe", "--server", server, "-q", "--format", "json"}, strings.Fields(probed.args)...)...)
		out, probeErr := cmd.Output()
		var report struct {
			Seconds float64
			Counts  map[scenario.Verdict]int
			Results []struct {
				Name, Reason string
				Verdict      scenario.Verdict
			}
		}
		if err := json.Unmarshal(out, &report); err != nil {
			t.Fatalf("%s: %v\n%s", probed.peer, err, out)
		}
		if probeErr != nil {
			t.Errorf("%s: %v", probed.peer, probeErr)
		}
		fmt.Fprintf(&table, "| %s | `parley probe %s` |", probed.peer, probed.args)
		for _, v := range verdicts {
			fmt.Fprintf(&table, " %d |", report.Counts[v])
		}
		var others []string
		for _, r := range report.Results {
			if r.Verdict != scenario.Pass {
				others = append(others, r.Name)
			}
			if r.Verdict == scenario.Fail || r.Verdict == scenario.Error {
				t.Errorf("%s: %s: %s: %s", probed.peer, r.Verdict, r.Name, r.Reason)
			}
		}
		note := "not passed: " + strings.Join(others, ", ")
		if len(others) == 0 {
			note = "all passed"
		}
		if !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
		fmt.Fprintf(&table, " %.1f <sup>%d</sup> |\n", report.Seconds, slices.Index(notes, note)+1)
	}
	fmt.Fprintf(&table, "\nOn %s.\n\n", time.Now().Format(time.DateOnly))
	for i, note := range notes {
		fmt.Fprintf(&table, "%d. %s\n", i+1, note)
	}
	table.WriteString("<!-- /make reports -->\n")
	if t.Failed() {
		return
	}
	if err := e2etest.RewriteTopic("interop", "make reports", table.String()); err != nil {
		t.Fatal(err)
	}
}
