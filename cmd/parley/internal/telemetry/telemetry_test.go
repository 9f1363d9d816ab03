package telemetry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"parley/cmd/parley/docs"
	"parley/cmd/parley/internal/admin"
	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/event"
	"parley/peer"
	"parley/peer/stats"
	"parley/signal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stream returns the statistics of a call with one received and one sent video track.
func stream(packets, lost int) stats.Report {
	return stats.Report{
		{"id": "I1", "type": "inbound-rtp", "kind": "video", "packetsReceived": uint64(packets), "bytesReceived": uint64(packets * 100), "packetsLost": int64(lost), "jitter": 0.25,
			"retransmittedPacketsReceived": uint64(1), "nackCount": uint32(2), "pliCount": uint32(3), "framesReceived": uint64(4), "keyFramesReceived": uint64(5), "packetsDiscarded": uint64(6),
			"framesDropped": uint64(7), "framesPerSecond": 30.0, "freezeCount": uint64(8), "totalFreezesDuration": 1.5},
		{"id": "O1", "type": "outbound-rtp", "kind": "video", "packetsSent": uint64(packets), "bytesSent": uint64(packets * 100), "framesPerSecond": 15.0},
		{"id": "R1", "type": "remote-inbound-rtp", "kind": "video", "packetsLost": int64(lost), "jitter": 0.5},
		{"id": "D1", "type": "data-channel", "messagesReceived": uint64(1), "messagesSent": uint64(2), "bytesReceived": uint64(3), "bytesSent": uint64(4)},
		{"id": "T", "type": "transport", "selectedCandidatePairId": "P1"},
		{"id": "P1", "type": "candidate-pair", "currentRoundTripTime": 0.125, "availableOutgoingBitrate": 1000},
		{"id": "P2", "type": "candidate-pair", "currentRoundTripTime": 9.0},
	}
}

// quality is what is measured of the test source.
func quality() map[string]float64 {
	return map[string]float64{"video.psnr": 40, "video.latency": 20, "audio.latency": 10, "av-sync": 5, "video.freeze.max": 100, "audio.gap": 50,
		"video.frames.identified": 9, "video.frames.lost": 1, "video.frames.repeated": 2}
}

// happen has everything happen in a call that metrics and traces know, but its end.
func happen(c *call) {
	candidate := peer.CandidateFound{Type: "host", Protocol: "udp", Address: "192.0.2.1:9"}
	c.Deliver(signal.Message{Type: signal.Offer, SDP: "v=0\r\na=ice-ufrag:abcd\r\n"}, func(signal.Message) {})
	c.event(event.Event{Name: "call"})
	_ = c.Send(context.Background(), signal.Message{Type: signal.Answer, SDP: "v=0\r\na=ice-ufrag:efgh\r\n"}, nothingSent)
	for _, e := range []peer.Event{
		candidate, peer.GatheringComplete{}, peer.ICEStateChanged{State: webrtc.ICEConnectionStateChecking}, peer.ICEStateChanged{State: webrtc.ICEConnectionStateConnected},
		peer.PairSelected{Local: candidate, Remote: peer.CandidateFound{Type: "surprise", Protocol: "udp"}},
		peer.StateChanged{State: webrtc.PeerConnectionStateConnected, Since: 300 * time.Millisecond},
		peer.MessageReceived{Text: true, Data: []byte("secret")},
		peer.StateChanged{State: webrtc.PeerConnectionStateDisconnected},
		peer.AddressesChanged{Addresses: []string{"192.0.2.1"}},
		peer.StateChanged{State: webrtc.PeerConnectionStateConnected},
	} {
		c.peerEvent(e)
	}
	c.Deliver(signal.Message{Type: signal.Offer, SDP: "v=0\r\na=ice-ufrag:ijkl\r\n"}, func(signal.Message) {})
	c.event(event.Event{Name: "frame", Peer: "bob", Fields: event.Fields("kind", "video", "ms", int64(500))})
	c.event(event.Event{Name: "interruption", Peer: "bob", Fields: event.Fields("kind", "video", "cause", "outage", "ms", int64(1500))})
}

func hangUp(c *call) {
	c.event(event.Event{Name: "end", Peer: "bob", Fields: event.Fields("reason", "local-hangup", "seconds", 12.0)})
	c.end()
}

// gather returns the metrics of calls by name.
func gather(t *testing.T, m *metrics) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := admin.NewRegistry("v1", m).Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*dto.MetricFamily{}
	for _, f := range families {
		all[f.GetName()] = f
	}
	return all
}

