//go:build unix

package interop

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/docs"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/scenario"
)

// matrix is a run of all encounters, as testdata/results.json has it.
type matrix struct {
	Schema  string            `json:"schema"`
	Began   time.Time         `json:"began"`
	Seconds float64           `json:"seconds"`
	Cores   int               `json:"cores"`
	Peers   map[string]string `json:"peers"` // version by name
	Calls   []encounterResult `json:"calls"`
}

const matrixFile = "testdata/results.json"

func newMatrix(began time.Time, calls []encounterResult) *matrix {
	m := &matrix{Schema: "parley.interop/1", Began: began.UTC().Truncate(time.Second), Seconds: time.Since(began).Round(time.Second).Seconds(), Cores: runtime.NumCPU(), Peers: map[string]string{}, Calls: calls}
	for _, c := range calls {
		if v, ok := c.Saw["version"].(string); ok {
			m.Peers[c.Peer] = v
		}
	}
	return m
}

// write stores the run, and rewrites the table of the topic interop.
func (m *matrix) write() error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(matrixFile, append(data, '\n'), 0o666); err != nil {
		return err
	}
	return e2etest.RewriteTopic("interop", "make interop", m.table())
}

// table returns the run as the topic interop shows it.
func (m *matrix) table() string {
	var b strings.Builder
	b.WriteString("<!-- make interop -->\n| peer | |")
	for _, column := range interopColumns() {
		b.WriteString(" " + column[1] + " |")
	}
	b.WriteString("\n|---|---|" + strings.Repeat("---|", len(interopColumns())) + "\n")
	by := map[encounter]encounterResult{}
	for _, c := range m.Calls {
		by[c.encounter] = c
	}
	var notes []string
	for _, peer := range interopPeers() {
		for _, role := range []bool{false, true} {
			b.WriteString("| " + map[bool]string{false: peer + " " + m.Peers[peer], true: ""}[role] + " | " + map[bool]string{false: "answers", true: "offers"}[role] + " |")
			for _, column := range interopColumns() {
				b.WriteString(" " + sign(by[encounter{peer, role, column[0]}], &notes) + " |")
			}
			b.WriteString("\n")
		}
	}
	counts := (&scenario.Report{Results: m.results()}).Counts()
	fmt.Fprintf(&b, "\n%d calls passed, %d failed as expected (✗), %d failed, %d were not made (–), in %.0f s on %d cores, on %s.\n\n",
		counts[scenario.Pass], counts[scenario.ExpectedFail], counts[scenario.Fail]+counts[scenario.Error], counts[scenario.Skip], m.Seconds, m.Cores, m.Began.Format(time.DateOnly))
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	b.WriteString("<!-- /make interop -->\n")
	return b.String()
}

// results are the calls as a report has them.
func (m *matrix) results() (all []scenario.Result) {
	for _, c := range m.Calls {
		all = append(all, scenario.Result{Verdict: c.Verdict, Reason: c.Reason})
	}
	return all
}

// sign is how a call is shown; why it is no pass is one of the notes.
func sign(r encounterResult, notes *[]string) string {
	why := r.Reason
	if r.Verdict == scenario.ExpectedFail {
		why = knownLimit(r.encounter)
	}
	shown := map[scenario.Verdict]string{scenario.Pass: "✓", scenario.Skip: "–", scenario.ExpectedFail: "✗"}[r.Verdict]
	if shown == "" {
		shown = "**" + strings.ToUpper(string(r.Verdict)) + "**" // nothing, if it was not run
	}
	if why == "" {
		return shown
	}
	at := slices.Index(*notes, why)
	if at < 0 {
		at = len(*notes)
		*notes = append(*notes, why)
	}
	return fmt.Sprintf("%s <sup>%d</sup>", shown, at+1)
}

// TestInteropTopic checks that the table is that of the stored run, which has every call of the
// matrix once.
func TestInteropTopic(t *testing.T) {
	data, err := os.ReadFile(matrixFile)
	if err != nil {
		t.Fatal(err)
	}
	var m matrix
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	topic, _ := docs.Text("interop")
	if want := m.table(); !strings.Contains(topic, want) {
		t.Errorf("the topic interop has another table than\n%s", want)
	}
	ran := map[encounter]int{}
	for _, c := range m.Calls {
		ran[c.encounter]++
	}
	for _, c := range allEncounters() {
		if ran[c] != 1 {
			t.Errorf("%s is there %d times", c, ran[c])
		}
		delete(ran, c)
	}
	for c := range maps.Keys(ran) {
		t.Errorf("%s is no call of the matrix", c)
	}
}
