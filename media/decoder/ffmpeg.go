package decoder

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"sync"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/ivf"
	"parley/media/container/y4m"
	"parley/media/internal/process"

	"github.com/pion/webrtc/v4"
)

// ffmpegDecoder has an ffmpeg process decode. Pictures come some frames later.
type ffmpegDecoder struct {
	mime   string
	run    *process.Process
	to     *os.File
	from   *os.File
	ivf    uint64 // frames written
	buffer []byte
	work   sync.WaitGroup

	mu     sync.Mutex // guards what follows
	latest *image.YCbCr
	err    error
}

// streamFormat is the name that ffmpeg has for what writeFrame writes.
func streamFormat(mime string) (string, error) {
	switch mime {
	case webrtc.MimeTypeH264:
		return "h264", nil
	case webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1:
		return "ivf", nil
	}
	return "", fmt.Errorf("%s is not decoded", media.CodecName(mime))
}

// NewFFmpeg is a NewFunc by the program ffmpeg, if it is installed: VP8, VP9, AV1 and H.264. It decodes no
// sooner than ffmpeg does, which is a frame or two later than a library.
func NewFFmpeg(mime string) (Decoder, error) {
	format, err := streamFormat(mime)
	if err != nil {
		return nil, err
	}
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		return nil, errors.New("ffmpeg, which could decode it, is not installed")
	}
	from, output, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-fflags", "nobuffer", "-flags", "low_delay", "-probesize", "32",
		"-analyzeduration", "0", "-threads", "1", "-f", format, "-i", "pipe:0", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p",
		"-f", "yuv4mpegpipe", "-flush_packets", "1", "pipe:1")
	cmd.Stdout = output
	d := &ffmpegDecoder{mime: mime, from: from}
	if err := d.start(cmd); err != nil {
		_ = from.Close()
		return nil, err
	}
	d.work.Go(d.read)
	return d, nil
}

// start starts the program, which reads what Decode writes.
func (d *ffmpegDecoder) start(cmd *exec.Cmd) error {
	input, to, err := os.Pipe()
	if err != nil {
		return err
	}
	defer input.Close()
	cmd.Stdin = input
	if d.run, err = process.Start(cmd); err != nil {
		_ = to.Close()
		return err
	}
	d.to = to
	return nil
}

// read takes the pictures until ffmpeg ends.
func (d *ffmpegDecoder) read() {
	y, err := y4m.NewReader(bufio.NewReaderSize(d.from, 64<<10))
	for err == nil {
		var p *image.YCbCr
		if p, err = y.Next(); err == nil {
			own := *p
			own.Y, own.Cb, own.Cr = append([]byte(nil), p.Y...), append([]byte(nil), p.Cb...), append([]byte(nil), p.Cr...)
			d.mu.Lock()
			d.latest = &own
			d.mu.Unlock()
		}
	}
	if !errors.Is(err, io.EOF) && !media.IsTruncated(err) {
		d.mu.Lock()
		d.err = err
		d.mu.Unlock()
	}
}

// writeFrame hands a frame to the program.
func (d *ffmpegDecoder) writeFrame(frame []byte) error {
	d.buffer = d.buffer[:0]
	if d.mime != webrtc.MimeTypeH264 {
		d.appendIVF(frame)
	} else {
		// A parser knows that a picture is over when the next unit begins, which an empty delimiter does.
		d.buffer = append(append(d.buffer, frame...), 0, 0, 0, 1, codec.NALAUD, 0xF0)
	}
	_, err := d.to.Write(d.buffer)
	return err
}

// Decode implements Decoder.
func (d *ffmpegDecoder) Decode(frame []byte) (image.Image, error) {
	if err := d.writeFrame(frame); err != nil {
		return nil, fmt.Errorf("ffmpeg does not decode: %s", d.run.Stderr())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return nil, d.err
	}
	if d.latest == nil {
		return nil, nil
	}
	p := d.latest
	d.latest = nil
	return p, nil
}

func (d *ffmpegDecoder) appendIVF(frame []byte) {
	if d.ivf == 0 {
		p := codec.ParseFrame(d.mime, frame)
		d.buffer = ivf.AppendHeader(d.buffer, d.mime, p.Width, p.Height)
	}
	d.buffer = ivf.AppendFrame(d.buffer, d.mime, frame, d.ivf*3000)
	d.ivf++
}

// KeyFramesOnly implements Decoder.
func (d *ffmpegDecoder) KeyFramesOnly() bool { return false }

// Close implements Decoder.
func (d *ffmpegDecoder) Close() {
	_ = d.to.Close()
	d.run.Stop()
	if d.from != nil {
		_ = d.from.Close()
	}
	d.work.Wait()
}

// playerWindow is a program that decodes and shows in a window of its own.
type playerWindow struct {
	*ffmpegDecoder
	name   string
	tell   func(sentence string)
	closed bool
}

// NewWindow returns a NewFunc that has ffplay or mpv, whichever is installed, show the pictures in a window, and gives
// none itself. tell gets a sentence when the window has been closed; it must not block.
func NewWindow(title string, tell func(sentence string)) NewFunc {
	return func(mime string) (Decoder, error) {
		format, err := streamFormat(mime)
		if err != nil {
			return nil, err
		}
		for _, args := range [][]string{
			{"ffplay", "-v", "error", "-fflags", "nobuffer", "-flags", "low_delay", "-probesize", "32", "-analyzeduration", "0",
				"-framedrop", "-sync", "ext", "-window_title", title, "-f", format, "-i", "pipe:0"},
			{"mpv", "--no-terminal", "--profile=low-latency", "--untimed", "--no-cache", "--title=" + title,
				"--demuxer-lavf-format=" + format, "-"},
		} {
			if _, err := exec.LookPath(args[0]); err != nil {
				continue
			}
			w := &playerWindow{ffmpegDecoder: &ffmpegDecoder{mime: mime}, name: args[0], tell: tell}
			return w, w.start(exec.Command(args[0], args[1:]...))
		}
		return nil, errors.New("a window needs ffplay or mpv, and neither is installed; install ffmpeg or mpv")
	}
}

// Decode implements Decoder.
func (w *playerWindow) Decode(frame []byte) (image.Image, error) {
	if w.closed {
		return nil, nil
	}
	if err := w.writeFrame(frame); err != nil {
		w.closed = true
		said := w.run.Stderr()
		if said != "" {
			said = ": " + said
		}
		w.tell("the window of " + w.name + " is closed" + said)
	}
	return nil, nil
}
