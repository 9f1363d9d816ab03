package decoder

import (
	"context"
	"image"
	"log/slog"
	"slices"
	"sync"
	"time"

	"parley/media"
)

const (
	viewerQueue = 30          // frames that wait for the decoder; more and it starts again with a key frame
	viewerPace  = time.Second // between requests where only key frames are shown
)

// ViewerOptions are the options of a Viewer.
type ViewerOptions struct {
	// NewFunc makes the decoder, when the first frame comes.
	NewDecoder NewFunc

	// Show takes each picture, which is valid until it returns, on the goroutine of Run. While it runs frames wait.
	Show func(img image.Image)

	// OnFrame takes each picture as well, with the arrival of its frame. The default is nobody.
	OnFrame func(img image.Image, came time.Time)

	// RequestKeyFrame asks the sender for a key frame. The default waits for one that comes by itself.
	RequestKeyFrame func()

	// Warn gets a sentence when a codec cannot be decoded, or only its key frames. The default discards it.
	Warn func(sentence string)

	// Logger gets what cannot be decoded. The default discards it.
	Logger *slog.Logger
}

// A Viewer decodes the video of a call, beside whoever else takes its frames: it is a media.FrameSink that never holds up a
// track. When it cannot keep up it goes on with the next key frame.
type Viewer struct {
	o ViewerOptions

	mu       sync.Mutex // guards what follows
	queue    []media.Frame
	waitsKey bool
	stats    ViewerStats
	seen     freezes
	more     chan struct{} // has room for one
}

// NewViewer returns a Viewer. Run does the work.
func NewViewer(o ViewerOptions) *Viewer {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.RequestKeyFrame == nil {
		o.RequestKeyFrame = func() {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Viewer{o: o, waitsKey: true, more: make(chan struct{}, 1)}
}

// WriteFrame implements media.FrameSink.
func (v *Viewer) WriteFrame(f media.Frame) error {
	if v.add(f) {
		v.o.RequestKeyFrame()
	}
	return nil
}

// add queues a frame, and tells if a key frame is needed.
func (v *Viewer) add(f media.Frame) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.queue) >= viewerQueue {
		v.queue, v.waitsKey = nil, true
	}
	v.waitsKey = (v.waitsKey || f.Gap) && !f.Key
	if v.waitsKey {
		return true
	}
	f.Data = slices.Clone(f.Data)
	v.queue = append(v.queue, f)
	select {
	case v.more <- struct{}{}:
	default:
	}
	return false
}

func (v *Viewer) take() []media.Frame {
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
	asks := time.NewTicker(viewerPace)
	defer asks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-asks.C:
			if decoder != nil && decoder.KeyFramesOnly() {
				v.o.RequestKeyFrame()
			}
			continue
		case <-v.more:
		}
		for _, f := range v.take() {
			if f.Codec != codec {
				if decoder != nil {
					decoder.Close()
				}
				codec, decoder = f.Codec, v.decoder(f.Codec)
			}
			if decoder != nil && ctx.Err() == nil {
				v.decode(decoder, f)
			}
		}
	}
}

// decoder is nil if there is none, which is told.
func (v *Viewer) decoder(mime string) Decoder {
	d, err := v.o.NewDecoder(mime)
	if err != nil {
		v.o.Warn(media.CodecName(mime) + " is not shown: " + err.Error())
		return nil
	}
	if d.KeyFramesOnly() {
		v.o.Warn("only key frames of " + media.CodecName(mime) + " are shown: this build cannot decode what is between; build it with cgo, or install ffmpeg")
	}
	return d
}

func (v *Viewer) decode(d Decoder, f media.Frame) {
	begun := time.Now()
	img, err := d.Decode(f.Data)
	v.decoded(f, begun, err == nil && img != nil)
	if err != nil {
		v.o.Logger.Debug("picture left out", "codec", f.Codec, "error", err)
		v.mu.Lock()
		v.waitsKey = true
		v.mu.Unlock()
		v.o.RequestKeyFrame()
		return
	}
	if img == nil {
		return
	}
	v.o.Show(img)
	if v.o.OnFrame != nil {
		v.o.OnFrame(img, f.Arrival)
	}
}
