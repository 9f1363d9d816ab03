package decoder

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/ivf"
	"parley/media/container/y4m"
	"parley/media/internal/process"

	"github.com/pion/webrtc/v4"
)

// stallTimeout is the time after which a program that does not read its input is killed.
const stallTimeout = 5 * time.Second

// program is a program that reads the frames of one track from its standard input.
type program struct {
	mime    string
	process *process.Process
	input   *os.File
	frames  uint64 // written
	buffer  []byte
}

// streamFormat returns the name that ffmpeg, ffplay and mpv have for what program.write writes.
func streamFormat(mime string) (string, error) {
	switch mime {
	case webrtc.MimeTypeH264:
		return "h264", nil
	case webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1:
		return "ivf", nil
	}
	return "", fmt.Errorf("%s is not decoded", media.CodecName(mime))
}

func startProgram(mime string, cmd *exec.Cmd) (*program, error) {
	stdin, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	cmd.Stdin = stdin
	p, err := process.Start(cmd)
	if err != nil {
		_ = input.Close()
		return nil, err
	}
	return &program{mime: mime, process: p, input: input}, nil
}

// write writes a frame. After an error the program must be stopped.
func (p *program) write(frame []byte) error {
	p.buffer = p.buffer[:0]
	if p.mime == webrtc.MimeTypeH264 {
		// The parser of the program knows that an access unit is complete when the next one begins,
		// as after an access unit delimiter.
		p.buffer = append(append(p.buffer, frame...), 0, 0, 0, 1, codec.NALAUD, 0xF0)
	} else {
		if p.frames == 0 {
			header := codec.ParseFrame(p.mime, frame)
			p.buffer = ivf.AppendHeader(p.buffer, p.mime, header.Width, header.Height)
		}
		p.buffer = ivf.AppendFrame(p.buffer, p.mime, frame, p.frames*media.VideoClockRate/30)
	}
	p.frames++
	if err := p.input.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return err
	}
	_, err := p.input.Write(p.buffer)
	return err
}

// stop ends the program and returns the end of its standard error.
func (p *program) stop() string {
	_ = p.input.Close()
	p.process.Kill()
	return p.process.Stderr()
}

// ffmpegDecoder decodes with ffmpeg. A process decodes to one size, so that each size has a process
// of its own.
type ffmpegDecoder struct {
	mime, format string
	size         image.Point // of the key frame that run began with
	run          *ffmpegRun  // nil before the first frame, and after a failure
}

// ffmpegRun is one process of ffmpeg.
type ffmpegRun struct {
	*program
	output *os.File
	latest chan *image.YCbCr // holds the newest frame
	done   chan struct{}     // closed when read has ended, with err
	err    error
}

// NewFFmpeg is a NewFunc for VP8, VP9, AV1 and H.264. It needs the program ffmpeg, whose frames
// come one or two frames later than those of a library.
func NewFFmpeg(mime string) (Decoder, error) {
	format, err := streamFormat(mime)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		return nil, errors.New("ffmpeg, which could decode it, is not installed")
	}
	return &ffmpegDecoder{mime: mime, format: format}, nil
}

// Decode implements Decoder.
func (d *ffmpegDecoder) Decode(frame []byte) (image.Image, error) {
	header := codec.ParseFrame(d.mime, frame)
	if size := image.Pt(header.Width, header.Height); header.Key && size.X > 0 && size != d.size {
		d.Close()
		d.size = size
	}
	if d.run == nil {
		if !header.Key {
			return nil, errors.New("ffmpeg needs a key frame to start with")
		}
		var err error
		if d.run, err = d.start(); err != nil {
			return nil, err
		}
	}
	if err := d.run.write(frame); err != nil {
		return nil, fmt.Errorf("ffmpeg failed: %w: %s", err, d.stop())
	}
	select {
	case img := <-d.run.latest:
		return img, nil
	case <-d.run.done:
		err := d.run.err
		return nil, fmt.Errorf("ffmpeg failed: %w: %s", err, d.stop())
	default:
		return nil, nil
	}
}

func (d *ffmpegDecoder) start() (*ffmpegRun, error) {
	output, stdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdout.Close()
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-flags", "low_delay", "-probesize", "32",
		"-analyzeduration", "0", "-threads", "1", "-f", d.format, "-i", "pipe:0", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p",
		"-f", "yuv4mpegpipe", "-flush_packets", "1", "pipe:1")
	cmd.Stdout = stdout
	p, err := startProgram(d.mime, cmd)
	if err != nil {
		_ = output.Close()
		return nil, err
	}
	r := &ffmpegRun{program: p, output: output, latest: make(chan *image.YCbCr, 1), done: make(chan struct{})}
	go r.read()
	return r, nil
}

