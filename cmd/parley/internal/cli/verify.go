package cli

import (
	"context"
	"slices"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/cmd/parley/internal/verification"
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
			v, err := newVerifier(cmd, std)
			if err != nil {
				return err
			}
			defer v.Report.CloseInto(&err)
			return v.Run(ctx, cmd.Args().Slice())
		},
	}
}

func newVerifier(cmd *cli.Command, std stdio.Streams) (*verification.Verifier, error) {
	v := &verification.Verifier{}
	if !cmd.Args().Present() {
		return nil, exit.Usagef("parley verify needs the name of a recording; see parley verify --help")
	}
	for _, text := range cmd.StringSlice("require") {
		q, err := verification.ParseRequirement(text)
		if err != nil {
			return nil, exit.Usagef("--require: %s", sanitize.Text(err.Error()))
		}
		v.Requirements = append(v.Requirements, q)
	}
	var err error
	if v.Size.Width, v.Size.Height, v.Size.FrameRate, err = config.VideoSize(cmd.String("video-size")); err != nil {
		return nil, err
	}
	r, err := readOutput(cmd, std)
	if err != nil {
		return nil, err
	}
	v.Report = r.Report
	return v, nil
}
