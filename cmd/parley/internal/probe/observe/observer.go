// Package observe records what happens in a call of a probe.
package observe

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/probe/facts"
	"parley/cmd/parley/internal/probe/sdptext"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/signaling"
	"parley/media"
	"parley/peer"
	"parley/peer/datachannel"
	"parley/peer/stats"
	"parley/signal"
)

// An Observer records what happens in a call, for the checks of scenarios, as the middleware next
// to the signaling server. Its methods may be called from any goroutine.
type Observer struct {
	*facts.Facts
	// OnSend is called with each description that is sent, nil for none, and is set before Attach.
	OnSend func(sdp string)

	mu           sync.Mutex // guards the following
	metrics      map[string]float64
	signalingLog []signalingMessage
	offered      string            // description that was sent last
	offers       map[uint64]string // by number, of this side
	answers      map[uint64]string // to them, the first of each
	number       uint64            // of our latest offer
	ufrags       map[string]bool
	channels     map[string]*datachannel.Channel
	moved        map[string]time.Time // when the packets of a kind were seen to grow last
	packets      map[string]uint64
	stats        stats.Report
	code         string       // of verification, "" while it is not known
	remoteEvents bytes.Buffer // events of the peer, as they came: a line each
}

// Keys returns the keys that expect and never of a scenario know.
func Keys() map[string]event.Kind { return facts.Keys(mediain.Keys()) }

// signalingMessage is a message of signaling, for --evidence.
type signalingMessage struct {
	at  time.Time
	out bool
	m   signal.Message
}

// New returns an Observer. Attach attaches it to a call.
func New() *Observer {
	return &Observer{Facts: facts.New(Keys()), metrics: map[string]float64{},
		offers: map[uint64]string{}, answers: map[uint64]string{},
		ufrags: map[string]bool{}, channels: map[string]*datachannel.Channel{}, moved: map[string]time.Time{}, packets: map[string]uint64{}}
}

// Metric sets a metric that a scenario.Requirement can name.
func (w *Observer) Metric(name string, value float64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metrics[name] = value
}

// Metrics returns the metrics of the call.
func (w *Observer) Metrics() map[string]float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.metrics)
}

// MessageFact returns the value of the key message for a message of a channel.
func MessageFact(label string, text bool, data []byte) string {
	return fmt.Sprintf("%q %t %d %s", label, text, len(data), digest(data))
}

// digest returns the beginning of the SHA-256 of a message.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// Attach observes a call.
func (w *Observer) Attach(c *session.Session) {
	c.Observe(session.Observer{PeerEvent: w.handleEvent, Value: w.valued, Measurement: func() { w.measured(c) }})
	c.Intercept(w)
}

// noteMuted notes that a track is muted or unmuted; where is "remote." for what the peer receives.
func (w *Observer) noteMuted(where string, muted bool, kind string) {
	is, was := where+"unmuted", where+"muted"
	if muted {
		is, was = was, is
	}
	w.Remove(was, kind)
	w.Note(is, kind)
}

// valued notes a value of a key of --expect.
func (w *Observer) valued(key string, value event.Value) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Add(key, value)
	if n, ok := value.Number(); ok && mediain.IsQuality(key) {
		w.metrics[key] = n
	}
}

// handleEvent handles an event of the call.
func (w *Observer) handleEvent(e peer.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e := e.(type) {
	case peer.StateChanged:
		w.Note("state", e.State.String())
		if e.State == webrtc.PeerConnectionStateConnected && w.metrics["setup.ms"] == 0 {
			w.metrics["setup.ms"] = milliseconds(e.Since)
			w.noteNumber("setup.ms", math.Round(milliseconds(e.Since)*10)/10)
		}
		for _, s := range []string{"connected", "failed", "disconnected"} { // connected is noted once the call has begun
			if e.State.String() != s {
				w.Remove(s, "true")
			} else if s != "connected" {
				w.Note(s, "true")
			}
		}
	case peer.CandidateFound:
		side := "candidate.ours"
		if e.Remote {
			side = "candidate"
		}
		w.Note(side, e.Type)
	case peer.PairSelected:
		w.Note("pair", e.Local.Type+" "+e.Remote.Type)
		w.Note("pair.protocol", e.Local.Protocol)
		w.Note("relayed", strconv.FormatBool(e.Relayed))
	case peer.VerificationCode:
		w.code = e.Code
		w.compareCodes()
	case peer.TrackMuted:
		w.noteMuted("", e.Muted, e.Kind.String())
	case peer.ChannelOpened:
		w.channels[e.Channel.Label()] = e.Channel
		w.Note("channel", e.Channel.Label())
	case peer.ChannelClosed:
		w.Remove("channel", e.Channel.Label())
		w.Note("channel.closed", e.Channel.Label())
	case peer.MessageReceived:
		w.Note("message", MessageFact(e.Channel.Label(), e.Text, e.Data))
	case peer.TrackSending:
		w.Note("sending."+e.Track.Kind().String(), media.CodecName(e.Codec.MimeType))
	case peer.TrackRejected:
		w.Note("refused."+e.Track.Kind().String(), "true")
	case peer.TextRejected:
		w.Note("warning", e.Reason.Error())
	case peer.Warned:
		w.Note("warning", e.Text)
	}
}

