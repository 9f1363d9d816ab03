//go:build linux && cgo

package device

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"
	"sync"
	"time"

	"parley/media"
	"parley/media/decoder"
	"parley/media/device/audiodevice"
	"parley/media/device/inventory"
	"parley/media/device/libcodec"
	"parley/media/device/rawframe"
	"parley/media/device/videodevice"
	"parley/media/localtrack"
	"parley/media/source"

	"github.com/pion/webrtc/v4"
)

// videoSource is the source of one call for a shared camera or screen. Its codec is the first of
// the negotiated ones that this build encodes, and known when it is bound.
type videoSource struct {
	capture  *sharedCapture
	streamID string
	rid      string // of a simulcast layer, otherwise empty
	halved   int    // number of times that width and height are halved
	release  func() // called by Close

	mu         sync.Mutex // guards what follows
	bound      map[string]*encodedStream
	layers     []*videoSource
	maxBitrate int
	used       bool // Run or Close was called
}

// openCapture opens the device.
func openCapture(spec, class, id string, o VideoOptions) (*sharedCapture, error) {
	mimes, err := selectCodecs(o.Codec)
	if err != nil {
		return nil, err
	}
	find := videodevice.FindCamera
	switch class {
	case "screen":
		find = videodevice.FindScreen
	case "test":
		find = videodevice.FindTest
	}
	device, err := find(id, videodevice.Mode{Width: o.Width, Height: o.Height, Rate: o.FrameRate})
	if err != nil {
		return nil, &media.FileError{Path: spec, Err: err}
	}
	return startCapture(spec, strings.TrimSpace(class+" "+device.String()), mimes, device, o)
}

func startCapture(spec, name string, mimes []string, device videodevice.Device, o VideoOptions) (*sharedCapture, error) {
	open, err := device.Open()
	if err != nil {
		return nil, &media.FileError{Path: spec, Err: err}
	}
	c := &sharedCapture{name: name, device: device, options: o, mimes: mimes, open: open, streams: make(map[encodingKey]*encodedStream)}
	c.worker.start = c.startTask
	is := open.Mode()
	if requested := (videodevice.Mode{Width: o.Width, Height: o.Height, Rate: o.FrameRate}); is.Differs(requested) {
		o.Warn(fmt.Sprintf("%s sends %s, the nearest it can do to %s", name, is, requested))
	}
	o.Logger.Info("device opened", "device", name, "mode", is.String(), "codecs", mimes)
	return c, nil
}

// source returns the source of one more call.
func (c *sharedCapture) source(o VideoOptions) *videoSource {
	v := &videoSource{capture: c, streamID: o.StreamID, release: c.close, bound: make(map[string]*encodedStream)}
	if v.streamID == "" {
		v.streamID = "parley"
	}
	if o.Simulcast {
		v.layers = []*videoSource{v.layer("q", 2), v.layer("h", 1), v.layer("f", 0)}
	}
	return v
}

// layer returns a simulcast layer. The names are those that web pages use.
func (v *videoSource) layer(rid string, halved int) *videoSource {
	return &videoSource{capture: v.capture, streamID: v.streamID, rid: rid, halved: halved, bound: make(map[string]*encodedStream)}
}

// selectCodecs returns the codecs to choose from: all of this build, or only mime.
func selectCodecs(mime string) ([]string, error) {
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

// ID implements webrtc.TrackLocal.
func (v *videoSource) ID() string { return v.Kind().String() }

// RID implements webrtc.TrackLocal.
func (v *videoSource) RID() string { return v.rid }

// StreamID implements webrtc.TrackLocal.
func (v *videoSource) StreamID() string { return v.streamID }

// Kind implements webrtc.TrackLocal.
func (v *videoSource) Kind() webrtc.RTPCodecType { return webrtc.RTPCodecTypeVideo }

// Codec implements source.Source. It returns the preferred codec until one is negotiated.
func (v *videoSource) Codec() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.bound {
		return s.key.mime
	}
	return v.capture.mimes[0]
}

// SourceStats returns the statistics of what is sent.
func (v *videoSource) SourceStats() localtrack.Stats {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.bound {
		return s.stats()
	}
	return localtrack.Stats{}
}

// Codecs returns the MIME types that can be sent, in order of preference.
func (v *videoSource) Codecs() []string { return slices.Clone(v.capture.mimes) }

// Layers returns the simulcast layers, the smallest first, or nil. They have the same ID.
func (v *videoSource) Layers() []webrtc.TrackLocal {
	var all []webrtc.TrackLocal
	for _, l := range v.layers {
		all = append(all, l)
	}
	return all
}

