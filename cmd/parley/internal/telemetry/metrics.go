package telemetry

import (
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/prometheus/client_golang/prometheus"

	"parley/cmd/parley/internal/event"
	"parley/peer"
	"parley/peer/stats"
)

// metrics are the metrics of the calls of a process, as a prometheus.Collector. Calls are measured
// when they are collected. No peer can add a series, because every label has a fixed set of values.
type metrics struct {
	collectors []prometheus.Collector
	counters   []memberCounter
	gauges     []memberGauge
	quality    []qualityGauge

	signalingUp                                               *prometheus.Desc
	states, paths, rates, available                           *prometheus.Desc
	started, ended, disconnected, reconnected, restarts       *prometheus.CounterVec
	candidates, pairs, interruptions, interrupted, identified *prometheus.CounterVec
	logins, losses                                            *prometheus.CounterVec
	setup, duration, firstFrame                               *prometheus.HistogramVec

	mu        sync.Mutex // guards the following
	calls     map[*callMetrics]bool
	signaling *bool // connected; nil before it is known
}

// memberCounter counts a member of statistics objects.
type memberCounter struct {
	vector         *prometheus.CounterVec
	object, member string
	direction      string
	kinds          bool // the objects have a kind, and are counted by it
	mayFall        bool // a value that falls goes on from its maximum
}

// memberGauge shows the statistics of a member over all calls.
type memberGauge struct {
	desc           *prometheus.Desc
	object, member string
	labels         []string // values of the labels before the statistic; "kind" stands for that of the object
	counter        string   // member of objects for which a member that is missing is 0, "" for none
}

// qualityGauge shows the statistics of a measurement of the test source over all calls.
type qualityGauge struct {
	desc   *prometheus.Desc
	key    string
	scale  float64
	labels []string // values of the labels before the statistic
}

// callStates are the values of the label state.
func callStates() []string {
	return []string{"new", "connecting", "connected", "disconnected", "failed"}
}

// statistics are the values of the label statistic, with the quantiles over all calls that they
// stand for.
func statistics() map[string]float64 {
	return map[string]float64{"min": 0, "median": 0.5, "p95": 0.95, "max": 1}
}

func newMetrics() *metrics {
	m := &metrics{calls: map[*callMetrics]bool{}}
	const namespace = "parley"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
		m.collectors = append(m.collectors, v)
		return v
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
		m.collectors = append(m.collectors, v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
	}
	delays := []float64{0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30}
	m.signalingUp = gauge("signaling_connected", "1 while the signaling server is reached, 0 while it is lost.")
	m.logins = counter("signaling_logins_total", "Logins, by result.", "result")
	m.losses = counter("signaling_disconnections_total", "Losses of the signaling server.")
	m.states = gauge("calls", "Open calls, by state.", "direction", "state")
	m.paths = gauge("call_paths", "Connected calls, by the types of the candidates in use.", "local", "remote", "protocol")
	m.started = counter("calls_started_total", "Calls that have begun.", "direction")
	m.ended = counter("calls_ended_total", "Calls that have ended, by reason.", "direction", "reason")
	m.setup = histogram("call_setup_seconds", "Time from the first offer to the connection.", delays, "direction")
	m.firstFrame = histogram("call_first_frame_seconds", "Time from the start of the call to the first received frame.", delays, "kind")
	m.duration = histogram("call_duration_seconds", "Time from the connection to the end.", []float64{1, 5, 15, 60, 300, 900, 3600, 14400}, "direction")
	m.disconnected = counter("call_disconnections_total", "Connections on which nothing came any more.")
	m.reconnected = counter("call_reconnections_total", "Connections that were restored.")
	m.restarts = counter("call_ice_restarts_total", "ICE restarts, by the side that offered.", "side")
	m.candidates = counter("call_candidates_total", "ICE candidates, gathered and received.", "side", "type")
	m.pairs = counter("call_pairs_selected_total", "Selections of a candidate pair.", "local", "remote", "protocol")
	m.interruptions = counter("call_interruptions_total", "Gaps in received media, by cause.", "kind", "cause")
	m.interrupted = counter("call_interruption_seconds_total", "Duration of the gaps in received media.", "kind", "cause")
	m.rates = gauge("call_media_bytes_per_second", "Rate of RTP payloads since the last scrape, of all calls.", "direction", "kind")
	m.available = gauge("call_available_bytes_per_second", "Estimated bandwidth for sending, of all calls.")
	m.addCounters(counter)
	m.addGauges(gauge)
	m.identified = counter("call_test_frames_total", "Frames of the test source, by result.", "result")
	for _, v := range []*prometheus.CounterVec{m.disconnected, m.reconnected, m.losses} {
		v.WithLabelValues()
	}
	for _, direction := range []string{"in", "out"} {
		m.started.WithLabelValues(direction)
		m.setup.WithLabelValues(direction)
		m.duration.WithLabelValues(direction)
		for _, reason := range []string{"local-hangup", "remote-hangup", "timeout", "failed", "error"} {
			m.ended.WithLabelValues(direction, reason)
		}
	}
	for _, kind := range []string{"audio", "video"} {
		m.firstFrame.WithLabelValues(kind)
		for _, cause := range []string{"outage", "switch", "silence"} {
			m.interruptions.WithLabelValues(kind, cause)
			m.interrupted.WithLabelValues(kind, cause)
		}
	}
	for _, side := range sides() {
		m.restarts.WithLabelValues(side)
	}
	for _, result := range []string{"success", "failure"} {
		m.logins.WithLabelValues(result)
	}
	return m
}