// Deliver implements middleware.
func (w *Observer) Deliver(m signal.Message, next signaling.DeliverFunc) {
	w.handleMessage(m)
	next(m)
}

// handleMessage handles a message of signaling.
func (w *Observer) handleMessage(m signal.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.remember(signalingMessage{time.Now(), false, m})
	if u := sdptext.Attribute(m.SDP, "ice-ufrag"); u != "" {
		w.ufrags[u] = true
		w.noteNumber("ufrags", float64(len(w.ufrags)))
	}
	switch m.Type {
	case signal.Offer:
		w.Note("reoffered", "true")
	case signal.Answer:
		w.Note("answered", "true")
		w.heardAnswer(m)
	case signal.ICECandidate:
		if m.Candidate == nil || m.Candidate.Candidate == "" {
			w.Note("candidates.end", "true")
		} else if strings.Contains(m.Candidate.Candidate, ".local ") {
			w.Note("candidate.mdns", "true")
		}
	case signal.Leave:
		w.Note("signaling.leave", "true")
	}
}

// heardAnswer notes what an answer says.
func (w *Observer) heardAnswer(m signal.Message) {
	offer := w.offered
	if x := m.Extension; x != nil {
		w.Note("answer.parley", "true")
		if sent, ok := w.offers[x.Number]; ok {
			offer = sent
			before, again := w.answers[x.Number]
			if again {
				w.Note("answer.repeated", map[bool]string{true: "same", false: "other"}[before == m.SDP+x.Rejected])
			} else {
				w.answers[x.Number] = m.SDP + x.Rejected
			}
		}
		which := "unknown"
		switch _, ok := w.offers[x.Number]; {
		case x.Number == w.number:
			which = "latest"
		case ok:
			which = "earlier"
		}
		w.Note("answer.number", which)
		if x.Rejected != "" {
			w.Note("answer.rejection", which)
			return
		}
	}
	w.RemoveAnswer()
	for _, f := range facts.OfAnswer(offer, m.SDP) {
		w.Add(f.Key, f.Value)
	}
}

// maxSignalingLog is how many messages of signaling are kept.
const maxSignalingLog = 1000

func (w *Observer) remember(s signalingMessage) {
	if len(w.signalingLog) < maxSignalingLog {
		w.signalingLog = append(w.signalingLog, s)
	}
}

// Send implements middleware.
func (w *Observer) Send(ctx context.Context, m signal.Message, next signaling.SendFunc) error {
	w.sent(m)
	return next(ctx, m)
}

// sent takes a message that goes to the peer.
func (w *Observer) sent(m signal.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.SDP != "" && w.OnSend != nil {
		w.OnSend(m.SDP)
	}
	if m.Type == signal.Offer {
		w.offered = m.SDP
		if x := m.Extension; x != nil {
			w.offers[x.Number], w.number = m.SDP, max(w.number, x.Number)
		}
	}
	w.remember(signalingMessage{time.Now(), true, m})
}

