package source

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"parley/media"
	"parley/media/container"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/container/matroska"
	"parley/media/container/mp4"
	"parley/media/container/ogg"
	"parley/media/localtrack"

	"github.com/pion/webrtc/v4"
)

// sample is one frame of a file.
type sample struct {
	data     []byte // valid until the next read
	at       uint64 // since the start of the file, in units of the clock rate
	duration uint64 // until the next frame, as far as the file tells
}

// sampleReader reads the frames of a file, and io.EOF after the last.
type sampleReader interface {
	next() (sample, error)
}

// openFunc reads the start of a file and says what it carries.
type openFunc func(r *bufio.Reader, o fileOptions) (sampleReader, webrtc.RTPCodecCapability, error)

// demuxed returns a container that reads the first track of a kind by a demuxer.
func demuxed(open func(in media.Input) (media.Demuxer, error)) openFunc {
	return func(r *bufio.Reader, o fileOptions) (sampleReader, webrtc.RTPCodecCapability, error) {
		d, err := open(media.Input{Reader: r, ReaderAt: o.random, Size: o.size, FrameRate: o.frameRate, Warn: o.warn})
		if err != nil {
			return nil, webrtc.RTPCodecCapability{}, err
		}
		var reason error
		for i, t := range d.Tracks() {
			if media.KindOf(t.Codec.MimeType) != o.kind {
				continue
			}
			if t.Err != nil {
				reason = cmp.Or(reason, t.Err)
				continue
			}
			return demuxedTrack{d}, t.Codec, d.Select(i)
		}
		return nil, webrtc.RTPCodecCapability{}, cmp.Or(reason, fmt.Errorf("there is no %s in it", o.kind))
	}
}

// detect returns the function that opens a stream.
func detect(r *bufio.Reader) (openFunc, error) {
	format, err := container.Detect(r)
	switch format {
	case container.IVF:
		return demuxed(ivf.NewDemuxer), nil
	case container.Ogg:
		return demuxed(ogg.NewDemuxer), nil
	case container.Matroska:
		return demuxed(matroska.NewDemuxer), nil
	case container.MP4:
		return demuxed(mp4.NewDemuxer), nil
	case container.AnnexB:
		return demuxed(annexb.NewDemuxer), nil
	case container.WAV:
		return openWAV, nil
	case container.Y4M:
		return nil, errors.New("a Y4M stream carries video only")
	}
	return nil, err
}

// demuxedTrack reads the selected track of a demuxer.
type demuxedTrack struct{ media.Demuxer }

func (d demuxedTrack) next() (sample, error) {
	s, err := d.Next()
	return sample{data: s.Data, at: s.Time, duration: s.Duration}, err
}

// fileOptions are those of VideoOptions and AudioOptions that matter for files, and what is known of the file.
type fileOptions struct {
	kind      webrtc.RTPCodecType
	random    io.ReaderAt // nil if the file can only be read from front to back
	size      int64
	frameRate float64
	bitrate   int // of what has to be encoded
	loop      bool
	streamID  string
	warn      func(text string)
}

// fileSource sends the frames of a file, or of what comes from elsewhere in the format of one, at the file's own pace.
type fileSource struct {
	*localtrack.Track
	name    string
	in      input
	open    openFunc
	options fileOptions
	reader  sampleReader
	close   sync.Once
	closed  error
}

func openVideoFile(spec string, o VideoOptions) (Source, error) {
	return openFrom(spec, o.Stdin, o.Loop, o.Opening, func(name string, in input, buffered *bufio.Reader) (Source, error) {
		if format, _ := container.Detect(buffered); format == container.Y4M {
			return openRaw(name, in, buffered, o)
		}
		return openSource(name, in, buffered, o.Logger, fileOptions{
			kind: webrtc.RTPCodecTypeVideo, frameRate: o.FrameRate, loop: o.Loop, streamID: o.StreamID,
		})
	})
}

