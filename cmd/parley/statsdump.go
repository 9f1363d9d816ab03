package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer"
	wire "parley/signal"
)

// statsDump is the file of --stats-dump: an RTCStatsDump of version 3, as
// rtcstats.com and its dump importer, and Chromium's webrtc-internals, write and
// read it (github.com/rtcstats/rtcstats, packages/rtcstats-server). After two
// lines of header each line is an array: what happened, in which connection,
// with what, and the milliseconds since the line before.
type statsDump struct {
	mu     sync.Mutex // protects following
	file   *os.File
	buffer *bufio.Writer
	last   float64 // time of the line before, in milliseconds since 1970
	calls  int
	err    error
}

func openStatsDump(path string) (*statsDump, error) {
	f, err := createPrivate("stats-dump", path)
	if err != nil {
		return nil, err
	}
	d := &statsDump{file: f, buffer: bufio.NewWriter(f)}
	head, err := json.Marshal(map[string]any{"fileFormat": 3, "userAgent": "parley/" + version(), "startTime": time.Now().UnixMilli()})
	if err != nil {
		return nil, err
	}
	_, d.err = fmt.Fprintf(d.buffer, "RTCStatsDump\n%s\n", head)
	return d, nil
}

// begin makes the id of one more call.
func (d *statsDump) begin() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls++
	return fmt.Sprintf("PC_%d", d.calls)
}

func (d *statsDump) write(method, call string, value any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return
	}
	now := float64(time.Now().UnixMicro()) / 1000
	line, err := json.Marshal([]any{method, call, value, now - d.last})
	if err != nil {
		d.err = err
		return
	}
	d.last = now
	if _, d.err = d.buffer.Write(append(line, '\n')); d.err == nil {
		d.err = d.buffer.Flush() // what is known at a crash is wanted most
	}
}

// Close ends the file. The error is the first of all.
func (d *statsDump) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.err, d.buffer.Flush(), d.file.Close())
}

// callDump is what of a call goes to the dump; nil writes nothing.
type callDump struct {
	*statsDump
	id string

	mu    sync.Mutex // protects following
	known map[string]bool
	ufrag string // of our last offer
}

// newCallDump starts the part of a call.
func (s *settings) newCallDump(conf peer.Config) *callDump {
	if s.dump == nil {
		return nil
	}
	d := &callDump{statsDump: s.dump, id: s.dump.begin(), known: map[string]bool{}}
	servers := []map[string]any{}
	for _, server := range conf.ICEServers {
		servers = append(servers, map[string]any{"urls": server.URLs}) // and no secrets
	}
	policy := "all"
	if conf.RelayOnly {
		policy = "relay"
	}
	d.tell("create", map[string]any{"iceServers": servers, "iceTransportPolicy": policy, "bundlePolicy": "max-bundle", "rtcpMuxPolicy": "require"})
	return d
}

func (d *callDump) tell(method string, value any) {
	if d != nil {
		d.write(method, d.id, value)
	}
}

// stats writes a report; an object that was there and is no more is null.
func (d *callDump) stats(r peer.Report) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	value, known := map[string]any{}, map[string]bool{}
	for id := range d.known {
		value[id] = nil
	}
	for _, o := range r {
		id := fmt.Sprint(o["id"])
		value[id], known[id] = o, true
	}
	d.known = known
	d.tell("getStats", value)
}

// heard writes what came from the other side.
func (d *callDump) heard(m wire.Message) {
	switch m.Type {
	case wire.Offer:
		if sections, _ := peer.Purpose(m.SDP); sections {
			d.tell("setRemoteDescription", map[string]any{"type": "offer", "sdp": m.SDP})
		}
	case wire.Answer:
		d.tell("setRemoteDescription", map[string]any{"type": "answer", "sdp": m.SDP})
	case wire.ICECandidate:
		d.tell("addIceCandidate", m.Candidate)
	}
}

// happened writes an event of the call.
func (d *callDump) happened(e peer.Event) {
	switch e := e.(type) {
	case peer.StateChanged:
		d.tell("onconnectionstatechange", e.State.String())
	case peer.ICEStateChanged:
		d.tell("oniceconnectionstatechange", e.State.String())
	case peer.SignalingStateChanged:
		d.tell("onsignalingstatechange", e.State.String())
	case peer.ChannelOpened:
		if e.Channel.OpenedByPeer() {
			d.tell("ondatachannel", []any{nil, e.Channel.Label()})
		} else {
			d.tell("createDataChannel", []any{e.Channel.Label()})
		}
	case peer.TrackReceived:
		d.tell("ontrack", []any{e.Track.Kind().String(), e.Track.ID(), e.Track.StreamID()})
	case peer.TrackSending:
		d.tell("addTrack", []any{e.Track.Kind().String(), e.Track.ID(), e.Track.StreamID()})
	}
}

// dumpedLeg is the signaling of a call with its messages written to the dump.
type dumpedLeg struct {
	*leg
	dump *callDump
}

func (l dumpedLeg) Offer(ctx context.Context, sdp string) error {
	l.described("offer", "createOffer", sdp, l.dump.offered(sdp))
	return l.leg.Offer(ctx, sdp)
}

func (l dumpedLeg) Answer(ctx context.Context, sdp string) error {
	l.described("answer", "createAnswer", sdp, nil)
	return l.leg.Answer(ctx, sdp)
}

// described writes a description that was applied before it is sent.
func (l dumpedLeg) described(kind, method, sdp string, options any) {
	sections, why := peer.Purpose(sdp)
	switch {
	case why != "":
		l.dump.tell("setRemoteDescriptionOnFailure", why)
		return
	case !sections:
		l.dump.tell("onnegotiationneeded", nil)
		return
	}
	d := map[string]any{"type": kind, "sdp": sdp}
	l.dump.tell(method, options)
	l.dump.tell(method+"OnSuccess", d)
	l.dump.tell("setLocalDescription", d)
	l.dump.tell("setLocalDescriptionOnSuccess", nil)
}

// offered are the options of an offer of ours: whether it restarts ICE, which has
// another username fragment then (RFC 8839 §4.4.1.1.1).
func (d *callDump) offered(sdp string) any {
	_, rest, _ := strings.Cut(sdp, "\r\na=ice-ufrag:")
	ufrag, _, _ := strings.Cut(rest, "\r\n")
	d.mu.Lock()
	defer d.mu.Unlock()
	before := d.ufrag
	d.ufrag = ufrag
	if before == "" || before == ufrag {
		return nil
	}
	return map[string]any{"iceRestart": true}
}

func (l dumpedLeg) Candidate(ctx context.Context, c webrtc.ICECandidateInit) error {
	l.dump.tell("onicecandidate", c)
	return l.leg.Candidate(ctx, c)
}
