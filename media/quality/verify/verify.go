// Package verify measures the test signals in a recording.
package verify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"parley/media"
	"parley/media/container"
	"parley/media/decoder"
	"parley/media/quality"

	"github.com/pion/webrtc/v4"
)

// Options are the options of File. The zero value works.
type Options struct {
	// NewDecoder decodes video; Decode returns the image of each frame. The default decodes key
	// frames of VP8.
	NewDecoder decoder.NewFunc

	// Width, Height and FrameRate of the test video as it was sent, as in quality.AnalyzerOptions.
	Width, Height int
	FrameRate     float64

	// Warn reports what could not be read. The default discards it.
	Warn func(text string)
}

// Result is what File measured. Times are those of the file.
type Result struct {
	quality.Report
	// VideoCodec and AudioCodec are codec names such as VP8, empty if there is no such track or
	// ffmpeg decoded it.
	VideoCodec, AudioCodec string
	// Duration is that of the longer track.
	Duration time.Duration
}

// File measures a recording of the test signals: WebM, Matroska, MP4, IVF, H.264, Ogg, and what
// else ffmpeg reads, if it is installed. A broken file is measured up to the error, which Warn
// reports. The error of a file in which nothing can be read is a *media.FileError.
func File(ctx context.Context, path string, o Options) (Result, error) {
	if o.NewDecoder == nil {
		o.NewDecoder = decoder.NewKeyFrame
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	v := &verifier{
		ctx: ctx, path: path, o: o,
		analyzer: quality.NewAnalyzer(quality.AnalyzerOptions{FrameRate: o.FrameRate, Width: o.Width, Height: o.Height}),
	}
	video := v.measure(webrtc.RTPCodecTypeVideo, v.readVideo, v.transcodeVideo)
	audio := v.measure(webrtc.RTPCodecTypeAudio, v.readAudio, v.transcodeAudio)
	if ctx.Err() != nil {
		return v.result, context.Cause(ctx)
	}
	if !v.hasVideo && !v.hasAudio {
		if video != nil && audio != nil && video.Error() == audio.Error() {
			audio = nil
		}
		return v.result, errors.Join(video, audio)
	}
	if v.hasVideo && video != nil {
		o.Warn("video is incomplete: " + video.Error())
	}
	if v.hasAudio && audio != nil {
		o.Warn("audio is incomplete: " + audio.Error())
	}
	v.result.Report, v.result.Duration = v.analyzer.Report(v.end), v.end
	return v.result, nil
}

// verifier reads one file, one track after the other.
type verifier struct {
	ctx                context.Context
	path               string
	o                  Options
	analyzer           *quality.Analyzer
	result             Result
	hasVideo, hasAudio bool // a frame, or packet, was measured
	end                time.Duration
}

// readFunc reads the samples of one track.
type readFunc func(d media.Demuxer, codec webrtc.RTPCodecCapability) error

// measure reads the track of a kind itself, or by ffmpeg if that fails.
func (v *verifier) measure(kind webrtc.RTPCodecType, read readFunc, transcode func() error) error {
	err := v.readTrack(kind, read)
	if err == nil || v.ctx.Err() != nil || errors.Is(err, errOpen) {
		return err
	}
	if kind == webrtc.RTPCodecTypeVideo {
		v.analyzer.ResetVideo()
		v.hasVideo = false
	} else if v.hasAudio {
		return err // what was measured of a broken file counts
	}
	if transcode() != nil && !v.hasVideo {
		return err
	}
	return nil
}

var errOpen = errors.New("cannot be opened")

// readTrack reads the first track of a kind until its end or an error.
func (v *verifier) readTrack(kind webrtc.RTPCodecType, read readFunc) error {
	file, err := os.Open(v.path)
	if err != nil {
		return fmt.Errorf("%w: %w", errOpen, media.WrapFileError(v.path, err))
	}
	defer file.Close()
	in := media.Input{Reader: bufio.NewReaderSize(file, 64<<10), Warn: v.o.Warn}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return fmt.Errorf("%w: %w", errOpen, media.WrapFileError(v.path, errors.New("is a folder")))
	} else if err == nil && info.Mode().IsRegular() {
		in.ReaderAt, in.Size = file, info.Size()
	}
	return media.WrapFileError(v.path, v.readFirst(in, kind, read))
}

func (v *verifier) readFirst(in media.Input, kind webrtc.RTPCodecType, read readFunc) error {
	d, err := container.Open(in)
	if err != nil {
		return err
	}
	for i, track := range d.Tracks() {
		if media.KindOf(track.Codec.MimeType) != kind {
			continue
		}
		if track.Err != nil {
			return track.Err
		}
		if err := d.Select(i); err != nil {
			return err
		}
		return read(d, track.Codec)
	}
	return fmt.Errorf("contains no %s", kind)
}

// readSamples passes all samples of the selected track to handle.
func (v *verifier) readSamples(d media.Demuxer, codec webrtc.RTPCodecCapability, handle func(s media.Sample, at time.Duration) error) error {
	for v.ctx.Err() == nil {
		s, err := d.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := media.TicksToDuration(int64(s.Time), codec.ClockRate) //nolint:gosec // demuxers bound it
		v.end = max(v.end, at)
		if err := handle(s, at); err != nil {
			return err
		}
	}
	return nil
}

// readVideo decodes a track. The error of a track that cannot be decoded completely lets ffmpeg
// try.
func (v *verifier) readVideo(demuxer media.Demuxer, codec webrtc.RTPCodecCapability) error {
	d, err := decoder.KeyFramesFirst(v.o.NewDecoder)(codec.MimeType)
	if err != nil {
		return err
	}
	defer d.Close()
	v.result.VideoCodec = media.CodecName(codec.MimeType)
	return v.readSamples(demuxer, codec, func(s media.Sample, at time.Duration) error {
		img, err := d.Decode(s.Data)
		if err == nil && img == nil && d.KeyFramesOnly() {
			err = errors.New("this build decodes only key frames; use a build with cgo, or install ffmpeg")
		}
		if img != nil {
			v.hasVideo = true
			v.analyzer.WriteImage(img, at)
		}
		return err
	})
}

func (v *verifier) readAudio(demuxer media.Demuxer, codec webrtc.RTPCodecCapability) error {
	switch codec.MimeType {
	case webrtc.MimeTypeOpus, webrtc.MimeTypePCMU, webrtc.MimeTypePCMA:
	default:
		return fmt.Errorf("%s needs ffmpeg", media.CodecName(codec.MimeType))
	}
	v.result.AudioCodec = media.CodecName(codec.MimeType)
	return v.readSamples(demuxer, codec, func(s media.Sample, at time.Duration) error {
		v.hasAudio = true
		v.analyzer.WriteAudio(codec.MimeType, s.Data, uint32(s.Time), at) //nolint:gosec // wraps by design
		return nil
	})
}