// Bind implements webrtc.TrackLocal. It requests a key frame.
func (v *videoSource) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	for _, codec := range c.CodecParameters() {
		for _, mime := range v.capture.mimes {
			if !strings.EqualFold(codec.MimeType, mime) {
				continue
			}
			return v.bind(v.capture.stream(encodingKey{mime, v.halved}), c)
		}
	}
	return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
}

func (v *videoSource) bind(s *encodedStream, c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	codec, err := s.track.Bind(c)
	if err == nil {
		s.requestKeyFrame() // after Bind, so that this call gets it
		v.bound[c.ID()] = s
		s.setMaxBitrate(v, v.maxBitrate)
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
	s.setMaxBitrate(v, 0)
	return s.track.Unbind(c)
}

// RequestKeyFrame implements source.KeyFrameRequester. The next frame is a key frame.
func (v *videoSource) RequestKeyFrame() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.bound {
		s.requestKeyFrame()
	}
	for _, l := range v.layers {
		l.RequestKeyFrame()
	}
}

// SetBitrate limits the bitrate of this call in bit/s from the next frame on. It does not block.
// VideoOptions.Bitrate is a limit too, and a stream that calls share has the lowest limit of all.
func (v *videoSource) SetBitrate(bitrate int) {
	if bitrate <= 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.maxBitrate = bitrate
	for _, s := range v.bound {
		s.setMaxBitrate(v, bitrate)
	}
	// A quarter of the pixels needs about a third of the bitrate.
	for i, tenth := range []int{1, 2, 7}[:len(v.layers)] {
		v.layers[i].SetBitrate(bitrate * tenth / 10)
	}
}

// Run implements source.Source.
func (v *videoSource) Run(ctx context.Context) error {
	if v.markUsed() {
		return &media.FileError{Path: v.capture.name, Err: errors.New("it has been closed, or runs already")}
	}
	return v.capture.worker.run(ctx)
}

// markUsed marks the source as used, and reports whether it was before.
func (v *videoSource) markUsed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	used := v.used
	v.used = true
	return used
}

// OnPresence sets a function that is called when the device is lost and when it is back, and at
// once if it is lost. f must not block. A nil f and Close end that.
func (v *videoSource) OnPresence(f func(gone bool)) { v.capture.presence.Watch(v, f) }

// Close implements source.Source.
func (v *videoSource) Close() error {
	v.markUsed()
	v.OnPresence(nil)
	v.release()
	return nil
}

// sharedVideo is an open capture with the number of its users.
type sharedVideo struct {
	capture *sharedCapture
	users   int
}

func (s *Shared) openVideo(spec string, o VideoOptions) (source.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.videos[spec]
	if v == nil {
		class, id, _ := strings.Cut(spec, ":")
		capture, err := openCapture(spec, class, id, o)
		if err != nil {
			return nil, err
		}
		v = &sharedVideo{capture: capture}
		if s.videos == nil {
			s.videos = make(map[string]*sharedVideo)
		}
		s.videos[spec] = v
	}
	v.users++
	source := v.capture.source(o)
	source.release = sync.OnceFunc(func() { s.closeVideo(spec, v) })
	return source, nil
}

func (s *Shared) closeVideo(spec string, v *sharedVideo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.users--; v.users == 0 {
		delete(s.videos, spec)
		v.capture.close()
	}
}

// encodingKey identifies an encoded stream of a capture.
type encodingKey struct {
	mime   string
	halved int // number of times that width and height are halved
}

// encodedStream is the output of one encoder for all calls that use it.
type encodedStream struct {
	key     encodingKey
	track   *localtrack.Track
	bitrate int // bit/s, 0 for the default of the size

	mu          sync.Mutex // guards what follows
	keyFrameDue bool
	maxBitrates map[*videoSource]int // limits in bit/s
	target      int                  // bitrate of the encoder in bit/s, 0 before the first frame
	limitation  string               // SourceStats.Limitation

	// What follows is used by the encoding goroutine only.
	encoder *libcodec.VideoEncoder
	scaler  qualityScaler
	count   int
}

func newEncodedStream(key encodingKey, o VideoOptions) *encodedStream {
	track := localtrack.New(localtrack.Capability(key.mime), o.StreamID, o.Logger)
	track.SetEncoder(libcodec.EncoderName(key.mime))
	return &encodedStream{
		key: key, track: track, bitrate: o.Bitrate >> (2 * key.halved),
		maxBitrates: make(map[*videoSource]int), encoder: libcodec.NewVideoEncoder(key.mime, 0),
	}
}

// requestKeyFrame makes the next frame a key frame.
func (s *encodedStream) requestKeyFrame() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keyFrameDue = true
}

// setMaxBitrate sets the limit of one call in bit/s, 0 for none. The lowest limit applies, since
// the stream is shared.
func (s *encodedStream) setMaxBitrate(call *videoSource, bitrate int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bitrate > 0 {
		s.maxBitrates[call] = bitrate
	} else {
		delete(s.maxBitrates, call)
	}
}

