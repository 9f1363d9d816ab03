package verify

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"parley/media"
	"parley/media/container/y4m"
)

const (
	maxTimesAhead = 1 << 12          // frames whose time ffmpeg has logged before it writes them
	timeTimeout   = 30 * time.Second // for the time of a frame that ffmpeg has written
)

// runFFmpeg runs ffmpeg on the file and reads its output. handleLine gets the lines of its log and
// must not wait for read.
func (v *verifier) runFFmpeg(handleLine func(line string), read func(io.Reader) error, args ...string) error {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		return errors.New("ffmpeg is not installed")
	}
	ctx, cancel := context.WithCancel(v.ctx)
	defer cancel()
	args = append([]string{"-hide_banner", "-nostdin", "-nostats", "-v", "info", "-protocol_whitelist", "file", "-i", "file:" + v.path}, args...)
	cmd := exec.CommandContext(ctx, "ffmpeg", args...)
	out, err1 := cmd.StdoutPipe()
	stderr, err2 := cmd.StderrPipe()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run ffmpeg: %w", err)
	}
	logged, last := make(chan struct{}), ""
	go func() {
		defer close(logged)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			last = lines.Text()
			handleLine(last)
		}
		_, _ = io.Copy(io.Discard, stderr) // after a line that is too long for the scanner
	}()
	err := read(bufio.NewReaderSize(out, 1<<20))
	if err != nil {
		cancel()
	}
	<-logged
	if exit := cmd.Wait(); err == nil && exit != nil {
		err = fmt.Errorf("ffmpeg: %s", strings.TrimSpace(last))
	}
	return err
}

// frameTime matches the time of a frame in the log of the filter showinfo.
var frameTime = regexp.MustCompile(`Parsed_showinfo.* n: *[0-9]+ .*pts_time: *(-?[0-9.]+)`)

// transcodeVideo decodes the video with ffmpeg.
func (v *verifier) transcodeVideo() error {
	times := make(chan float64, maxTimesAhead)
	handleLine := func(line string) {
		if m := frameTime.FindStringSubmatch(line); m != nil {
			if at, err := strconv.ParseFloat(m[1], 64); err == nil {
				select {
				case times <- at:
				default: // more than ffmpeg is ever ahead; the frame gets the time of another
				}
			}
		}
	}
	return v.runFFmpeg(handleLine, func(r io.Reader) error {
		frames, err := y4m.NewReader(bufio.NewReader(r))
		for err == nil {
			img, bad := frames.Next()
			if err = bad; err != nil {
				break
			}
			select {
			case seconds := <-times:
				v.hasVideo = true
				at := time.Duration(math.Max(0, math.Min(seconds, 1e6)) * float64(time.Second))
				v.end = max(v.end, at)
				v.analyzer.WriteImage(img, at)
			case <-time.After(timeTimeout):
				return errors.New("ffmpeg logs no times of frames")
			case <-v.ctx.Done():
				return v.ctx.Err()
			}
		}
		if v.hasVideo && (errors.Is(err, io.EOF) || media.IsTruncated(err)) {
			return nil
		}
		return err
	}, "-map", "0:v:0", "-vf", "showinfo", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-")
}

// transcodeAudio decodes the audio with ffmpeg, which fills gaps with silence.
func (v *verifier) transcodeAudio() error {
	const frame = media.OpusClockRate / 50
	return v.runFFmpeg(func(string) {}, func(r io.Reader) error {
		buffer, samples := make([]byte, 4*frame), make([]float32, 0, frame)
		for n := 0; ; n++ {
			size, err := io.ReadFull(r, buffer)
			samples = samples[:0]
			for i := 0; i+3 < size; i += 4 {
				samples = append(samples, math.Float32frombits(binary.LittleEndian.Uint32(buffer[i:])))
			}
			if len(samples) > 0 {
				v.hasAudio = true
				at := time.Duration(n) * time.Second / 50
				v.end = max(v.end, at)
				v.analyzer.WriteSamples(samples, at)
			}
			if err != nil {
				return nil //nolint:nilerr // the end of the output
			}
		}
	}, "-map", "0:a:0", "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", strconv.Itoa(media.OpusClockRate), "-f", "f32le", "-")
}
