package decoder

import (
	"context"
	"image"
	"log/slog"
	"slices"
	"sync"
	"time"

	"parley/media"
	"parley/media/pixel"
)

const (
	maxQueue         = 30          // frames that wait for the decoder; beyond that it continues with a key frame
	keyFrameInterval = time.Second // between requests for a decoder of key frames
)

// ViewerOptions are the options of a Viewer. NewDecoder and Show are required.
type ViewerOptions struct {
	// NewDecoder makes a decoder when the first frame of a codec arrives.
	NewDecoder NewFunc

	// Show is called with each frame, upright, on the goroutine of Run. The frame is valid until it
	// returns.
	Show func(img image.Image)

	// OnFrame is called after Show, with the arrival of the frame. The default does nothing.
	OnFrame func(img image.Image, arrival time.Time)

	// RequestKeyFrame asks the sender for a key frame. The default does nothing.
	RequestKeyFrame func()

	// Warn is called with a text for a user when a codec cannot be decoded, or only its key frames.
	// The default does nothing.
	Warn func(text string)

	// Logger gets errors of single frames. The default discards them.
	Logger *slog.Logger
}

// A Viewer decodes the video of a track for display. A Viewer is a media.FrameSink that never holds
// up the track: when it is too slow it continues with the next key frame.
type Viewer struct {
	o ViewerOptions

	rotator pixel.Rotator // of the goroutine of Run

	mu       sync.Mutex // guards what follows
	queue    []media.Frame
	waitsKey bool // frames are dropped until a key frame
	stats    ViewerStats
	freezes  freezeDetector
	queued   chan struct{} // has capacity 1
}

// NewViewer returns a Viewer. The caller calls Run.
func NewViewer(o ViewerOptions) *Viewer {
	if o.OnFrame == nil {
		o.OnFrame = func(image.Image, time.Time) {}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.RequestKeyFrame == nil {
		o.RequestKeyFrame = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Viewer{o: o, waitsKey: true, queued: make(chan struct{}, 1)}
}

// WriteFrame implements media.FrameSink.
func (v *Viewer) WriteFrame(f media.Frame) error {
	if !v.enqueue(f) {
		v.o.RequestKeyFrame()
	}
	return nil
}

// enqueue queues a frame, and reports false if a key frame is needed instead.
func (v *Viewer) enqueue(f media.Frame) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.queue) >= maxQueue {
		v.queue, v.waitsKey = nil, true
	}
	v.waitsKey = (v.waitsKey || f.Gap) && !f.Key
	if v.waitsKey {
		return false
	}
	f.Data = slices.Clone(f.Data)
	v.queue = append(v.queue, f)
	select {
	case v.queued <- struct{}{}:
	default:
	}
	return true
}

func (v *Viewer) dequeue() []media.Frame {
	v.mu.Lock()
	defer v.mu.Unlock()
	frames := v.queue
	v.queue = nil
	return frames
}

// Run decodes until ctx ends.
func (v *Viewer) Run(ctx context.Context) {
	var decoder Decoder
	codec := ""
	defer func() {
		if decoder != nil {
			decoder.Close()
		}
	}()
	ticker := time.NewTicker(keyFrameInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if decoder != nil && decoder.KeyFramesOnly() {
				v.o.RequestKeyFrame()
			}
			continue
		case <-v.queued:
		}
		for _, f := range v.dequeue() {
			if f.Codec != codec {
				if decoder != nil {
					decoder.Close()
				}
				codec, decoder = f.Codec, v.newDecoder(f.Codec)
			}
			if decoder != nil && ctx.Err() == nil {
				v.decode(decoder, f)
			}
		}
	}
}

// newDecoder returns a decoder, or nil after a warning.
func (v *Viewer) newDecoder(mime string) Decoder {
	d, err := v.o.NewDecoder(mime)
	if err != nil {
		v.o.Warn(media.CodecName(mime) + " is not shown: " + err.Error())
		return nil
	}
	if d.KeyFramesOnly() {
		v.o.Warn("only key frames of " + media.CodecName(mime) + " are shown: this build cannot decode the frames between; build it with cgo, or install ffmpeg")
	}
	return d
}

func (v *Viewer) decode(d Decoder, f media.Frame) {
	if r, ok := d.(interface{ setRotation(degrees int) }); ok {
		r.setRotation(f.Rotation)
	}
	start := time.Now()
	img, err := d.Decode(f.Data)
	v.count(f, start, err == nil && img != nil)
	if err != nil {
		v.o.Logger.Debug("frame is not decoded", "codec", f.Codec, "error", err)
		v.mu.Lock()
		v.waitsKey = true
		v.mu.Unlock()
		v.o.RequestKeyFrame()
		return
	}
	if img == nil {
		return
	}
	if p, ok := img.(*image.YCbCr); ok {
		img = v.rotator.Rotate(p, f.Rotation)
	}
	v.o.Show(img)
	v.o.OnFrame(img, f.Arrival)
}

// ViewerStats is what a Viewer has decoded so far.
type ViewerStats struct {
	// SSRC of the latest frame. The other fields count since it changed.
	SSRC uint32
	// Frames is the number of decoded frames, KeyFrames that of the key frames among them.
	Frames, KeyFrames uint64
	// Took is the total time that decoding took.
	Took time.Duration
	// Freezes is the number of freezes, Frozen their total duration.
	Freezes uint64
	Frozen  time.Duration
}

// Stats returns what has been decoded so far. It may be called from any goroutine.
func (v *Viewer) Stats() ViewerStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stats
}

// count counts a frame whose decoding began at start.
func (v *Viewer) count(f media.Frame, start time.Time, decoded bool) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stats.SSRC != f.SSRC {
		v.stats, v.freezes = ViewerStats{SSRC: f.SSRC}, freezeDetector{}
	}
	v.stats.Took += now.Sub(start)
	if !decoded {
		return
	}
	v.stats.Frames++
	if f.Key {
		v.stats.KeyFrames++
	}
	if d, frozen := v.freezes.next(now); frozen {
		v.stats.Freezes, v.stats.Frozen = v.stats.Freezes+1, v.stats.Frozen+d
	}
}

const (
	freezeWindow = 30                     // frames of the average
	minFreeze    = 150 * time.Millisecond // beyond the average
	maxFreeze    = 5 * time.Second        // what is longer is a pause
)

// freezeDetector finds frames that were shown for longer than three times the average of the latest
// ones, and 150 ms beyond it
// (https://www.w3.org/TR/webrtc-stats/#dom-rtcinboundrtpstreamstats-freezecount).
type freezeDetector struct {
	last      time.Time
	durations [freezeWindow]time.Duration // a ring
	count     int
	sum       time.Duration // of durations
}

// next takes the time of a frame, and returns for how long the one before was shown, and whether
// that was a freeze.
func (f *freezeDetector) next(now time.Time) (shown time.Duration, frozen bool) {
	if f.last.IsZero() {
		f.last = now
		return 0, false
	}
	shown = now.Sub(f.last)
	f.last = now
	if f.count > 0 {
		average := f.sum / time.Duration(min(f.count, freezeWindow))
		frozen = shown > max(3*average, average+minFreeze) && shown <= maxFreeze
	}
	slot := &f.durations[f.count%freezeWindow]
	f.sum += shown - *slot
	*slot = shown
	f.count++
	return shown, frozen
}
