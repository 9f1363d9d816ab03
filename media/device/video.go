//go:build linux && cgo

package device

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"github.com/pion/webrtc/v4"

	"parley/media"
	"parley/media/localtrack"
)

// videoSource is what one call sees of a camera or a screen.
//
// Which codec it sends is settled when it is bound: the first of those negotiated that this build encodes to.
type videoSource struct {
	hub      *videoHub
	streamID string
	rid      string // of a layer of a simulcast, "" for a source by itself
	halved   int    // times, of both sides
	release  func() // given by who shares the device; at the end, once

	mu     sync.Mutex // guards what follows
	bound  map[string]*stream
	layers []*videoSource
	wish   int
	used   bool // Run has been called, or Close
}

// openHub opens the device.
func openHub(spec, class, id string, o VideoOptions) (*videoHub, error) {
	mimes, err := encodes(o.Codec)
	if err != nil {
		return nil, err
	}
	find := findCamera
	switch class {
	case "screen":
		find = findScreen
	case "test":
		find = newTestDevice
	}
	device, err := find(id, o)
	if err != nil {
		return nil, &media.FileError{Path: spec, Err: err}
	}
	return startHub(spec, strings.TrimSpace(class+" "+device.String()), mimes, device, o)
}

func startHub(spec, name string, mimes []string, device videoDevice, o VideoOptions) (*videoHub, error) {
	open, err := device.open()
	if err != nil {
		return nil, &media.FileError{Path: spec, Err: err}
	}
	h := &videoHub{name: name, device: device, options: o, mimes: mimes, open: open, streams: make(map[streamKey]*stream)}
	h.crew.begin = h.begin
	is := open.mode()
	if asked := (mode{width: o.Width, height: o.Height, rate: o.FrameRate}); differs(asked, is) {
		o.Tell(fmt.Sprintf("%s sends %s, the nearest it can do to %s", name, is, asked))
	}
	o.Logger.Info("device opened", "device", name, "mode", is.String(), "codecs", mimes)
	return h, nil
}

// source is the hub for one more call.
func (h *videoHub) source(o VideoOptions) *videoSource {
	v := &videoSource{hub: h, streamID: o.StreamID, release: h.close, bound: make(map[string]*stream)}
	if v.streamID == "" {
		v.streamID = "parley"
	}
	if o.Simulcast {
		v.layers = []*videoSource{v.layer("q", 2), v.layer("h", 1), v.layer("f", 0)}
	}
	return v
}

// layer is a part of a simulcast. The names are those that browsers' pages use.
func (v *videoSource) layer(rid string, halved int) *videoSource {
	return &videoSource{hub: v.hub, streamID: v.streamID, rid: rid, halved: halved, bound: make(map[string]*stream)}
}

// encodes are the codecs to choose from: all of this build, or the one that was asked for.
func encodes(mime string) ([]string, error) {
	all := slices.DeleteFunc(codecs(), func(m string) bool { return !strings.HasPrefix(m, "video/") })
	if mime == "" {
		return all, nil
	}
	for _, m := range all {
		if strings.EqualFold(m, mime) {
			return []string{m}, nil
		}
	}
	return nil, &media.SpecError{
		Spec:   "codec " + strings.TrimPrefix(mime, "video/"),
		Reason: "this build encodes " + strings.ReplaceAll(strings.Join(all, ", "), "video/", "") + "; " + strings.Join(lacks(), "; "),
	}
}

func (m mode) String() string {
	s := fmt.Sprintf("%dx%d", m.width, m.height)
	if m.width == 0 {
		s = "any size"
	}
	if m.rate > 0 {
		s += fmt.Sprintf("@%g", math.Round(m.rate*100)/100)
	}
	return s
}

// differs tells if is is not what was asked for.
func differs(asked, is mode) bool {
	return asked.width != 0 && (asked.width != is.width || asked.height != is.height) ||
		asked.rate != 0 && math.Abs(asked.rate-is.rate) > 0.1
}

