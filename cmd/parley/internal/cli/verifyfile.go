package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/stdio"
	"parley/media/decoder"
	"parley/media/device"
	"parley/media/quality/verify"
)

func verifyCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "measure the test signals in a recording",
		ArgsUsage: "FILE...",
		Description: `Reads a recording of what parley sends with --video test and --audio test, made by
any program, browser or server. Each frame contains its number, and the audio a code.
The report has missing and repeated frames, freezes and gaps, the offset between audio
and video, and the similarity to the frames that were sent (PSNR).

   parley verify call.webm
   parley verify call.mp4 --require 'video.psnr>=30' --require 'av-sync<=90'
   parley verify call.mp4 --require 'video.frames.lost<=5'
   parley verify *.webm --output ndjson

WebM, Matroska, MP4, IVF, H.264 and Ogg are read by parley, all else by ffmpeg, if
it is installed. Video that was recorded in another size than it was sent in
needs --video-size, of the sender, to be compared.

The exit code is 0 if the recording is of a test source and all requirements hold, 3
if not, and 20 if it cannot be read.`,
		Flags: slices.Concat([]cli.Flag{
			config.Strings("require", "`METRIC OP NUMBER` that has to hold, such as video.psnr>=30 or audio.gap<=100; repeatable"),
			config.String("video-size", "", "`WxH[@RATE]` of the test video as it was sent; default: as it was recorded"),
		}, config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			v, err := newFileVerifier(cmd, std)
			if err != nil {
				return err
			}
			defer v.resources.Report.CloseInto(&err)
			return v.run(ctx, cmd.Args().Slice())
		},
	}
}

// fileVerifier is parley verify.
type fileVerifier struct {
	resources *resources.Resources
	size      config.MediaOut // of the test video as it was sent
	required  []string
}

func newFileVerifier(cmd *cli.Command, std stdio.Streams) (v *fileVerifier, err error) {
	v = &fileVerifier{required: cmd.StringSlice("require")}
	if !cmd.Args().Present() {
		return nil, exit.Usagef("parley verify needs the name of a recording; see parley verify --help")
	}
	for _, text := range v.required {
		q, err := scenario.ParseRequirement(text)
		if err != nil {
			return nil, exit.Usagef("--require: %s", sanitize.Text(err.Error()))
		}
		if !mediain.IsQuality(q.Metric()) || strings.Contains(q.Metric(), "latency") {
			return nil, exit.Usagef("--require %s: a recording says nothing of %s", sanitize.Text(text), q.Metric())
		}
	}
	if v.size.Width, v.size.Height, v.size.FrameRate, err = config.VideoSize(cmd.String("video-size")); err != nil {
		return nil, err
	}
	v.resources, err = readOutput(cmd, std)
	return v, err
}

// run verifies files, and fails if any of them does.
func (v *fileVerifier) run(ctx context.Context, paths []string) error {
	var bad error
	for _, path := range paths {
		err := v.file(ctx, path)
		if i := exit.Interruption(ctx); i != nil {
			return i
		}
		if err != nil && len(paths) > 1 && exit.CodeOf(err) == exit.Expectation {
			v.resources.Report.Warnf("%v", err)
		} else if err != nil && exit.CodeOf(err) != exit.Expectation {
			return err
		}
		if bad == nil {
			bad = err
		}
	}
	v.resources.Report.Report(event.Event{Name: "verdict", Fields: event.Fields("ok", bad == nil)})
	return bad
}

// file verifies one file and reports the result.
func (v *fileVerifier) file(ctx context.Context, path string) error {
	found, err := verify.File(ctx, path, verify.Options{
		NewDecoder: decoder.First(device.NewDecoder, decoder.NewKeyFrame), Width: v.size.Width, Height: v.size.Height, FrameRate: v.size.FrameRate,
		Warn: func(sentence string) {
			v.resources.Report.Warnf("%s: %s", sanitize.Text(path), sanitize.Text(sentence))
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
	for _, text := range v.required {
		q, _ := scenario.ParseRequirement(text) // as newFileVerifier has seen
		q.Check([]scenario.Result{{Metrics: facts}})
		one := event.Fields("check", text, "held", q.Held)
		saw := "not measured"
		if value, ok := facts[q.Metric()]; ok {
			saw = strconv.FormatFloat(value, 'f', -1, 64)
			one = append(one, event.Field{Key: "saw", Value: value})
		}
		if !q.Held {
			broken = append(broken, fmt.Sprintf("%s (%s)", text, saw))
		}
		requirements = append(requirements, one)
	}
	if requirements != nil {
		fields = append(fields, event.Field{Key: "requirements", Value: requirements})
	}
	v.resources.Report.Report(event.Event{Name: "verified", Fields: fields, Output: table})
	switch {
	case facts == nil:
		return exit.Errorf(exit.Expectation, "%s: contains neither test video nor test audio; want a recording of --video test or --audio test", sanitize.Text(path))
	case broken != nil:
		return exit.Errorf(exit.Expectation, "%s: does not hold: %s", sanitize.Text(path), sanitize.Text(strings.Join(broken, "; ")))
	}
	return nil
}

// table is what was found, for people.
func (v *fileVerifier) table(path string, found verify.Result, facts map[string]float64) string {
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
