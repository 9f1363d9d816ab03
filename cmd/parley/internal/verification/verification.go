// Package verification checks recordings of the test signals for parley verify.
package verification

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/scenario"
	"parley/media/decoder"
	"parley/media/device"
	"parley/media/quality/verify"
)

// Verifier verifies recordings.
type Verifier struct {
	Report *event.Reporter
	// Size is that of the test video as it was sent. Zero fields: as it was recorded.
	Size Size
	// Requirements have to hold for each file.
	Requirements []scenario.Requirement
}

// Size is a size in pixels, and a number of frames per second.
type Size struct {
	Width, Height int
	FrameRate     float64
}

// ParseRequirement parses a requirement of what a recording shows.
func ParseRequirement(text string) (scenario.Requirement, error) {
	q, err := scenario.ParseRequirement(text)
	if err != nil {
		return q, err
	}
	if !mediain.IsQuality(q.Metric()) || strings.Contains(q.Metric(), "latency") {
		return q, fmt.Errorf("a recording does not show %s", q.Metric())
	}
	return q, nil
}

// Run verifies files and reports what it finds. It returns the first failure; a file that cannot be
// read ends it.
func (v *Verifier) Run(ctx context.Context, paths []string) error {
	var bad error
	for _, path := range paths {
		err := v.file(ctx, path)
		if i := exit.Interruption(ctx); i != nil {
			return i
		}
		if err != nil && len(paths) > 1 && exit.CodeOf(err) == exit.Expectation {
			v.Report.Warnf("%v", err)
		} else if err != nil && exit.CodeOf(err) != exit.Expectation {
			return err
		}
		if bad == nil {
			bad = err
		}
	}
	v.Report.Report(event.Event{Name: "verdict", Fields: event.Fields("ok", bad == nil)})
	return bad
}

// file verifies one file and reports the result.
func (v *Verifier) file(ctx context.Context, path string) error {
	found, err := verify.File(ctx, path, verify.Options{
		NewDecoder: decoder.First(device.NewDecoder, decoder.NewKeyFrame), Width: v.Size.Width, Height: v.Size.Height, FrameRate: v.Size.FrameRate,
		Warn: func(sentence string) {
			v.Report.Warnf("%s: %s", sanitize.Text(path), sanitize.Text(sentence))
		},
	})
	if err != nil {
		return exit.Errorf(exit.Device, "%s", sanitize.Text(err.Error()))
	}
	facts := mediain.QualityFacts(found.Report)
	if facts["video.frames.identified"]+facts["audio.markers"] == 0 { // what else there is says nothing
		facts = nil
	}
	fields := event.Fields("file", path, "seconds", found.Duration.Seconds())
	for _, codec := range event.Fields("video_codec", found.VideoCodec, "audio_codec", found.AudioCodec) {
		if codec.Value != "" {
			fields = append(fields, codec)
		}
	}
	fields = append(fields, mediain.QualityFields(facts)...)
	table := v.table(path, found, facts)
	var requirements [][]event.Field
	var broken []string
	for _, q := range v.Requirements {
		q.Check([]scenario.Result{{Metrics: facts}})
		one := event.Fields("check", q.Text, "held", q.Held)
		saw := "not measured"
		if value, ok := facts[q.Metric()]; ok {
			saw = strconv.FormatFloat(value, 'f', -1, 64)
			one = append(one, event.Field{Key: "saw", Value: value})
		}
		if !q.Held {
			broken = append(broken, fmt.Sprintf("%s (%s)", q.Text, saw))
		}
		requirements = append(requirements, one)
	}
	if requirements != nil {
		fields = append(fields, event.Field{Key: "requirements", Value: requirements})
	}
	v.Report.Report(event.Event{Name: "verified", Fields: fields, Output: table})
	switch {
	case facts == nil:
		return exit.Errorf(exit.Expectation, "%s: contains neither test video nor test audio; want a recording of --video test or --audio test", sanitize.Text(path))
	case broken != nil:
		return exit.Errorf(exit.Expectation, "%s: does not hold: %s", sanitize.Text(path), sanitize.Text(strings.Join(broken, "; ")))
	}
	return nil
}

// table returns the result as text.
func (v *Verifier) table(path string, found verify.Result, facts map[string]float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %.1f s", sanitize.Text(path), found.Duration.Seconds())
	for _, codec := range []string{found.VideoCodec, found.AudioCodec} {
		if codec != "" {
			b.WriteString(", " + sanitize.Text(codec))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(facts)) {
		fmt.Fprintf(&b, "\n  %-23s %8s  %s", key, strconv.FormatFloat(facts[key], 'f', -1, 64), mediain.QualityKeys()[key])
	}
	return b.String()
}
