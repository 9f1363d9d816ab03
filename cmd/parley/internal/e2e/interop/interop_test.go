//go:build unix

package interop

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/scenario"
	"parley/signal/turnserver"
	"parley/signal/turnserver/coturntest"
)

// encounterPatience is how long a call has to show all that it is about.
const encounterPatience = 20 * time.Second

// laboratory is what the calls of a matrix share.
type laboratory struct {
	server, pages, turn string
	samples             map[string]string // file by codec
}

func newLaboratory(t *testing.T, all []encounter) *laboratory {
	t.Helper()
	_, server := e2etest.Serve(t, "--limits", "off")
	files := httptest.NewServer(http.FileServer(http.Dir("testdata")))
	t.Cleanup(files.Close)
	lab := &laboratory{server: server, pages: files.URL, samples: map[string]string{"VP8": "test"}}
	for _, c := range all {
		if v := c.video(); v != "" && lab.samples[v] == "" {
			lab.samples[v] = filepath.Join(t.TempDir(), map[string]string{"VP9": "vp9.webm", "AV1": "av1.webm", "H264": "h264.h264"}[v])
			if err := e2etest.MakeSample(lab.samples[v]); err != nil {
				t.Fatal(err)
			}
		}
		if c.What == "relay" && lab.turn == "" {
			lab.turn = coturntest.Start(t, "north").Address.String()
		}
	}
	return lab
}

// encounterResult is how a call went.
type encounterResult struct {
	encounter
	Verdict scenario.Verdict `json:"verdict"`
	Reason  string           `json:"reason,omitempty"`
	Seconds float64          `json:"seconds"`
	Saw     map[string]any   `json:"saw,omitempty"` // what the peer reports
}

// call makes a call and checks what both peers report of it.
func (lab *laboratory) call(t *testing.T, c encounter) encounterResult {
	began := time.Now()
	r := encounterResult{encounter: c}
	var err error
	r.Saw, err = lab.meet(t, c)
	r.Verdict, r.Reason = judgeEncounter(c, err)
	r.Seconds = float64(time.Since(began).Milliseconds()) / 1000
	return r
}

// unable is an error of a peer that has not got what is asked for.
type unable struct{ why string }

func (u *unable) Error() string { return u.why }

func judgeEncounter(c encounter, err error) (scenario.Verdict, string) {
	var lacks *unable
	if errors.As(err, &lacks) {
		return scenario.Skip, lacks.why
	}
	known := knownLimit(c)
	if err == nil && eitherWay(c) {
		known = ""
	}
	return scenario.Judge(scenario.Scenario{ExpectedFailure: known}, err)
}

// meet has the two call each other.
func (lab *laboratory) meet(t *testing.T, c encounter) (map[string]any, error) {
	k := c.calling(lab.server, lab.turn)
	var other stranger
	if !c.Offers {
		other = k.begin(t, c.Peer, lab.pages)
		if saw, err := bothSee(other, c, func(saw map[string]any) string { return missingUnless(saw["ready"] == true, "a login") }, nil); err != nil {
			return saw, err
		}
	}
	args := []string{"answer", "--once"}
	if !c.Offers {
		args = []string{"call", k.Name}
	}
	ours := e2etest.Start(t, append(args, lab.flags(c, k)...)...)
	if c.Offers {
		if err := ours.Until(`"event":"login"`); err != nil {
			return nil, err
		}
		other = k.begin(t, c.Peer, lab.pages)
	}
	saw, err := bothSee(other, c, c.unseen, ours)
	if err == nil && c.What == "restart" {
		saw, err = restart(other, c, ours)
	}
	_ = ours.Cmd.Process.Signal(os.Interrupt)
	if _, hung := ours.Wait(); hung != nil {
		return saw, hung
	}
	return saw, err
}

// restart has our side look for a new path, and say something by it.
func restart(other stranger, c encounter, ours *e2etest.Process) (map[string]any, error) {
	if err := tellEach(ours, `{"id":1,"command":"restart-ice"}`); err != nil {
		return nil, err
	}
	if _, err := bothSee(other, c, func(map[string]any) string {
		return restarted(eventsOf(ours))
	}, ours); err != nil {
		return nil, err
	}
	if err := tellEach(ours, `{"id":2,"command":"say","text":"after the restart"}`); err != nil {
		return nil, err
	}
	return bothSee(other, c, func(saw map[string]any) string {
		if c.Peer == "janus" {
			return missingUnless(strings.Contains(ours.Out.Complete(), "You wrote: after the restart"), "our text after the restart")
		}
		return missingUnless(saw["text"] == "after the restart", "our text after the restart")
	}, ours)
}

// restarted says what of a restart has not come about yet: the answer, and a connection anew.
func restarted(events []e2etest.Event) string {
	connected, answered := 0, false
	for _, e := range events {
		if e.Has([]string{"event=state", "connection=connected"}) {
			connected++
		}
		answered = answered || e.Has([]string{"event=reply", "id=1", "ok=true"})
	}
	switch {
	case !answered:
		return "an answer to an offer that restarts ICE"
	case connected < 2:
		return "a connection after the restart"
	}
	return ""
}

// eventsOf are the events so far; what is no event is reported by unheld.
func eventsOf(p *e2etest.Process) []e2etest.Event {
	events, _ := e2etest.ReadEvents(p.Out.Complete())
	return events
}

func tellEach(p *e2etest.Process, line string) error {
	_, err := io.WriteString(p.In, line+"\n")
	return err
}