// addCounters adds the counters of members of statistics.
func (m *metrics) addCounters(counter func(name, help string, labels ...string) *prometheus.CounterVec) {
	both := func(name, help, in, out string) {
		v := counter(name, help, "direction", "kind")
		m.counters = append(m.counters, memberCounter{v, "inbound-rtp", in, "in", true, false}, memberCounter{v, "outbound-rtp", out, "out", true, false})
	}
	received := func(name, help, member string) {
		m.counters = append(m.counters, memberCounter{counter(name, help, "kind"), "inbound-rtp", member, "", true, false})
	}
	both("call_packets_total", "RTP packets, with retransmissions.", "packetsReceived", "packetsSent")
	both("call_bytes_total", "Bytes of RTP payloads.", "bytesReceived", "bytesSent")
	lost := counter("call_packets_lost_total", "Lost RTP packets; those that were sent by reports of the peer.", "direction", "kind")
	m.counters = append(m.counters, memberCounter{lost, "inbound-rtp", "packetsLost", "in", true, true}, memberCounter{lost, "remote-inbound-rtp", "packetsLost", "out", true, true})
	both("call_packets_retransmitted_total", "Retransmitted RTP packets.", "retransmittedPacketsReceived", "retransmittedPacketsSent")
	both("call_nacks_total", "Requests to retransmit packets of a stream.", "nackCount", "nackCount")
	both("call_plis_total", "Requests for a key frame of a stream.", "pliCount", "pliCount")
	both("call_frames_total", "Video frames.", "framesReceived", "framesSent")
	both("call_key_frames_total", "Key frames.", "keyFramesReceived", "keyFramesSent")
	received("call_packets_discarded_total", "Packets that came too late.", "packetsDiscarded")
	received("call_frames_dropped_total", "Received frames that lacked packets.", "framesDropped")
	received("call_freezes_total", "Freezes of video that is decoded.", "freezeCount")
	received("call_freeze_seconds_total", "Duration of the freezes.", "totalFreezesDuration")
	for _, data := range []struct{ name, help, in, out string }{
		{"call_messages_total", "Messages of data channels.", "messagesReceived", "messagesSent"},
		{"call_message_bytes_total", "Bytes of messages of data channels.", "bytesReceived", "bytesSent"},
	} {
		v := counter(data.name, data.help, "direction")
		m.counters = append(m.counters, memberCounter{v, "data-channel", data.in, "in", false, false}, memberCounter{v, "data-channel", data.out, "out", false, false})
	}
}