// text returns the series of calls as lines, all or those of some metrics.
func text(t *testing.T, m *metrics, names ...string) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	w := httptest.NewRecorder()
	admin.MetricsHandler(registry).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	var lines strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		name := regexp.MustCompile(`^\w*`).FindString(line)
		if name != "" && (len(names) == 0 || slices.Contains(names, name)) {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// TestMonitoringTopic checks that the topic has exactly the metrics of calls that are exposed, with
// their types, labels and descriptions.
func TestMonitoringTopic(t *testing.T) {
	m := newMetrics()
	m.signaled(event.Event{Name: "signaling", Fields: event.Fields("state", "connected")})
	c := &call{metrics: m.newCall("in", func() stats.Report { return stream(10, 1) }, quality)}
	happen(c)
	c.metrics.rates[rateKey{"in", "video"}] = &rate{at: time.Now().Add(-time.Second)}
	table := "<!-- metrics -->\n| metric | type | labels | value |\n|---|---|---|---|\n"
	families := gather(t, m)
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if !strings.HasPrefix(name, "parley_") {
			continue
		}
		var labels []string
		for _, l := range families[name].GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		table += fmt.Sprintf("| `%s` | %s | %s | %s |\n", strings.TrimPrefix(name, "parley_"), strings.ToLower(families[name].GetType().String()), strings.Join(labels, ", "), families[name].GetHelp())
	}
	table += "<!-- /metrics -->\n"
	descs := make(chan *prometheus.Desc, 100)
	m.Describe(descs)
	close(descs)
	all := map[*prometheus.Desc]bool{}
	for d := range descs {
		all[d] = true
	}
	if shown := strings.Count(table, "\n| `"); shown != len(all)+1 { // and the version
		t.Errorf("%d metrics are exposed of %d", shown, len(all)+1)
	}
	if os.Getenv("PARLEY_DOCS") == "update" {
		if err := e2etest.RewriteTopic("monitoring", "metrics", table); err != nil {
			t.Fatal(err)
		}
		return
	}
	if topic, _ := docs.Text("monitoring"); !strings.Contains(topic, table) {
		t.Errorf("the topic monitoring has another table than the metrics; make docs writes it:\n%s", table)
	}
}

// TestConventions checks names and units by the conventions of Prometheus.
func TestConventions(t *testing.T) {
	m := newMetrics()
	c := &call{metrics: m.newCall("in", func() stats.Report { return stream(10, 1) }, quality)}
	happen(c)
	var families []*dto.MetricFamily
	for name, f := range gather(t, m) {
		if strings.HasPrefix(name, "parley_") {
			families = append(families, f)
		}
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("got %v, %v", problems, err)
	}
}

// TestCounters checks what is counted while statistics change, and after the end of the call.
func TestCounters(t *testing.T) {
	m := newMetrics()
	report := stream(10, 5)
	c := &call{metrics: m.newCall("out", func() stats.Report { return report }, func() map[string]float64 { return nil })}
	happen(c)
	packets := func(step string, want int, lost int) {
		t.Helper()
		got := text(t, m, "parley_call_packets_total", "parley_call_packets_lost_total")
		for _, line := range []string{
			fmt.Sprintf(`parley_call_packets_total{direction="in",kind="video"} %d`, want), fmt.Sprintf(`parley_call_packets_lost_total{direction="out",kind="video"} %d`, lost),
		} {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("%s: no %s in\n%s", step, line, got)
			}
		}
	}
	packets("begin", 10, 5)
	packets("nothing new", 10, 5)
	report = stream(25, 3) // late packets came
	packets("fewer lost", 25, 5)
	report = stream(30, 6)
	packets("more lost", 30, 6)
	report = report[1:]
	packets("a stream is gone", 30, 6)
	report = append(stream(30, 6), stats.Object{"id": "I2", "type": "inbound-rtp", "kind": "video", "packetsReceived": uint64(4)})
	packets("another stream", 34, 6)
	hangUp(c)
	c.end()
	report = stream(1000, 1000)
	packets("ended", 34, 6)
	got := text(t, m)
	for _, line := range []string{
		`parley_calls{direction="out",state="connected"} 0`, `parley_calls_ended_total{direction="out",reason="local-hangup"} 1`, `parley_calls_started_total{direction="out"} 1`,
		`parley_call_setup_seconds_sum{direction="out"} 0.3`, `parley_call_duration_seconds_sum{direction="out"} 12`, `parley_call_disconnections_total 1`, `parley_call_reconnections_total 1`,
		`parley_call_ice_restarts_total{side="remote"} 1`, `parley_call_ice_restarts_total{side="local"} 0`, `parley_call_interruption_seconds_total{cause="outage",kind="video"} 1.5`,
		`parley_call_pairs_selected_total{local="host",protocol="udp",remote="other"} 1`, `parley_call_first_frame_seconds_sum{kind="video"} 0.5`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no %s in\n%s", line, got)
		}
	}
	if strings.Contains(got, "surprise") || strings.Contains(got, "bob") || strings.Contains(got, "rtt") || strings.Contains(got, "call_paths") {
		t.Errorf("a value of the peer, or of an ended call:\n%s", got)
	}
}

