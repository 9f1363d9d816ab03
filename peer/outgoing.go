package peer

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/bwe"
	"parley/peer/track"
)

// outgoing is a track of ours as Pion gets it, or the place where one was.
// Pion fails the whole SetRemoteDescription when a track's codec is not among
// the negotiated ones; outgoing keeps quiet instead and tells the call. It keeps
// quiet too while the other side takes nothing, which Pion does not heed. Its
// track may be exchanged for another of the same codec without the other side
// noticing (W3C's replaceTrack).
type outgoing struct {
	id, stream, rid string
	kind            webrtc.RTPCodecType
	post            func(any)
	paused          atomic.Bool  // by the other side
	muted           atomic.Bool  // by this one: sound is silence, a picture stands
	withdrawn       atomic.Bool  // our descriptions say that it is not sent
	held            *atomic.Bool // see Config.Hold
	full            func() bool  // as much is under way as there may be
	layer           *layer       // nil for a track by itself
	rate            *bwe.Track

	mu    sync.Mutex               // protects following
	track webrtc.TrackLocal        // nil for none
	ctx   webrtc.TrackLocalContext // nil while not bound
	bound bool                     // track is bound to ctx
	ssrc  uint32                   // of the latest binding, with its codec; 0 before
	codec webrtc.RTPCodecParameters

	writing sync.Mutex // protects following; never held together with mu
	splice  splice
	missing keyWait // of a picture
}

func newOutgoing(t webrtc.TrackLocal, post func(any), held *atomic.Bool, full func() bool) *outgoing {
	return &outgoing{id: t.ID(), stream: t.StreamID(), rid: t.RID(), kind: t.Kind(), track: t, post: post, held: held, full: full}
}

// ID implements webrtc.TrackLocal: it stays when the track is exchanged.
func (o *outgoing) ID() string { return o.id }

// RID implements webrtc.TrackLocal.
func (o *outgoing) RID() string { return o.rid }

// StreamID implements webrtc.TrackLocal.
func (o *outgoing) StreamID() string { return o.stream }

// Kind implements webrtc.TrackLocal.
func (o *outgoing) Kind() webrtc.RTPCodecType { return o.kind }

// current is the track that is sent, as the call was given it; nil for none.
func (o *outgoing) current() webrtc.TrackLocal {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.given(o.track)
}

// given is a track as the call was given it.
func (o *outgoing) given(t webrtc.TrackLocal) webrtc.TrackLocal {
	if t != nil && o.layer != nil {
		return o.layer.of
	}
	return t
}

// all is this and the other layers, if it is the first of several.
func (o *outgoing) all() []*outgoing {
	if o.layer == nil {
		return []*outgoing{o}
	}
	return append([]*outgoing{o}, o.layer.others...)
}

// bind is what the track was bound to last.
func (o *outgoing) bind() (ssrc uint32, codec webrtc.RTPCodecParameters) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ssrc, o.codec
}

// pause keeps the track quiet, or lets it go on with a key frame.
func (o *outgoing) pause(paused bool) {
	for _, o := range o.all() {
		if was := o.paused.Swap(paused); was && !paused {
			o.ask()
		}
	}
}

// mute makes the track silent, or lets it be heard again.
func (o *outgoing) mute(muted bool) {
	for _, o := range o.all() {
		if was := o.muted.Swap(muted); was && !muted {
			o.ask()
		}
	}
}

// ask asks the track for a key frame, unless nobody would see it.
func (o *outgoing) ask() {
	o.mu.Lock()
	source, ok := o.track.(track.KeyFrameRequester)
	o.mu.Unlock()
	if ok && !o.quiet() {
		source.RequestKeyFrame()
	}
}

// lost passes on what the other side says of the track's packets (RFC 3550 §6.4.1).
func (o *outgoing) lost(reports []rtcp.ReceptionReport) {
	o.mu.Lock()
	ssrc := o.ssrc
	follow, ok := o.track.(track.LossObserver)
	o.mu.Unlock()
	for _, r := range reports {
		if ok && r.SSRC == ssrc {
			follow.SetLoss(float64(r.FractionLost) / 256)
		}
	}
}

// quiet tells if nothing of the track may leave now.
func (o *outgoing) quiet() bool { return o.paused.Load() || o.held.Load() }