// addGauges adds the gauges of members of statistics, and of the test source.
func (m *metrics) addGauges(gauge func(name, help string, labels ...string) *prometheus.Desc) {
	m.gauges = append(m.gauges, memberGauge{gauge("call_rtt_seconds", "Round-trip time of the path by STUN, over all calls.", "statistic"), selectedPair, "currentRoundTripTime", nil, ""})
	jitter := gauge("call_jitter_seconds", "Jitter of RTP packets, over all calls.", "direction", "kind", "statistic")
	m.gauges = append(m.gauges, memberGauge{jitter, "inbound-rtp", "jitter", []string{"in", "kind"}, ""}, memberGauge{jitter, "remote-inbound-rtp", "jitter", []string{"out", "kind"}, ""})
	rate := gauge("call_frame_rate", "Video frames per second, over all calls; 0 while none come.", "direction", "statistic")
	m.gauges = append(m.gauges, memberGauge{rate, "inbound-rtp", "framesPerSecond", []string{"in"}, "framesReceived"}, memberGauge{rate, "outbound-rtp", "framesPerSecond", []string{"out"}, "framesSent"})
	latency := gauge("call_test_latency_seconds", "Median time from the test source and back, over all calls.", "kind", "statistic")
	m.quality = []qualityGauge{
		{gauge("call_test_psnr_decibels", "PSNR of received video of the test source, over all calls.", "statistic"), "video.psnr", 1, nil},
		{latency, "video.latency", 1e-3, []string{"video"}}, {latency, "audio.latency", 1e-3, []string{"audio"}},
		{gauge("call_test_av_sync_seconds", "How much later video of the test source comes than its audio.", "statistic"), "av-sync", 1e-3, nil},
		{gauge("call_test_freeze_seconds", "Longest time without a new frame of the test source.", "statistic"), "video.freeze.max", 1e-3, nil},
		{gauge("call_test_audio_gap_seconds", "Longest time without audio of the test source.", "statistic"), "audio.gap", 1e-3, nil},
	}
}

