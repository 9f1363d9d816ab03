package main

import (
	"context"
	"fmt"
	"image"
	"slices"
	"time"

	"parley/media/device"
)

const (
	benchPings   = 200
	benchMessage = 64 << 10 // bytes
)

// data measures a data channel: the round trip of a short message, then the rate.
func (b *bench) data(ctx context.Context) error {
	pair, err := newBenchPair(ctx, b.logger)
	if err != nil {
		return err
	}
	defer pair.close()
	took, err := pair.pings(ctx, benchPings)
	if err != nil {
		return err
	}
	slices.Sort(took)
	what := fmt.Sprintf("to and fro, one at a time; %d messages", len(took))
	b.tell("roundtrip.median", percentile(took, 0.5), "ms", what)
	b.tell("roundtrip.p95", percentile(took, 0.95), "ms", what)
	rate, err := pair.flood(ctx, b.length, benchMessage)
	if err != nil {
		return err
	}
	b.tell("data", rate*8/1e6, "Mbit/s", "one way, in messages of 64 KiB")
	return ctx.Err()
}

const benchWidth, benchHeight, benchRate, benchBitrate = 640, 480, 30, 1_000_000

// encode measures how many pictures one encoder makes in a second, one after the other.
func (b *bench) encode(ctx context.Context, codec string) error {
	enc, err := device.NewEncoder(codec)(benchWidth, benchHeight, benchRate, benchBitrate)
	if err != nil {
		return fmt.Errorf("failed to make an encoder: %w", err)
	}
	defer enc.Close()
	picture := image.NewYCbCr(image.Rect(0, 0, benchWidth, benchHeight), image.YCbCrSubsampleRatio420)
	n, begun := 0, time.Now()
	for ; time.Since(begun) < b.length && ctx.Err() == nil; n++ {
		drift(picture, n)
		if _, err := enc.Encode(picture, time.Duration(n)*time.Second/benchRate, n == 0); err != nil {
			return fmt.Errorf("failed to encode: %w", err)
		}
	}
	b.tell("encode."+codecName(codec), float64(n)/time.Since(begun).Seconds(), "pictures/s", size(benchWidth, benchHeight)+", one after the other")
	return ctx.Err()
}

// drift draws a pattern that moves by two pixels a picture, as a slow pan does.
func drift(p *image.YCbCr, n int) {
	for y := range benchHeight {
		row := p.Y[y*p.YStride:][:benchWidth]
		for x := range row {
			row[x] = byte(((x+2*n)^y)>>1 + (x+2*n)*y>>7)
		}
	}
}