// read reads decoded frames until ffmpeg ends.
func (r *ffmpegRun) read() {
	defer close(r.done)
	reader, err := y4m.NewReader(bufio.NewReaderSize(r.output, 64<<10))
	for err == nil {
		var frame *image.YCbCr
		if frame, err = reader.Next(); err == nil {
			own := *frame
			own.Y, own.Cb, own.Cr = append([]byte(nil), frame.Y...), append([]byte(nil), frame.Cb...), append([]byte(nil), frame.Cr...)
			select {
			case <-r.latest: // is old
			default:
			}
			r.latest <- &own
		}
	}
	if errors.Is(err, io.EOF) || media.IsTruncated(err) {
		err = errors.New("its output has ended")
	}
	r.err = err
}

// stop ends ffmpeg, if it runs, and returns the end of its standard error. The next frame starts it
// again.
func (d *ffmpegDecoder) stop() string {
	if d.run == nil {
		return ""
	}
	text := d.run.stop()
	<-d.run.done
	_ = d.run.output.Close()
	d.run = nil
	return text
}

// KeyFramesOnly implements Decoder.
func (d *ffmpegDecoder) KeyFramesOnly() bool { return false }

// Close implements Decoder.
func (d *ffmpegDecoder) Close() { d.stop() }

// window shows frames with a program that decodes them itself.
type window struct {
	mime, format, title string
	warn                func(text string)
	name                string // of the program
	program             *program
	rotation            int // that the frames need, and the one that the program applies
	applied             int
	closed              bool
}

// NewWindow returns a NewFunc whose decoder has ffplay or mpv, whichever is installed, show the
// frames in a window. It returns no frames itself. warn is called with a text when the window has
// been closed; it must not block.
func NewWindow(title string, warn func(text string)) NewFunc {
	return func(mime string) (Decoder, error) {
		format, err := streamFormat(mime)
		if err != nil {
			return nil, err
		}
		for _, name := range []string{"ffplay", "mpv"} {
			if _, err := exec.LookPath(name); err == nil {
				return &window{mime: mime, format: format, title: title, warn: warn, name: name}, nil
			}
		}
		return nil, errors.New("a window needs ffplay or mpv, and neither is installed; install ffmpeg or mpv")
	}
}

// command returns the command of the program for a rotation.
func (w *window) command() *exec.Cmd {
	if w.name == "mpv" {
		return exec.Command("mpv", "--no-terminal", "--profile=low-latency", "--untimed", "--no-cache", "--title="+w.title,
			"--video-rotate="+strconv.Itoa(w.rotation), "--demuxer-lavf-format="+w.format, "-")
	}
	filter := map[int]string{0: "null", 90: "transpose=clock", 180: "hflip,vflip", 270: "transpose=cclock"}[w.rotation]
	return exec.Command("ffplay", "-v", "error", "-flags", "low_delay", "-probesize", "32",
		"-analyzeduration", "0", "-framedrop", "-sync", "ext", "-window_title", w.title, "-vf", filter, "-f", w.format, "-i", "pipe:0")
}

// setRotation sets the rotation of the frames from the next one on.
func (w *window) setRotation(degrees int) { w.rotation = degrees }

// Decode implements Decoder.
func (w *window) Decode(frame []byte) (image.Image, error) {
	if w.closed {
		return nil, nil
	}
	if w.program != nil && w.rotation != w.applied {
		w.program.stop()
		w.program = nil
	}
	if w.program == nil {
		if !codec.ParseFrame(w.mime, frame).Key {
			return nil, errors.New("the window needs a key frame to start with")
		}
		var err error
		if w.program, err = startProgram(w.mime, w.command()); err != nil {
			return nil, err
		}
		w.applied = w.rotation
	}
	if err := w.program.write(frame); err != nil {
		text := w.program.stop()
		w.program, w.closed = nil, true
		if text != "" {
			text = ": " + text
		}
		w.warn("the window of " + w.name + " is closed" + text)
	}
	return nil, nil
}

// KeyFramesOnly implements Decoder.
func (w *window) KeyFramesOnly() bool { return false }

// Close implements Decoder.
func (w *window) Close() {
	if w.program != nil {
		w.program.stop()
	}
}