// signaled counts an event of the signaling server.
func (m *metrics) signaled(e event.Event) {
	if e.Name == "login" {
		result := "failure"
		if flag(e, "success") {
			result = "success"
		}
		m.logins.WithLabelValues(result).Inc()
		return
	}
	state := e.Text("state")
	if state == "lost" {
		m.losses.WithLabelValues().Inc()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.signaling = new(state == "connected")
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(descs chan<- *prometheus.Desc) {
	for _, c := range m.collectors {
		c.Describe(descs)
	}
	for _, d := range []*prometheus.Desc{m.signalingUp, m.states, m.paths, m.rates, m.available} {
		descs <- d
	}
	for _, g := range m.gauges {
		descs <- g.desc
	}
	for _, g := range m.quality {
		descs <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	m.mu.Lock()
	calls := slices.Collect(maps.Keys(m.calls))
	signaling := m.signaling
	m.mu.Unlock()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	if signaling != nil {
		up := 0.0
		if *signaling {
			up = 1
		}
		gauge(m.signalingUp, up)
	}
	states, paths := map[[2]string]float64{}, map[[3]string]float64{}
	values := values{}
	for _, c := range calls {
		state, path := c.present()
		states[[...]string{c.direction, state}]++
		if state == "connected" && path != [3]string{} {
			paths[path]++
		}
		c.collect(values)
	}
	for _, direction := range []string{"in", "out"} {
		for _, state := range callStates() {
			gauge(m.states, states[[...]string{direction, state}], direction, state)
		}
	}
	for path, n := range paths {
		gauge(m.paths, n, path[:]...)
	}
	for key, all := range values {
		labels := slices.DeleteFunc(slices.Clone(key.labels[:]), func(l string) bool { return l == "" })
		if key.desc == m.rates || key.desc == m.available {
			gauge(key.desc, sum(all), labels...)
			continue
		}
		slices.Sort(all)
		for name, quantile := range statistics() {
			gauge(key.desc, all[int(math.Round(quantile*float64(len(all)-1)))], append(slices.Clip(labels), name)...)
		}
	}
	for _, c := range m.collectors { // after the calls were measured
		c.Collect(out)
	}
}

// values are values of gauges, one for each stream or call.
type values map[valueKey][]float64

type valueKey struct {
	desc   *prometheus.Desc
	labels [2]string // "" for none
}

func (v values) add(desc *prometheus.Desc, value float64, labels ...string) {
	key := valueKey{desc: desc}
	copy(key.labels[:], labels)
	v[key] = append(v[key], value)
}

func sum(all []float64) (total float64) {
	for _, v := range all {
		total += v
	}
	return total
}

// callMetrics are the metrics of one call.
type callMetrics struct {
	all       *metrics
	direction string
	report    func() stats.Report       // may be called once the call has begun
	quality   func() map[string]float64 // likewise

	mu        sync.Mutex // guards the following
	begun     bool
	connected bool // it has been
	state     string
	path      [3]string // types of the local and the remote candidate, and protocol; empty for none

	measuring sync.Mutex           // guards the following
	over      bool                 // it is measured no more
	counted   map[countKey]float64 // values up to now
	rates     map[rateKey]*rate
}

type (
	// countKey is a counter of a call, with the id of the object.
	countKey struct {
		counter int
		id      string
	}
	rateKey struct{ direction, kind string }
	// rate is a byte rate between two measurements.
	rate struct {
		at            time.Time
		bytes, before float64 // bytes now, and at that time
		value         float64 // bytes/s, negative before it is known
	}
)

// maxCounted bounds the counters of one call: a peer may add streams and channels as long as it
// lasts.
const maxCounted = 16384

// leastInterval is the time over which rates are measured at least.
const leastInterval = 500 * time.Millisecond

func (m *metrics) newCall(direction string, report func() stats.Report, quality func() map[string]float64) *callMetrics {
	return &callMetrics{all: m, direction: direction, report: report, quality: quality, state: "new", counted: map[countKey]float64{}, rates: map[rateKey]*rate{}}
}

// present returns the state and the path of the call.
func (c *callMetrics) present() (state string, path [3]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.path
}

func (c *callMetrics) peerEvent(e peer.Event) {
	switch e := e.(type) {
	case peer.StateChanged:
		c.stateChanged(e)
	case peer.CandidateFound:
		side := sides()[local]
		if e.Remote {
			side = sides()[remote]
		}
		c.all.candidates.WithLabelValues(side, candidateType(e)).Inc()
	case peer.PairSelected:
		path := [...]string{candidateType(e.Local), candidateType(e.Remote), protocol(e.Local)}
		c.all.pairs.WithLabelValues(path[:]...).Inc()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.path = path
	}
}

func (c *callMetrics) stateChanged(e peer.StateChanged) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.state
	if slices.Contains(callStates(), e.State.String()) {
		c.state = e.State.String()
	}
	switch e.State {
	case webrtc.PeerConnectionStateConnected:
		if !c.connected {
			c.connected = true
			c.all.setup.WithLabelValues(c.direction).Observe(e.Since.Seconds())
		} else if before != c.state {
			c.all.reconnected.WithLabelValues().Inc()
		}
	case webrtc.PeerConnectionStateDisconnected:
		c.all.disconnected.WithLabelValues().Inc()
	}
}

func (c *callMetrics) iceRestarted(side int) { c.all.restarts.WithLabelValues(sides()[side]).Inc() }

func (c *callMetrics) event(e event.Event) {
	switch e.Name {
	case "call":
		c.begin()
	case "frame":
		c.all.firstFrame.WithLabelValues(known(e.Text("kind"), "audio", "video")).Observe(max(0, number(e, "ms")/1000))
	case "interruption":
		kind, cause := interruptionLabels(e)
		c.all.interruptions.WithLabelValues(kind, cause).Inc()
		c.all.interrupted.WithLabelValues(kind, cause).Add(max(0, number(e, "ms")/1000))
	case "end":
		c.all.ended.WithLabelValues(c.direction, endReason(e.Text("reason"))).Inc()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.connected {
			c.all.duration.WithLabelValues(c.direction).Observe(max(0, number(e, "seconds")))
		}
	}
}

// begin adds the call to those that are collected: it can be measured from now on.
func (c *callMetrics) begin() {
	c.all.started.WithLabelValues(c.direction).Inc()
	c.mu.Lock()
	c.begun = true
	c.mu.Unlock()
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.all.calls[c] = true
}

// end measures the call for the last time and forgets it.
func (c *callMetrics) end() {
	c.mu.Lock()
	begun := c.begun
	c.mu.Unlock()
	if !begun {
		return
	}
	c.all.mu.Lock()
	delete(c.all.calls, c)
	c.all.mu.Unlock()
	c.collect(values{})
	c.measuring.Lock()
	defer c.measuring.Unlock()
	c.over = true
}

// collect measures the call: it adds to the counters, and adds the values of gauges to v.
func (c *callMetrics) collect(v values) {
	c.measuring.Lock()
	defer c.measuring.Unlock()
	if c.over {
		return
	}
	report := byType(c.report())
	c.count(report)
	c.measureRates(report, v)
	for _, g := range c.all.gauges {
		for _, o := range report[g.object] {
			value, ok := toFloat(o[g.member])
			if !ok {
				_, ok = o[g.counter]
			}
			if !ok {
				continue
			}
			labels := slices.Clone(g.labels)
			if i := slices.Index(labels, "kind"); i >= 0 {
				labels[i] = kindOf(o)
			}
			v.add(g.desc, value, labels...)
		}
	}
	for _, o := range report[selectedPair] {
		if value, ok := toFloat(o["availableOutgoingBitrate"]); ok {
			v.add(c.all.available, value/8)
		}
	}
	c.measureQuality(v)
}

// selectedPair stands for the type of candidate pairs that are in use.
const selectedPair = "selected candidate-pair"

// byType returns the objects of a report by their types.
func byType(report stats.Report) map[string][]stats.Object {
	all := map[string][]stats.Object{}
	for _, o := range report {
		name, _ := o["type"].(string)
		all[name] = append(all[name], o)
	}
	for _, t := range all["transport"] {
		for _, p := range all["candidate-pair"] {
			if p["id"] == t["selectedCandidatePairId"] {
				all[selectedPair] = append(all[selectedPair], p)
			}
		}
	}
	return all
}

func kindOf(o stats.Object) string {
	kind, _ := o["kind"].(string)
	return known(kind, "audio", "video")
}

// count adds what has come since the last measurement to the counters. Streams that are gone keep
// their values. Data channels are counted together, because an id is used again.
func (c *callMetrics) count(report map[string][]stats.Object) {
	type total struct {
		labels []string
		value  float64
	}
	now := map[countKey]*total{}
	for i, counter := range c.all.counters {
		for _, o := range report[counter.object] {
			value, ok := toFloat(o[counter.member])
			if !ok {
				continue
			}
			key, labels := countKey{counter: i}, []string{}
			if counter.direction != "" {
				labels = append(labels, counter.direction)
			}
			if counter.kinds {
				key.id, _ = o["id"].(string)
				labels = append(labels, kindOf(o))
			}
			if now[key] == nil {
				now[key] = &total{labels: labels}
			}
			now[key].value += value
		}
	}
	for key, t := range now {
		c.add(key, c.all.counters[key.counter].vector, t.value, c.all.counters[key.counter].mayFall, t.labels...)
	}
}

// add brings a counter up to a value of the call.
func (c *callMetrics) add(key countKey, vector *prometheus.CounterVec, value float64, mayFall bool, labels ...string) {
	before, ok := c.counted[key]
	if !ok && len(c.counted) >= maxCounted {
		return
	}
	if value < before && mayFall {
		return
	}
	vector.WithLabelValues(labels...).Add(max(0, value-before))
	c.counted[key] = max(0, value)
}

// measureRates measures the byte rates since the last measurement.
func (c *callMetrics) measureRates(report map[string][]stats.Object, v values) {
	now := time.Now()
	for _, r := range c.rates {
		r.bytes = 0
	}
	for _, s := range []struct{ object, member, direction string }{{"inbound-rtp", "bytesReceived", "in"}, {"outbound-rtp", "bytesSent", "out"}} {
		for _, o := range report[s.object] {
			bytes, _ := toFloat(o[s.member])
			key := rateKey{s.direction, kindOf(o)}
			if c.rates[key] == nil {
				c.rates[key] = &rate{value: -1}
			}
			c.rates[key].bytes += bytes
		}
	}
	for key, r := range c.rates {
		elapsed := now.Sub(r.at)
		if r.at.IsZero() || elapsed >= leastInterval {
			if !r.at.IsZero() {
				r.value = max(0, r.bytes-r.before) / elapsed.Seconds()
			}
			r.at, r.before = now, r.bytes
		}
		if r.value >= 0 {
			v.add(c.all.rates, r.value, key.direction, key.kind)
		}
	}
}

// measureQuality adds what is known of the test source.
func (c *callMetrics) measureQuality(v values) {
	found := c.quality()
	for _, g := range c.all.quality {
		if value, ok := found[g.key]; ok {
			v.add(g.desc, value*g.scale, g.labels...)
		}
	}
	for i, result := range []string{"identified", "lost", "repeated"} {
		if value, ok := found["video.frames."+result]; ok {
			c.add(countKey{counter: -1 - i}, c.all.identified, value, true, result)
		}
	}
}

// toFloat returns a number of an event or of statistics. It reports whether it is one.
func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint32:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}