func openAudioFile(spec string, o AudioOptions) (Source, error) {
	return openFrom(spec, o.Stdin, o.Loop, o.Opening, func(name string, in input, buffered *bufio.Reader) (Source, error) {
		return openSource(name, in, buffered, o.Logger, fileOptions{
			kind: webrtc.RTPCodecTypeAudio, loop: o.Loop, bitrate: o.Bitrate, streamID: o.StreamID,
		})
	})
}

// openFrom opens where the bytes come from, and what open makes of them. ctx may be nil.
func openFrom(spec string, stdin io.Reader, loop bool, ctx context.Context,
	open func(name string, in input, buffered *bufio.Reader) (Source, error)) (Source, error) {
	in, name, err := openInput(spec, stdin, loop)
	if err != nil {
		return nil, inputError(name, err)
	}
	if ctx == nil {
		ctx = context.Background()
	}
	arrives := context.AfterFunc(ctx, in.unblock)
	s, err := open(name, in, bufio.NewReaderSize(in, 64<<10))
	if !arrives() && ctx.Err() != nil {
		err = fmt.Errorf("nothing that can be sent has come from it: %w", context.Cause(ctx))
	}
	if err != nil {
		return nil, abandon(in, name, err)
	}
	return s, nil
}

// inputError leaves errors of usage as they are.
func inputError(name string, err error) error {
	if spec := (*media.SpecError)(nil); errors.As(err, &spec) {
		return spec
	}
	return media.WrapFileError(name, err)
}

// abandon gives an input back that could not be used. What a program says is nearer to the cause than what was found in
// its output.
func abandon(in input, name string, err error) error {
	if media.IsTruncated(err) {
		if cause := in.ended(); cause != nil {
			err = cause
		}
	}
	_ = in.Close()
	return inputError(name, err)
}

func openSource(name string, in input, buffered *bufio.Reader, log *slog.Logger, o fileOptions) (Source, error) {
	o.warn = func(text string) { log.Warn(text, "file", name) }
	o.random, o.size = in.random()
	open, err := detect(buffered)
	if err != nil {
		return nil, err
	}
	reader, codec, err := open(buffered, o)
	if err != nil {
		return nil, err
	}
	if has := media.KindOf(codec.MimeType); has != o.kind {
		return nil, fmt.Errorf("it carries %s (%s), not %s", has, media.CodecName(codec.MimeType), o.kind)
	}
	t := localtrack.New(codec, o.streamID, log)
	return &fileSource{Track: t, name: name, in: in, open: open, options: o, reader: reader}, nil
}

// Run sends the frames until the end of the file, or for ever if it loops.
func (s *fileSource) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, s.in.unblock)
	defer stop()
	err := s.send(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil || media.IsTruncated(err) {
		if cause := s.in.ended(); cause != nil {
			err = cause
		}
	}
	return media.WrapFileError(s.name, err)
}

func (s *fileSource) send(ctx context.Context) error {
	p := newPacer()
	defer p.stop()
	clock := uint64(s.Capability().ClockRate)
	base, end := uint64(0), uint64(0)
	for {
		frame, err := s.reader.next()
		if errors.Is(err, io.EOF) {
			if !s.options.loop || end == base {
				return nil
			}
			base = end
			if err = s.rewind(); err == nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		at := base + frame.at
		due := time.Duration(at/clock)*time.Second + time.Duration(at%clock)*time.Second/time.Duration(clock)
		if late := p.elapsed() - due; late > maxLag {
			p.postpone(late)
		}
		if !p.wait(ctx, due) {
			return nil
		}
		s.Write(frame.data, at)
		end = at + frame.duration
	}
}

// rewind starts the file again. A program that failed is not run again.
func (s *fileSource) rewind() error {
	if err := s.in.ended(); err != nil {
		return err
	}
	if err := s.in.again(); err != nil {
		return err
	}
	quiet := s.options
	quiet.warn = func(string) {}
	reader, _, err := s.open(bufio.NewReaderSize(s.in, 64<<10), quiet)
	s.reader = reader
	return err
}

// Close implements Source.
func (s *fileSource) Close() error {
	s.close.Do(func() { s.closed = media.WrapFileError(s.name, s.in.Close()) })
	return s.closed
}