// ID implements webrtc.TrackLocal.
func (v *videoSource) ID() string { return v.Kind().String() }

// RID implements webrtc.TrackLocal.
func (v *videoSource) RID() string { return v.rid }

// StreamID implements webrtc.TrackLocal.
func (v *videoSource) StreamID() string { return v.streamID }

// Kind implements webrtc.TrackLocal.
func (v *videoSource) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeVideo }

// Codec implements source.Source: what it sends, or before that is settled, what it would like to.
func (v *videoSource) Codec() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.bound {
		return s.key.mime
	}
	return v.hub.mimes[0]
}

// SourceStats is what has been measured of what it sends, or did.
func (v *videoSource) SourceStats() localtrack.Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.bound {
		return s.stats()
	}
	return localtrack.Stats{}
}

// Codecs are the MIME types that it can send, the preferred first.
func (v *videoSource) Codecs() []string { return slices.Clone(v.hub.mimes) }

// Layers are the tracks of a simulcast, the smallest picture first, nil without --simulcast. They have one ID.
func (v *videoSource) Layers() []webrtc.TrackLocal {
	var all []webrtc.TrackLocal
	for _, l := range v.layers {
		all = append(all, l)
	}
	return all
}

// Bind implements webrtc.TrackLocal. Who comes needs a key frame to begin with.
func (v *videoSource) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, codec := range c.CodecParameters() {
		for _, mime := range v.hub.mimes {
			if !strings.EqualFold(codec.MimeType, mime) {
				continue
			}
			return v.bind(v.hub.stream(streamKey{mime, v.halved}), c)
		}
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

func (v *videoSource) bind(s *stream, c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	codec, err := s.live.Bind(c)
	if err == nil {
		s.wantKey() // not before: a key frame that was sent meanwhile would not be for this call
		v.bound[c.ID()] = s
		s.wish(v, v.wish)
	}
	return codec, err
}

// Unbind implements webrtc.TrackLocal.
func (v *videoSource) Unbind(c webrtc.TrackLocalContext) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.bound[c.ID()]
	if s == nil {
		return webrtc.ErrUnbindFailed
	}
	delete(v.bound, c.ID())
	s.wish(v, 0)
	return s.live.Unbind(c)
}

// RequestKeyFrame implements source.KeyFrameRequester: the next picture that is encoded is one.
func (v *videoSource) RequestKeyFrame() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.bound {
		s.wantKey()
	}
	for _, l := range v.layers {
		l.RequestKeyFrame()
	}
}

// SetBitrate is how much this call may send, in bit/s, from the next picture on. It never blocks. The source sends no
// more than VideoOptions.Bitrate in any case, and what calls share is sent at the least of all.
func (v *videoSource) SetBitrate(bitrate int) {
	if bitrate <= 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.wish = bitrate
	for _, s := range v.bound {
		s.wish(v, bitrate)
	}
	// A quarter of the pixels takes about a third of the bits.
	for i, tenth := range []int{1, 2, 7}[:len(v.layers)] {
		v.layers[i].SetBitrate(bitrate * tenth / 10)
	}
}

// Run implements source.Source.
func (v *videoSource) Run(ctx context.Context) error {
	if v.use() {
		return &media.FileError{Path: v.hub.name, Err: errors.New("it has been closed, or runs already")}
	}
	return v.hub.crew.run(ctx)
}

// use tells if the source has been used up, and uses it up.
func (v *videoSource) use() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	used := v.used
	v.used = true
	return used
}

// OnPresence has f told when the device goes away and when it is back; at once if it is away. f must not block, and nil
// ends it, as Close does.
func (v *videoSource) OnPresence(f func(gone bool)) { v.hub.presence.watch(v, f) }

// Close implements source.Source.
func (v *videoSource) Close() error {
	v.use()
	v.OnPresence(nil)
	v.release()
	return nil
}
