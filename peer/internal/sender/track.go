// Package sender writes a local track to its RTP stream: pausing, muting, replacing, key-frame
// gating.
package sender

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pion/webrtc/v4"

	"parley/peer/track"
)

// Config is what the tracks of a connection have in common.
type Config struct {
	// OnBound is called when a track of the call may send with a codec, or why not. OnBound is
	// called from within Bind, with locks held: it must neither block nor call the Track. OnBound
	// is called once for a simulcast track, with the track that New got.
	OnBound func(t webrtc.TrackLocal, codec webrtc.RTPCodecParameters, err error)
	// Held is true while no media may be sent. Call RequestKeyFrame of each Track when it ends.
	Held *atomic.Bool
	// Full reports whether a frame that is written now would wait in a queue of the network.
	Full func() bool
	// Bursts lets packets leave the host together, nil if the network cannot.
	Bursts track.BurstWriter
}

// Track is a local track as Pion gets it, or the place where one was.
//
// Pion fails the whole SetRemoteDescription when the codec of a track is not among the negotiated
// ones. Track sends nothing instead and reports the error. It sends nothing either while the peer
// does not receive the track, which Pion does not check. Its local track can be replaced by another
// one of the same codec in the same RTP stream (W3C WebRTC section 5.2, RTCRtpSender.replaceTrack).
type Track struct {
	cfg             Config
	id, stream, rid string
	kind            webrtc.RTPCodecType
	simulcast       *simulcast  // nil for a track with one encoding
	paused          atomic.Bool // the peer does not receive it, or the call is on hold
	muted           atomic.Bool // audio is sent as silence, video not at all
	sourcePaused    atomic.Bool // our descriptions say that it is not sent

	mu    sync.Mutex               // guards what follows
	local webrtc.TrackLocal        // nil for none
	ctx   webrtc.TrackLocalContext // nil while not bound
	bound *boundContext            // what local is bound to, nil for nothing
	ssrc  uint32                   // of the latest binding, with its codec; 0 before
	codec webrtc.RTPCodecParameters

	writing sync.Mutex    // guards what follows; mu may be held, and is not taken
	writer  *boundContext // whose packets are sent, nil for nobody's
	munger  rtpMunger
	gate    keyFrameGate
}

// New returns the Track that sends t with this ID, which may differ from that of t. A simulcast
// track is sent in several encodings: the Track is the first of them, see Encodings.
func New(t webrtc.TrackLocal, id string, cfg Config) *Track {
	layers := layersOf(t)
	if len(layers) == 0 {
		return newTrack(t, id, cfg)
	}
	s := &simulcast{source: t}
	for _, l := range layers {
		e := newTrack(l, id, cfg)
		e.simulcast = s
		s.encodings = append(s.encodings, e)
	}
	return s.encodings[0]
}

func newTrack(t webrtc.TrackLocal, id string, cfg Config) *Track {
	return &Track{cfg: cfg, id: id, stream: t.StreamID(), rid: t.RID(), kind: t.Kind(), local: t}
}

// ID implements webrtc.TrackLocal. It stays when the local track is replaced.
func (t *Track) ID() string { return t.id }

// RID implements webrtc.TrackLocal.
func (t *Track) RID() string { return t.rid }

// StreamID implements webrtc.TrackLocal.
func (t *Track) StreamID() string { return t.stream }

// Kind implements webrtc.TrackLocal.
func (t *Track) Kind() webrtc.RTPCodecType { return t.kind }

// Local returns the local track that is sent, as New or Replace got it, nil for none.
func (t *Track) Local() webrtc.TrackLocal {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.local == nil {
		return nil
	}
	return t.given(t.local)
}

// given returns a local track as New or Replace got it: that of which it is a layer.
func (t *Track) given(local webrtc.TrackLocal) webrtc.TrackLocal {
	if t.simulcast != nil {
		return t.simulcast.source
	}
	return local
}

// Binding returns the SSRC and the codec of the latest binding. The SSRC is 0 before the first.
func (t *Track) Binding() (ssrc uint32, codec webrtc.RTPCodecParameters) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ssrc, t.codec
}

// SetPaused sets whether nothing is sent. All encodings go on with a key frame.
func (t *Track) SetPaused(paused bool) {
	for _, e := range t.Encodings() {
		if was := e.paused.Swap(paused); was && !paused {
			e.RequestKeyFrame()
		}
	}
}

// Paused reports whether nothing is sent because of SetPaused.
func (t *Track) Paused() bool { return t.paused.Load() }

// SetMuted sets whether audio is sent as silence and video not at all, in all encodings.
func (t *Track) SetMuted(muted bool) {
	for _, e := range t.Encodings() {
		if was := e.muted.Swap(muted); was && !muted {
			e.RequestKeyFrame()
		}
	}
}

// Muted reports what SetMuted has set.
func (t *Track) Muted() bool { return t.muted.Load() }

// SetSourcePaused sets whether descriptions say that the track is not sent, and returns what it was
// before. It changes nothing in what is sent.
func (t *Track) SetSourcePaused(paused bool) (was bool) { return t.sourcePaused.Swap(paused) }