// flags are those of our side.
func (lab *laboratory) flags(c encounter, k calling) []string {
	args := []string{"--server", lab.server, "--as", k.Partner, "--dialect", k.Dialect, "--output", "ndjson", "--linger", "5m", "--timeout", "5m", "--stats-interval", "0"}
	if c.audio() {
		args = append(args, "--audio", fmt.Sprintf("tone:%d", ourTone))
	}
	if v := c.video(); v != "" {
		args = append(args, "--video", lab.samples[v], "--video-codec", v, "--loop")
	}
	if c.data() {
		args = append(args, "--say", ourText)
	}
	if c.What == "restart" {
		args = append(args, "--input", "ndjson")
	}
	if c.What == "relay" {
		user, password := turnserver.Credentials{Secret: "north"}.Make("parley")
		args = append(args, "--ice-policy", "relay", "--ice-server", "turn:"+lab.turn+","+user+","+password)
	}
	for _, e := range c.expectations() {
		args = append(args, "--expect", e)
	}
	return args
}

// bothSee waits until nothing is missing at either side; ours may be nil.
func bothSee(other stranger, c encounter, missing func(map[string]any) string, ours *e2etest.Process) (map[string]any, error) {
	deadline := time.Now().Add(encounterPatience)
	for {
		saw, err := other.saw()
		if err != nil {
			return nil, err
		}
		if why, ok := saw["cannot"].(string); ok {
			return nil, &unable{why}
		}
		if why, ok := saw["error"].(string); ok {
			return saw, fmt.Errorf("%s says: %s", c.Peer, why)
		}
		theirs, ourOwn := missing(saw), ""
		if ours != nil {
			ourOwn = c.unheld(ours)
		}
		switch {
		case theirs == "" && ourOwn == "":
			return saw, nil
		case time.Now().After(deadline) || ours != nil && hasEnded(ours):
			return saw, oneSided(c.Peer, theirs, ourOwn)
		}
		time.Sleep(50 * time.Millisecond) // a tab does not report when there is more
	}
}

// unheld are the expectations of our side that do not hold yet.
func (c encounter) unheld(ours *e2etest.Process) string {
	events, err := e2etest.ReadEvents(ours.Out.Complete())
	if err != nil {
		return err.Error()
	}
	held, relayed := map[string]bool{}, c.What != "relay"
	for _, e := range events {
		if e["event"] == "expect" && e["held"] == true {
			held[fmt.Sprint(e["check"])] = true
		}
		relayed = relayed || e["event"] == "pair" && e["relayed"] == true
	}
	var missing []string
	for _, e := range c.expectations() {
		if !held[e] {
			missing = append(missing, e)
		}
	}
	if !relayed {
		missing = append(missing, "a pair that is relayed")
	}
	return strings.Join(missing, ", ")
}

func hasEnded(p *e2etest.Process) bool {
	select {
	case <-p.Exited:
		return true
	default:
		return false
	}
}

// oneSided says what who did not see.
func oneSided(peer, theirs, ours string) error {
	var missing []string
	if theirs != "" {
		missing = append(missing, peer+" did not see "+theirs)
	}
	if ours != "" {
		missing = append(missing, "parley did not see "+ours)
	}
	return errors.New(strings.Join(missing, "; "))
}

func missingUnless(ok bool, what string) string {
	if ok {
		return ""
	}
	return what
}

// TestInterop calls with the peers of others: with PARLEY_INTEROP=all with all of them, and keeps
// the results; with a part of the name of a call, with those; without, with those that every run of
// the tests has.
func TestInterop(t *testing.T) {
	only := os.Getenv("PARLEY_INTEROP")
	encounters := encountersOf(only)
	lab, began := newLaboratory(t, encounters), time.Now()
	var calls []encounterResult
	for _, c := range encounters {
		t.Run(c.String(), func(t *testing.T) {
			r := lab.call(t, c)
			calls = append(calls, r)
			t.Logf("%s %s (%.1f s) %v", r.Verdict, r.Reason, r.Seconds, r.Saw)
			if r.Verdict == scenario.Fail || r.Verdict == scenario.Error {
				t.Error(r.Reason)
			}
		})
	}
	if only == "all" {
		if err := newMatrix(began, calls).write(); err != nil {
			t.Error(err)
		}
	}
}

// TestBothEndsReport: a call passes only if both peers report what it is about.
func TestBothEndsReport(t *testing.T) {
	whole := map[string]any{"connected": true, "text": ourText, "tone": 601.0, "frames": 12.0, "size": "320x240", "audio_packets": 10.0, "video_packets": 10.0}
	for _, c := range []encounter{{"aiortc", false, "all"}, {"gstreamer", true, "all"}, {"werift", false, "all"}} {
		if missing := c.unseen(whole); missing != "" {
			t.Errorf("%s: %s is missing", c, missing)
		}
		lacking := map[string]any{"connected": false, "text": "another", "tone": 440.0, "frames": 9.0, "size": "64x48"}
		if c.reflects() {
			lacking = map[string]any{"connected": false, "text": nil, "audio_packets": 9.0, "video_packets": nil}
		}
		for key, value := range lacking {
			saw := maps.Clone(whole)
			if saw[key] = value; c.unseen(saw) == "" {
				t.Errorf("%s passes with %s %v", c, key, value)
			}
		}
	}
	if err := oneSided("werift", "", "audio.tone=600"); err.Error() != "parley did not see audio.tone=600" {
		t.Error(err)
	}
}