// measured takes what the receivers have measured.
func (w *Observer) measured(c *session.Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range c.Received.ByKind() {
		w.noteNumber(s.Kind+".tone", s.Tone.Tone)
		w.noteNumber(s.Kind+".level", s.Tone.Level)
		w.noteNumber(s.Kind+".jitter", s.Jitter)
		w.noteNumber(s.Kind+".keyframes", float64(s.KeyFrames))
		w.noteNumber(s.Kind+".corrupt-frames", float64(s.Broken))
		w.noteNumber(s.Kind+".duplicates", float64(s.Duplicates))
		w.noteNumber(s.Kind+".frame-ids", float64(s.FrameIDs.Count))
		w.noteNumber(s.Kind+".frame-id", float64(s.FrameIDs.Latest))
		if !s.FirstFrame.IsZero() && w.metrics["first."+s.Kind+".ms"] == 0 {
			w.metrics["first."+s.Kind+".ms"] = milliseconds(s.FirstFrame.Sub(c.Began))
		}
		w.metrics[s.Kind+".loss"] = 100 * float64(s.Lost) / float64(s.Packets+s.Lost)
		w.metrics[s.Kind+".lost"], w.metrics[s.Kind+".jitter"] = float64(s.Lost), s.Jitter
		if s.Kind == "video" {
			w.metrics["video.corrupt-frames"] = float64(s.Broken)
		}
		if s.Packets != w.packets[s.Kind] {
			w.packets[s.Kind], w.moved[s.Kind] = s.Packets, time.Now()
		}
	}
}

// sampleInterval is the time between two samples of the statistics of a call, which have no events.
const sampleInterval = 200 * time.Millisecond

// SampleStats samples the statistics of a call from the time it is connected until done.
func (w *Observer) SampleStats(c *session.Session, done <-chan struct{}) {
	select {
	case <-c.Connected():
	case <-done:
		return
	}
	samples := time.NewTicker(sampleInterval)
	defer samples.Stop()
	for {
		w.sampled(c.Call.Stats())
		select {
		case <-samples.C:
		case <-done:
			return
		}
	}
}

// sampled takes a sample of the statistics, and how long nothing has come.
func (w *Observer) sampled(s stats.Stats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for kind, moved := range w.moved {
		w.noteNumber(kind+".idle.ms", float64(time.Since(moved).Milliseconds()))
	}
	w.stats = s.Report
	if s.RTT != nil {
		w.metrics["rtt.ms"] = milliseconds(*s.RTT)
		w.noteNumber("rtt.ms", milliseconds(*s.RTT))
	}
	for _, f := range facts.OfReport(s.Report) {
		w.Add(f.Key, f.Value)
		if n, ok := f.Value.Number(); ok && strings.HasSuffix(f.Key, ".reported.lost") {
			w.metrics[f.Key] = n
		}
	}
}

func (w *Observer) noteNumber(key string, v float64) {
	w.Add(key, event.NumberOf(v))
}

// Files returns what was observed as files of --evidence, by name.
func (w *Observer) Files() map[string][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	files := map[string][]byte{}
	var signaling bytes.Buffer
	e := json.NewEncoder(&signaling)
	for i, s := range w.signalingLog {
		direction := "in"
		if s.out {
			direction = "out"
		}
		if s.m.SDP != "" {
			files[fmt.Sprintf("%03d-%s-%s.sdp", i, direction, s.m.Type)] = []byte(s.m.SDP)
		}
		_ = e.Encode(struct { // strings alone, into memory: it does not fail
			Time      string            `json:"time"`
			Direction string            `json:"direction"`
			Type      signal.Type       `json:"type"`
			SDP       string            `json:"sdp,omitempty"`
			Extension *signal.Extension `json:"parley,omitempty"`
			Candidate *signal.Candidate `json:"candidate,omitempty"`
			Text      string            `json:"text,omitempty"`
		}{s.at.Format("2006-01-02T15:04:05.000Z07:00"), direction, s.m.Type, s.m.SDP, s.m.Extension, s.m.Candidate, s.m.Text})
	}
	files["signaling.ndjson"] = signaling.Bytes()
	if w.remoteEvents.Len() > 0 {
		files["remote-events.ndjson"] = bytes.Clone(w.remoteEvents.Bytes())
	}
	for name, v := range map[string]any{"statistics.json": w.stats, "facts.json": w.Snapshot()} {
		if data, err := json.MarshalIndent(v, "", "  "); err == nil {
			files[name] = append(data, '\n')
		}
	}
	return files
}

// Channel returns the latest channel of a label, nil for none.
func (w *Observer) Channel(label string) *datachannel.Channel {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.channels[label]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