// SourcePaused reports what SetSourcePaused has set.
func (t *Track) SourcePaused() bool { return t.sourcePaused.Load() }

// Suppressed reports whether nothing is sent: the track is paused, or the call is held.
func (t *Track) Suppressed() bool { return t.paused.Load() || t.cfg.Held.Load() }

// RequestKeyFrame asks the local track for a key frame, unless it would not be sent.
func (t *Track) RequestKeyFrame() {
	t.mu.Lock()
	r, ok := t.local.(track.KeyFrameRequester)
	t.mu.Unlock()
	if ok && !t.Suppressed() {
		r.RequestKeyFrame()
	}
}

// Bind implements webrtc.TrackLocal. It fails only when no codec was negotiated.
func (t *Track) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ctx, t.ssrc, t.bound = ctx, uint32(ctx.SSRC()), nil
	if t.local != nil {
		codec, err := t.bindLocal(t.local, false)
		if err == nil {
			return codec, nil
		}
		if t.first() {
			t.cfg.OnBound(t.given(t.local), codec, err)
		}
	}
	if codecs := ctx.CodecParameters(); len(codecs) > 0 {
		return codecs[0], nil
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

// bindLocal binds a local track to ctx, which sends its packets and no longer those of the track
// that was bound before. If it fails, that one goes on. replaced is set for another track than the
// one whose packets came last. mu is held.
func (t *Track) bindLocal(local webrtc.TrackLocal, replaced bool) (webrtc.RTPCodecParameters, error) {
	old, bound := t.bound, &boundContext{t.ctx, t}
	if old == nil {
		t.setWriter(bound, replaced) // the first packet may come before Bind returns
	}
	codec, err := local.Bind(bound)
	if err != nil {
		if old == nil {
			t.setWriter(nil, replaced)
		}
		return codec, fmt.Errorf("cannot send the %s track %q, negotiated are %s: %w",
			t.kind, local.ID(), mimeTypes(t.ctx.CodecParameters()), err)
	}
	if old != nil {
		t.setWriter(bound, replaced)
	}
	t.bound, t.codec = bound, codec
	if !t.paused.Load() && t.first() {
		t.cfg.OnBound(t.given(local), codec, nil)
	}
	return codec, nil
}

// mimeTypes returns the codecs without those for retransmission.
func mimeTypes(codecs []webrtc.RTPCodecParameters) string {
	var all []string
	for _, c := range codecs {
		if c.MimeType != webrtc.MimeTypeRTX && !slices.Contains(all, c.MimeType) {
			all = append(all, c.MimeType)
		}
	}
	return strings.Join(all, ", ")
}

// setWriter sets whose packets are sent, nil for nobody's, and whether they follow those of another
// track.
func (t *Track) setWriter(bound *boundContext, replaced bool) {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.writer = bound
	if replaced {
		t.munger.sourceChanged()
		t.gate.close()
	}
}

// Unbind implements webrtc.TrackLocal.
func (t *Track) Unbind(webrtc.TrackLocalContext) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	bound := t.bound
	t.ctx, t.bound = nil, nil
	t.setWriter(nil, false)
	if bound == nil {
		return nil
	}
	return t.local.Unbind(bound)
}

// CanReplace reports whether a local track, or none, can take the place of the present one without
// a negotiation: it has the same codec, or there was none. Simulcast encodings are negotiated. A
// track that does not report its codec is tried.
func (t *Track) CanReplace(local webrtc.TrackLocal) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case local == nil:
		return true
	case t.simulcast != nil || len(layersOf(local)) > 0:
		return false
	case t.codec.MimeType == "":
		return true
	}
	r, ok := local.(track.CodecReporter)
	return !ok || strings.EqualFold(r.Codec(), t.codec.MimeType)
}

// Replace sends a local track in place of the present one, and asks it for a key frame; nil sends
// none. If the new one cannot be bound, the present one is sent on. A simulcast track can be
// removed and put back, but not replaced by another one.
func (t *Track) Replace(local webrtc.TrackLocal) error {
	locals := []webrtc.TrackLocal{local}
	if t.simulcast != nil {
		if locals = layersOf(local); local != nil && local != t.simulcast.source {
			return fmt.Errorf("cannot replace the simulcast track %q without a negotiation", t.id)
		}
	}
	for i, e := range t.Encodings() {
		var l webrtc.TrackLocal
		if i < len(locals) {
			l = locals[i]
		}
		if err := e.replace(l); err != nil {
			return err
		}
		e.RequestKeyFrame()
	}
	return nil
}

func (t *Track) replace(local webrtc.TrackLocal) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, bound := t.local, t.bound
	if bound != nil && old == local {
		return nil
	}
	if local != nil && t.ctx != nil {
		if _, err := t.bindLocal(local, true); err != nil {
			return err
		}
	} else {
		t.bound = nil
		t.setWriter(nil, true)
	}
	t.local = local
	if bound != nil {
		_ = old.Unbind(bound) // it is sent no longer in any case
	}
	return nil
}