// takeParameters returns the bitrate of the next frame, and whether it is a key frame. defaultRate
// is the default bitrate.
func (s *encodedStream) takeParameters(defaultRate int) (bitrate int, key bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bitrate = s.bitrate; bitrate == 0 {
		bitrate = defaultRate
	}
	for _, limit := range s.maxBitrates {
		bitrate = min(bitrate, limit)
	}
	key, s.keyFrameDue = s.keyFrameDue, false
	return bitrate, key
}

// setLimitation sets the bitrate and the reason of a reduction.
func (s *encodedStream) setLimitation(bitrate, defaultRate int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requested := s.bitrate
	if requested == 0 {
		requested = defaultRate
	}
	s.target, s.limitation = bitrate, "none"
	switch {
	case s.scaler.cpu > s.scaler.network:
		s.limitation = "cpu"
	case s.scaler.network > 0 || bitrate < requested:
		s.limitation = "bandwidth"
	}
}

// stats returns the statistics of what is sent.
func (s *encodedStream) stats() localtrack.Stats {
	all := s.track.SourceStats()
	s.mu.Lock()
	defer s.mu.Unlock()
	all.Bitrate, all.Limitation = s.target, s.limitation
	return all
}

// send encodes a frame and sends it, unless the stream is not bound, congested, or the frame is
// skipped.
func (s *encodedStream) send(sizes *rawframe.Downscaler, rate float64, start time.Time) error {
	if !s.track.Bound() || s.track.Congested() {
		return nil
	}
	if rate <= 0 {
		rate = videodevice.DefaultCameraRate
	}
	full := sizes.Halved(s.key.halved)
	width, height := full.Rect.Dx(), full.Rect.Dy()
	defaultRate := libcodec.DefaultBitrate(width, height, rate)
	bitrate, key := s.takeParameters(defaultRate)
	step := s.scaler.step(width, height, rate, bitrate, full.At)
	s.setLimitation(bitrate, defaultRate)
	if s.count++; s.count%step.every != 0 && !key {
		return nil
	}
	p := sizes.Halved(s.key.halved + step.halved)
	begin := time.Now()
	s.encoder.FrameRate = rate / float64(step.every)
	frame, err := s.encoder.Encode(&p.YCbCr, p.At, key, bitrate)
	if err != nil {
		return err
	}
	s.scaler.addEncodeTime(time.Since(begin), time.Duration(float64(step.every)/rate*float64(time.Second)))
	s.scaler.addFrame(len(frame))
	if len(frame) == 0 { // the encoder drops frames to keep its bitrate
		if key {
			s.requestKeyFrame() // it is still requested
		}
		return nil
	}
	s.track.WriteFrame(frame, p.At.Sub(start))
	return nil
}

// rawEncoder encodes frames that do not come from a device.
type rawEncoder struct {
	*libcodec.VideoEncoder
	size    image.Point
	limit   int // bit/s, 0 for the default of the size
	bitrate int // bit/s
	frame   rawframe.Frame
	start   time.Time
}

func newRawEncoder(mime string, width, height int, rate float64, bitrate int) (source.VideoEncoder, error) {
	mimes, err := selectCodecs(mime)
	if err != nil {
		return nil, err
	}
	e := &rawEncoder{VideoEncoder: libcodec.NewVideoEncoder(mimes[0], rate), size: image.Pt(width, height), limit: bitrate, bitrate: bitrate, start: time.Unix(0, 0)}
	return e, e.Configure(width, height, bitrate)
}

func (e *rawEncoder) Encode(p *image.YCbCr, at time.Duration, key bool) ([]byte, error) {
	e.frame.CopyFrom(p)
	return e.VideoEncoder.Encode(&e.frame.YCbCr, e.start.Add(at), key, e.bitrate)
}

func (e *rawEncoder) SetBitrate(bitrate int) error {
	limit := e.limit
	if limit == 0 {
		limit = libcodec.DefaultBitrate(e.size.X, e.size.Y, e.FrameRate)
	}
	e.bitrate = min(bitrate, limit)
	return e.Configure(e.size.X, e.size.Y, e.bitrate)
}

func codecs() []string { return libcodec.Codecs() }

func lacks() []string { return libcodec.Lacks() }

func newDecoder(mime string) (decoder.Decoder, error) { return libcodec.NewDecoder(mime) }

func list() inventory.All {
	var all inventory.All
	problem := func(err error) {
		if err != nil {
			all.Problems = append(all.Problems, err.Error())
		}
	}
	var err error
	all.Cameras = videodevice.Cameras()
	all.Microphones, all.Speakers, err = audiodevice.List()
	problem(err)
	all.Screens, err = videodevice.Screens()
	problem(err)
	return all
}
