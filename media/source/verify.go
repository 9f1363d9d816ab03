package source

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

	"github.com/pion/webrtc/v4"
)

// VerifyOptions are the options of VerifyFile. The zero value works.
type VerifyOptions struct {
	// NewDecoder decodes pictures, each before its Decode returns. The default is what pure Go can do, key frames of
	// VP8.
	NewDecoder decoder.NewFunc

	// Width, Height and Rate of the test picture as it was sent, as in JudgeOptions.
	Width, Height int
	Rate          float64

	// Tell gets a sentence on what could not be looked at. The default discards it.
	Tell func(sentence string)
}

// Verified is what VerifyFile found out. Times are those of the file.
type Verified struct {
	Quality
	// VideoCodec and AudioCodec are the names people know, "" if there is no such track, or ffmpeg read it.
	VideoCodec, AudioCodec string
	// Duration is that of the longer track.
	Duration time.Duration
}

// VerifyFile judges a recording of the sources "test", whoever recorded it: WebM, Matroska, MP4, IVF, H.264, Ogg, and
// what else ffmpeg reads, if it is installed. Where a file is broken, what comes before is judged, and the rest is told.
// The error of a file in which nothing can be read is a *media.FileError.
func VerifyFile(ctx context.Context, path string, o VerifyOptions) (Verified, error) {
	if o.NewDecoder == nil {
		o.NewDecoder = decoder.NewKeyFrame
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	v := &verifier{ctx: ctx, path: path, o: o, judge: NewJudge(JudgeOptions{Rate: o.Rate, Width: o.Width, Height: o.Height})}
	pictures := v.look(webrtc.RTPCodecTypeVideo, v.pictures, v.foreignPictures)
	sounds := v.look(webrtc.RTPCodecTypeAudio, v.sounds, v.foreignSounds)
	if ctx.Err() != nil {
		return v.found, context.Cause(ctx)
	}
	if !v.saw && !v.heard {
		return v.found, errors.Join(pictures, onlyOther(sounds, pictures))
	}
	if v.saw && pictures != nil {
		o.Tell("the video is not whole: " + pictures.Error())
	}
	if v.heard && sounds != nil {
		o.Tell("the audio is not whole: " + sounds.Error())
	}
	v.found.Quality, v.found.Duration = v.judge.Quality(v.end), v.end
	return v.found, nil
}

// onlyOther is err, unless it says the same as another.
func onlyOther(err, than error) error {
	if err != nil && than != nil && err.Error() == than.Error() {
		return nil
	}
	return err
}

// verifier reads one file, one track after the other.
type verifier struct {
	ctx        context.Context
	path       string
	o          VerifyOptions
	judge      *Judge
	found      Verified
	saw, heard bool // a picture, a packet of sound
	end        time.Duration
}

// look reads a track by itself, or by ffmpeg where that does not do.
func (v *verifier) look(kind webrtc.RTPCodecType, read func(media.Demuxer, webrtc.RTPCodecCapability) error, foreign func() error) error {
	err := v.track(kind, read)
	if err == nil || v.ctx.Err() != nil || errors.Is(err, errMissingFile) {
		return err
	}
	if kind == webrtc.RTPCodecTypeVideo {
		v.judge.forgetPictures()
		v.saw = false
	} else if v.heard {
		return err // a broken file: what was heard of it counts
	}
	if other := foreign(); other != nil && !v.saw {
		return err
	}
	return nil
}

var errMissingFile = errors.New("it cannot be opened")

// track reads all frames of a kind, until the end or an error.
func (v *verifier) track(kind webrtc.RTPCodecType, read func(media.Demuxer, webrtc.RTPCodecCapability) error) error {
	file, err := os.Open(v.path)
	if err != nil {
		return fmt.Errorf("%w: %w", errMissingFile, media.WrapFileError(v.path, err))
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return media.WrapFileError(v.path, err)
	}
	in := media.Input{Reader: bufio.NewReaderSize(file, readBufferSize), Warn: v.o.Tell}
	if info.Mode().IsRegular() {
		in.ReaderAt, in.Size = file, info.Size()
	}
	demuxer, err := container.Open(in)
	if err != nil {
		return media.WrapFileError(v.path, err)
	}
	i, err := container.FirstTrack(demuxer.Tracks(), kind)
	if err == nil {
		err = demuxer.Select(i)
	}
	if err == nil {
		err = read(demuxer, demuxer.Tracks()[i].Codec)
	}
	return media.WrapFileError(v.path, err)
}

// all hands over the frames of a track.
func (v *verifier) all(demuxer media.Demuxer, codec webrtc.RTPCodecCapability, take func(data []byte, timestamp uint64, at time.Duration) error) error {
	for v.ctx.Err() == nil {
		s, err := demuxer.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := media.TicksToDuration(int64(s.Time), codec.ClockRate) //nolint:gosec // the readers bound it
		v.end = max(v.end, at)
		if err := take(s.Data, s.Time, at); err != nil {
			return err
		}
	}
	return nil
}

// pictures decodes a track. One that is not decoded whole is an error: somebody else may be able to.
func (v *verifier) pictures(demuxer media.Demuxer, codec webrtc.RTPCodecCapability) error {
	d, err := decoder.KeyFramesFirst(v.o.NewDecoder)(codec.MimeType)
	if err != nil {
		return err
	}
	defer d.Close()
	v.found.VideoCodec = media.CodecName(codec.MimeType)
	return v.all(demuxer, codec, func(data []byte, _ uint64, at time.Duration) error {
		img, err := d.Decode(data)
		if err == nil && img == nil && d.KeyFramesOnly() {
			err = errors.New("only its key frames can be decoded by this build; build it with cgo, or install ffmpeg")
		}
		if img != nil {
			v.saw = true
			v.judge.Picture(img, at)
		}
		return err
	})
}

func (v *verifier) sounds(demuxer media.Demuxer, codec webrtc.RTPCodecCapability) error {
	if codec.MimeType != webrtc.MimeTypeOpus {
		return fmt.Errorf("%s is not decoded without ffmpeg", media.CodecName(codec.MimeType))
	}
	v.found.AudioCodec = media.CodecName(codec.MimeType)
	return v.all(demuxer, codec, func(data []byte, timestamp uint64, at time.Duration) error {
		v.heard = true
		v.judge.Sound(data, uint32(timestamp), at) //nolint:gosec // wraps by design
		return nil
	})
}
