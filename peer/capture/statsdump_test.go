package capture

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// TestStatsDumpSkipsInvalidValue: a value that JSON cannot express costs its own line, and Close
// reports it.
func TestStatsDumpSkipsInvalidValue(t *testing.T) {
	var file bytes.Buffer
	d := NewStatsDump(&file, "test")
	c := d.NewConnection(ConnectionConfig{ICEServers: [][]string{{"stun:192.0.2.1"}}})
	c.WriteStats(map[string]any{"a": map[string]any{"jitter": math.NaN()}})
	c.WriteStats(map[string]any{"b": map[string]any{"jitter": 1}})
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "getStats") {
		t.Errorf("Close returns %v, want an error about getStats", err)
	}
	lines := strings.Split(strings.TrimSpace(file.String()), "\n")
	if len(lines) != 4 || !strings.Contains(lines[3], `"b":{"jitter":1}`) || !strings.Contains(lines[2], `"urls":["stun:192.0.2.1"]`) {
		t.Errorf("got\n%s", file.String())
	}
}

// TestStatsDumpOfVanishedObject: an object that is no longer in a report is null once.
func TestStatsDumpOfVanishedObject(t *testing.T) {
	var file bytes.Buffer
	c := NewStatsDump(&file, "test").NewConnection(ConnectionConfig{})
	c.WriteStats(map[string]any{"a": 1, "b": 1})
	c.WriteStats(map[string]any{"b": 2})
	c.WriteStats(map[string]any{"b": 3})
	lines := strings.Split(file.String(), "\n")
	if !strings.Contains(lines[4], `{"a":null,"b":2}`) || !strings.Contains(lines[5], `{"b":3}`) {
		t.Errorf("got\n%s", file.String())
	}
}

// TestOfferThatRestartsICE: another username fragment than before is an ICE restart.
func TestOfferThatRestartsICE(t *testing.T) {
	var file bytes.Buffer
	c := NewStatsDump(&file, "test").NewConnection(ConnectionConfig{})
	for _, ufrag := range []string{"one", "one", "two"} {
		c.WriteLocalDescription("offer", "v=0\r\na=ice-ufrag:"+ufrag+"\r\n")
	}
	var options []string
	for line := range strings.Lines(file.String()) {
		if rest, ok := strings.CutPrefix(line, `["createOffer","PC_1",`); ok {
			option, _, _ := strings.Cut(rest, ",")
			options = append(options, option)
		}
	}
	if got := strings.Join(options, " "); got != `null null {"iceRestart":true}` {
		t.Errorf("got options %s", got)
	}
}
