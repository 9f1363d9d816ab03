// Package bench measures calls, data channels and encoders within this process.
package bench

import (
	"context"
	"fmt"
	"image"
	"log/slog"
	"slices"
	"strings"
	"time"

	"parley/media"
	"parley/media/device"
)

// Options are the choices of Run.
type Options struct {
	Calls  int           // number of calls to set up
	Length time.Duration // of sending data, and of encoding with each encoder
	Logger *slog.Logger
}

// Result is one measurement.
type Result struct {
	Name        string // such as setup.median
	Value       float64
	Unit        string
	Description string // what was measured
}

// bench is one run.
type bench struct {
	Options
	report func(Result)
}

// Run takes one measurement after the other and calls report with each result. It returns early
// when ctx is done.
func Run(ctx context.Context, o Options, report func(Result)) error {
	b := &bench{o, report}
	if err := b.setUp(ctx); err != nil {
		return err
	}
	if err := b.data(ctx); err != nil {
		return err
	}
	for _, codec := range device.Codecs() {
		if !strings.HasPrefix(codec, "video/") {
			continue
		}
		if err := b.encode(ctx, codec); err != nil {
			return err
		}
	}
	return nil
}

// percentile returns the value below which p of 1 of the sorted durations are, in ms.
func percentile(sorted []time.Duration, p float64) float64 {
	i := min(int(p*float64(len(sorted))), len(sorted)-1)
	return float64(sorted[i].Microseconds()) / 1000
}

// setUp measures the time from the call to a channel that is open at both ends.
func (b *bench) setUp(ctx context.Context) error {
	var took []time.Duration
	for range b.Calls + 1 {
		p, err := newPair(ctx, b.Logger)
		if err != nil {
			return err
		}
		took = append(took, p.took)
		p.close()
	}
	took = took[1:] // the first one warms up
	slices.Sort(took)
	what := fmt.Sprintf("from the call to a channel that is open at both ends; %d calls", len(took))
	b.report(Result{"setup.median", percentile(took, 0.5), "ms", what})
	b.report(Result{"setup.p95", percentile(took, 0.95), "ms", what})
	return nil
}

const (
	pings       = 200
	messageSize = 64 << 10 // bytes
)

// data measures a data channel: the round trip of a short message, then the rate.
func (b *bench) data(ctx context.Context) error {
	p, err := newPair(ctx, b.Logger)
	if err != nil {
		return err
	}
	defer p.close()
	took, err := p.ping(ctx, pings)
	if err != nil {
		return err
	}
	slices.Sort(took)
	what := fmt.Sprintf("there and back, one at a time; %d messages", len(took))
	b.report(Result{"roundtrip.median", percentile(took, 0.5), "ms", what})
	b.report(Result{"roundtrip.p95", percentile(took, 0.95), "ms", what})
	rate, err := p.flood(ctx, b.Length, messageSize)
	if err != nil {
		return err
	}
	b.report(Result{"data", rate * 8 / 1e6, "Mbit/s", "one way, in messages of 64 KiB"})
	return ctx.Err()
}

const width, height, frameRate, bitrate = 640, 480, 30, 1_000_000

// encode measures how many frames an encoder encodes in a second, one after the other.
func (b *bench) encode(ctx context.Context, codec string) error {
	enc, err := device.NewEncoder(codec)(width, height, frameRate, bitrate)
	if err != nil {
		return fmt.Errorf("failed to make an encoder for %s: %w", codec, err)
	}
	defer enc.Close()
	frame := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	n, begun := 0, time.Now()
	for ; time.Since(begun) < b.Length && ctx.Err() == nil; n++ {
		drawPattern(frame, n)
		if _, err := enc.Encode(frame, time.Duration(n)*time.Second/frameRate, n == 0); err != nil {
			return fmt.Errorf("failed to encode with %s: %w", codec, err)
		}
	}
	name := media.CodecName(codec)
	b.report(Result{"encode." + name, float64(n) / time.Since(begun).Seconds(), "frames/s", fmt.Sprintf("%dx%d, one after the other", width, height)})
	return ctx.Err()
}

// drawPattern draws a pattern that moves by two pixels a frame, as with a slow pan.
func drawPattern(p *image.YCbCr, n int) {
	for y := range height {
		row := p.Y[y*p.YStride:][:width]
		for x := range row {
			row[x] = byte(((x+2*n)^y)>>1 + (x+2*n)*y>>7)
		}
	}
}