// Bind implements webrtc.TrackLocal.
func (o *outgoing) Bind(ctx webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ctx, o.ssrc = ctx, uint32(ctx.SSRC())
	if o.track != nil {
		if codec, err := o.attach(o.track); err == nil {
			return codec, nil
		}
	}
	if offered := ctx.CodecParameters(); len(offered) > 0 {
		return offered[0], nil
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

// attach binds a track, and tells how that went. It is called with mu held.
func (o *outgoing) attach(t webrtc.TrackLocal) (webrtc.RTPCodecParameters, error) {
	codec, err := t.Bind(gated{o.ctx, o})
	if err != nil {
		err = fmt.Errorf("it takes none of our codecs: %w", err)
		if o.speaks() {
			o.post(trackBound{o.given(t), codec, err})
		}
		return codec, err
	}
	o.bound, o.codec = true, codec
	if !o.paused.Load() && o.speaks() {
		o.post(trackBound{o.given(t), codec, nil})
	}
	return codec, nil
}

// Unbind implements webrtc.TrackLocal.
func (o *outgoing) Unbind(webrtc.TrackLocalContext) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.detach()
	o.ctx = nil
	return err
}

func (o *outgoing) detach() error {
	if !o.bound {
		return nil
	}
	o.bound = false
	return o.track.Unbind(gated{o.ctx, o})
}

// fits tells if a track may take the place of the present one without a
// negotiation: it has the same codec, or there was none.
func (o *outgoing) fits(t webrtc.TrackLocal) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case t == nil:
		return true
	case o.layer != nil || len(layersOf(t)) > 0:
		return false // its sizes are negotiated
	case o.codec.MimeType == "":
		return true
	}
	coded, ok := t.(track.CodecReporter)
	return !ok || strings.EqualFold(coded.Codec(), o.codec.MimeType)
}

// exchange puts another track in place of the present one; nil takes it away.
func (o *outgoing) exchange(t webrtc.TrackLocal) error {
	if t == nil && o.layer != nil {
		for _, other := range o.layer.others {
			if err := other.exchange(nil); err != nil {
				return err
			}
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.detach(); err != nil {
		return err
	}
	o.writing.Lock()
	o.splice.fresh = true
	o.missing.miss()
	o.writing.Unlock()
	o.track = t
	if t == nil || o.ctx == nil {
		return nil
	}
	_, err := o.attach(t)
	return err
}

// gated is what a track is bound to, with a gate before the writer.
type gated struct {
	webrtc.TrackLocalContext
	out *outgoing
}

// WriteStream implements webrtc.TrackLocalContext.
func (g gated) WriteStream() webrtc.TrackLocalWriter {
	return gate{g.TrackLocalContext.WriteStream(), g.out, g.CodecParameters(), g.out.marks(g.TrackLocalContext)}
}

type gate struct {
	webrtc.TrackLocalWriter
	out    *outgoing
	codecs []webrtc.RTPCodecParameters
	marks  []mark
}

func (g gate) WriteRTP(header *rtp.Header, payload []byte) (int, error) {
	g.out.writing.Lock()
	defer g.out.writing.Unlock()
	codec := g.codec(header.PayloadType)
	muted, video := g.out.muted.Load(), g.out.kind == webrtc.RTPCodecTypeVideo
	quiet := g.out.quiet() || muted && video
	if quiet {
		g.out.missing.miss()
	}
	if now := time.Now(); quiet || video && g.out.missing.keeps(codec.MimeType, payload, now) {
		g.out.splice.skip()
		return len(payload), nil
	}
	if muted {
		payload = silence(codec.MimeType, payload)
	}
	header = g.out.splice.next(header, codec.ClockRate, time.Now())
	if len(g.marks) > 0 {
		marked := header.Clone() // whose extensions are not those of the track
		header = &marked
	}
	for _, m := range g.marks {
		_ = header.SetExtension(m.id, m.value) // fails on what was not negotiated, or is too long for SDP too
	}
	return g.TrackLocalWriter.WriteRTP(header, payload)
}

// Full tells that a picture sent now would wait in a queue of the network, or be
// lost: who encodes does better to leave it out.
func (g gate) Full() bool { return g.out.full() }

func (g gate) Write(packet []byte) (int, error) {
	var p rtp.Packet
	if err := p.Unmarshal(packet); err != nil {
		return 0, fmt.Errorf("a track wrote what is no RTP packet: %w", err)
	}
	return g.WriteRTP(&p.Header, p.Payload)
}

func (g gate) codec(pt uint8) webrtc.RTPCodecParameters {
	for _, c := range g.codecs {
		if uint8(c.PayloadType) == pt {
			return c
		}
	}
	return webrtc.RTPCodecParameters{}
}
