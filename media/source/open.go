package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"parley/media"
	"parley/media/container"

	"github.com/pion/webrtc/v4"
)

// readBufferSize is the size of the buffer of an input in bytes.
const readBufferSize = 64 << 10

// Open returns the video and the audio of one stream, which share one schedule. spec is the path of
// a file, "-" or "exec:COMMAND" as in OpenVideo. Of the options that both have, those of video
// hold. The error is a *media.SpecError or a *media.FileError.
func Open(spec string, v VideoOptions, a AudioOptions) (video, audio Source, err error) {
	v = v.withDefaults()
	if err := checkFrameRate(v.FrameRate); err != nil {
		return nil, nil, err
	}
	err = openInputAs(spec, v.Stdin, v.Loop, v.Opening, func(name string, in input, r *bufio.Reader) error {
		p, err := newPlayer(name, in, r, []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio}, v.Loop, v.StreamID,
			v.Logger, demuxOptions{frameRate: v.FrameRate, bitrate: a.Bitrate})
		if err == nil {
			video, audio = p.tracks[0], p.tracks[1]
		}
		return err
	})
	return video, audio, err
}

func openVideoFile(spec string, o VideoOptions) (s Source, err error) {
	err = openInputAs(spec, o.Stdin, o.Loop, o.Opening, func(name string, in input, r *bufio.Reader) error {
		if format, _ := container.Detect(r); format == container.Y4M {
			s, err = openRaw(name, in, r, o)
			return err
		}
		p, err := newPlayer(name, in, r, []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo}, o.Loop, o.StreamID, o.Logger,
			demuxOptions{frameRate: o.FrameRate})
		if err == nil {
			s = p.tracks[0]
		}
		return err
	})
	return s, err
}

func openAudioFile(spec string, o AudioOptions) (s Source, err error) {
	err = openInputAs(spec, o.Stdin, o.Loop, o.Opening, func(name string, in input, r *bufio.Reader) error {
		p, err := newPlayer(name, in, r, []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}, o.Loop, o.StreamID, o.Logger,
			demuxOptions{bitrate: o.Bitrate})
		if err == nil {
			s = p.tracks[0]
		}
		return err
	})
	return s, err
}

// openInputAs opens the input of spec and passes it to open. The end of ctx, which may be nil, ends
// the wait for a pipe or a program that sends nothing.
func openInputAs(spec string, stdin io.Reader, loop bool, ctx context.Context, open func(name string, in input, r *bufio.Reader) error) error {
	in, name, err := openInput(spec, stdin, loop)
	if err != nil {
		return inputError(name, err)
	}
	if ctx == nil {
		ctx = context.Background()
	}
	stop := context.AfterFunc(ctx, in.cancel)
	err = open(name, in, bufio.NewReaderSize(in, readBufferSize))
	if !stop() && ctx.Err() != nil {
		err = fmt.Errorf("no media arrived: %w", context.Cause(ctx))
	}
	if err == nil {
		return nil
	}
	if media.IsTruncated(err) {
		// What a program wrote to standard error is closer to the cause than the state of its
		// output.
		if cause := in.exitErr(); cause != nil {
			err = cause
		}
	}
	_ = in.Close()
	return inputError(name, err)
}

// inputError adds the name of the input to an error, except to an error of usage. A name that looks
// like no path may be a mistyped source.
func inputError(name string, err error) error {
	if spec := (*media.SpecError)(nil); errors.As(err, &spec) {
		return spec
	}
	if path := (*fs.PathError)(nil); errors.As(err, &path) && errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, `./\`) {
		err = fmt.Errorf("%w, and no source has this name", path.Err)
	}
	return media.WrapFileError(name, err)
}
