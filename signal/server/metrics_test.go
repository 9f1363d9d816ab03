package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"parley/signal/server"
	"parley/signal/signaltest"
)

// metricsOf returns the values of a server's metrics by name and labels, checked for conventional
// names.
func metricsOf(t *testing.T, server *server.Server) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(server)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint: %v, %v", problems, err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "signaling_") {
			t.Errorf("the metric %s has another prefix", family.GetName())
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			name := family.GetName()
			if len(labels) > 0 {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			values[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

// TestMetrics lets things happen and counts them.
func TestMetrics(t *testing.T) {
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
	eventually(t, "a round trip is measured, and the third is counted", func() bool {
		got = metricsOf(t, server)
		return got["signaling_ping_rtt_seconds"] > 0 && got["signaling_pending_connections"] > 0
	})
	for name, want := range map[string]float64{
		`signaling_connections`:                                               3,
		`signaling_pending_connections`:                                       1,
		`signaling_names`:                                                     2,
		`signaling_calls`:                                                     1,
		`signaling_ready`:                                                     1,
		`signaling_connections_total{result="accepted"}`:                      3,
		`signaling_connections_total{result="connections"}`:                   1,
		`signaling_logins_total{result="success"}`:                            2,
		`signaling_logins_total{result="taken"}`:                              1,
		`signaling_messages_received_total{dialect="call",type="login"}`:      3,
		`signaling_messages_received_total{dialect="call",type="offer"}`:      1,
		`signaling_messages_received_total{dialect="call",type="leave"}`:      1,
		`signaling_messages_forwarded_total{result="delivered",type="offer"}`: 1,
		`signaling_messages_forwarded_total{result="no_call",type="leave"}`:   1,
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
		return len(metricsOf(t, server))
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
	if after := names(); after != before {
		t.Errorf("%d metrics became %d", before, after)
	}
}
