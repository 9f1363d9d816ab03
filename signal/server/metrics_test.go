package server_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/server"
	"parley/signal/signaltest"
)

// metricsOf parses the text format strictly, and returns the values by name and labels.
func metricsOf(t *testing.T, server *server.Server) map[string]float64 {
	t.Helper()
	var b strings.Builder
	if err := server.WriteMetrics(&b); err != nil {
		t.Fatal(err)
	}
	sample := regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*\})? (\S+)$`)
	head := regexp.MustCompile(`^# (HELP|TYPE) ([a-z_]+) \S.*$`)
	values, typed := map[string]float64{}, map[string]bool{}
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSuffix(line, "\n")
		if m := head.FindStringSubmatch(line); m != nil {
			typed[m[2]] = true
			continue
		}
		m := sample.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no line of the format: %q", line)
		}
		name := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		if !strings.HasPrefix(name, "signal_") || !typed[name] {
			t.Errorf("%s has no type", name)
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if _, twice := values[m[1]+m[2]]; err != nil || twice {
			t.Errorf("twice, or no number: %q", line)
		}
		values[m[1]+m[2]] = value
	}
	return values
}

// TestMetrics lets things happen and counts them.
func TestMetrics(t *testing.T) {
	var b strings.Builder
	if err := server.New(&server.Options{Version: `1"2\`}).WriteMetrics(&b); err != nil || !strings.Contains(b.String(), `version="1\"2\\"`) {
		t.Errorf("the version is not quoted: %v", err)
	}
	server, url := signaltest.StartServer(t, &server.Options{PingInterval: 25 * time.Millisecond, Limits: server.Limits{Connections: 3}})
	alice, bob := readInBackground(dialRaw(t, url)), dialRaw(t, url)
	defer alice.Close()
	defer bob.Close()
	ask(t, alice, map[string]any{"type": "login", "name": "alice"}, map[string]any{"type": "login", "success": true})
	ask(t, bob, map[string]any{"type": "login", "name": "alice"},
		map[string]any{"type": "login", "success": false, "code": "taken", "message": "alice is signed in already"})
	ask(t, bob, map[string]any{"type": "login", "name": "bob"}, map[string]any{"type": "login", "success": true})
	if err := alice.WriteJSON(map[string]any{"type": "offer", "offer": map[string]any{"type": "offer", "sdp": "v=0"}, "name": "bob"}); err != nil {
		t.Fatal(err)
	}
	hears(t, bob, "offer")
	barrier(t, alice)
	pending := dialRaw(t, url)
	defer pending.Close()
	if _, _, err := websocket.DefaultDialer.Dial(url, nil); err == nil {
		t.Fatal("the fourth was let in")
	}
	var got map[string]float64
	eventually(t, "a round trip is measured", func() bool {
		got = metricsOf(t, server)
		return got["signal_ping_rtt_seconds_count"] > 0
	})
	for name, want := range map[string]float64{
		`signal_connections`:         3,
		`signal_connections_pending`: 1,
		`signal_names`:               2,
		`signal_calls`:               1,
		`signal_ready`:               1,
		`signal_connections_total{result="accepted"}`:                 3,
		`signal_connections_total{result="connections"}`:              1,
		`signal_logins_total{result="success"}`:                       2,
		`signal_logins_total{result="taken"}`:                         1,
		`signal_messages_received_total{dialect="call",type="login"}`: 3,
		`signal_messages_received_total{dialect="call",type="offer"}`: 1,
		`signal_messages_received_total{dialect="call",type="leave"}`: 1,
		`signal_relays_total{type="offer",result="delivered"}`:        1,
		`signal_relays_total{type="leave",result="no_call"}`:          1,
		`signal_build_info{version="unknown"}`:                        1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

// TestMetricsAreBounded sends what a client can make up; no label comes of it.
func TestMetricsAreBounded(t *testing.T) {
	server, url := signaltest.StartServer(t, &server.Options{Limits: server.NoLimits()})
	names := func() int {
		n := 0
		for name := range metricsOf(t, server) {
			if !strings.HasPrefix(name, "signal_relays_total") {
				n++
			}
		}
		return n
	}
	before := names()
	for i := range 50 {
		ws := dialRaw(t, url)
		ask(t, ws, map[string]any{"type": fmt.Sprint("t", i)},
			map[string]any{"type": "error", "code": "unknown_type", "message": fmt.Sprint("Command not found: t", i)})
		bye := websocket.FormatCloseMessage(4000+i, "x")
		if err := ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if err := closedWith(ws, 4000+i); err != nil {
			t.Error(err)
		}
		_ = ws.Close()
	}
	if after := names(); after > before+1 { // close codes that are not the server's own count as one
		t.Errorf("%d lines became %d", before, after)
	}
}