// TestGaugesOfCalls checks the quantiles and sums over calls.
func TestGaugesOfCalls(t *testing.T) {
	m := newMetrics()
	for i := range 20 {
		c := &call{metrics: m.newCall("in", func() stats.Report {
			return stats.Report{{"id": "T", "type": "transport", "selectedCandidatePairId": "P1"},
				{"id": "P1", "type": "candidate-pair", "currentRoundTripTime": float64(i), "availableOutgoingBitrate": 100}}
		}, quality)}
		happen(c)
	}
	got := text(t, m, "parley_call_rtt_seconds", "parley_call_available_bytes_per_second", "parley_calls", "parley_call_paths")
	for _, line := range []string{
		`parley_call_rtt_seconds{statistic="min"} 0`, `parley_call_rtt_seconds{statistic="median"} 10`, `parley_call_rtt_seconds{statistic="p95"} 18`, `parley_call_rtt_seconds{statistic="max"} 19`,
		`parley_call_available_bytes_per_second 250`, `parley_calls{direction="in",state="connected"} 20`, `parley_call_paths{local="host",protocol="udp",remote="other"} 20`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no %s in\n%s", line, got)
		}
	}
}

// TestManyCalls checks that ended calls leave neither series nor memory, and that a peer with many
// streams adds no series.
func TestManyCalls(t *testing.T) {
	const calls = 100_000
	m := newMetrics()
	run := func(n int) {
		for i := range n {
			name := strconv.Itoa(i)
			c := &call{metrics: m.newCall("in", func() stats.Report {
				return stats.Report{{"id": "I", "type": "inbound-rtp", "kind": name, "packetsReceived": uint64(1)}}
			}, func() map[string]float64 { return nil })}
			c.event(event.Event{Name: "call"})
			c.peerEvent(peer.CandidateFound{Type: name, Protocol: "udp"})
			c.event(event.Event{Name: "end", Fields: event.Fields("reason", name)})
			c.end()
		}
	}
	memory := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	run(100)
	series, before := strings.Count(text(t, m), "\n"), memory()
	run(calls)
	if got := strings.Count(text(t, m), "\n"); got != series {
		t.Errorf("%d series, %d before", got, series)
	}
	if after := memory(); after > before+1<<20 {
		t.Errorf("%d bytes are used, %d before", after, before)
	}
	if got, want := text(t, m, "parley_call_packets_total"), `parley_call_packets_total{direction="in",kind="other"} 100100`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestStreamsOfACall checks that the memory of one call is bounded, whatever its peer sends.
func TestStreamsOfACall(t *testing.T) {
	m, i := newMetrics(), 0
	c := m.newCall("in", func() stats.Report {
		var r stats.Report
		for range 1000 {
			i++
			r = append(r, stats.Object{"id": fmt.Sprint("I", i), "type": "inbound-rtp", "kind": "audio", "mid": fmt.Sprint(i), "trackIdentifier": fmt.Sprint("track", i), "packetsReceived": uint64(1)})
		}
		return r
	}, func() map[string]float64 { return nil })
	c.begin()
	series := strings.Count(text(t, m), "\n")
	for range 20 {
		c.collect(values{})
	}
	if got := strings.Count(text(t, m), "\n"); got > series+1 { // the rate comes with the second scrape
		t.Errorf("%d series, %d before", got, series)
	}
	if len(c.counted) != maxCounted {
		t.Errorf("%d counters, want %d", len(c.counted), maxCounted)
	}
}

// TestMetricsAddress checks that metrics are served from Open until Close, that an address in use
// is one error, and that an address that others reach is warned of.
func TestMetricsAddress(t *testing.T) {
	open := func(address string) (*Telemetry, string, error) {
		var out, said bytes.Buffer
		report := event.NewReporter(event.Options{Out: &out, Err: &said, NDJSON: true})
		telemetry, err := Open(Options{Monitoring: config.Monitoring{Metrics: address}, Version: "v1", Report: report, Logger: slog.New(slog.DiscardHandler)})
		if err := report.Close(); err != nil {
			t.Fatal(err)
		}
		return telemetry, out.String() + said.String(), err
	}
	first, said, err := open("127.0.0.1:0")
	if err != nil || strings.Contains(said, "can be reached") {
		t.Fatalf("got %s, %v", said, err)
	}
	address := regexp.MustCompile(`127.0.0.1:\d+`).FindString(said)
	if _, _, err := open(address); err == nil || !strings.Contains(err.Error(), "--metrics takes another address") {
		t.Errorf("in use: got %v", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || !strings.Contains(string(body), "\nparley_calls{") {
		t.Errorf("got %s, %v", body, err)
	}
	idle, err := net.Dial("tcp", address) // sends no request
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	first.Close()
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("there are metrics after Close")
	}
	public, said, err := open("0.0.0.0:0")
	if err != nil || strings.Count(said, "can be reached from other machines") != 1 {
		t.Errorf("got %s, %v", said, err)
	}
	public.Close()
}
