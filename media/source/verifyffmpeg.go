package source

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
	"parley/media/testsignal"
)

// ffmpegOn runs ffmpeg on the file. tell gets the lines that it says; it must not wait for what ffmpeg writes.
func (v *verifier) ffmpegOn(tell func(line string), read func(io.Reader) error, args ...string) error {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		return errors.New("ffmpeg, which might read it, is not installed")
	}
	ctx, cancel := context.WithCancel(v.ctx)
	defer cancel()
	args = append([]string{"-hide_banner", "-nostdin", "-nostats", "-v", "info", "-protocol_whitelist", "file", "-i", "file:" + v.path}, args...)
	cmd := exec.CommandContext(ctx, "ffmpeg", args...)
	out, err1 := cmd.StdoutPipe()
	talk, err2 := cmd.StderrPipe()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run ffmpeg: %w", err)
	}
	said, last := make(chan struct{}), ""
	go func() {
		defer close(said)
		lines := bufio.NewScanner(talk)
		for lines.Scan() {
			last = lines.Text()
			tell(last)
		}
		_, _ = io.Copy(io.Discard, talk) // a line that is too long for the scanner
	}()
	err := read(bufio.NewReaderSize(out, 1<<20))
	if err != nil {
		cancel()
	}
	<-said
	if ended := cmd.Wait(); err == nil && ended != nil {
		err = fmt.Errorf("ffmpeg cannot read it: %s", strings.TrimSpace(last))
	}
	return err
}

// pictureTime is in what the filter showinfo says of each picture.
var pictureTime = regexp.MustCompile(`Parsed_showinfo.* n: *[0-9]+ .*pts_time: *(-?[0-9.]+)`)

// foreignPictures has ffmpeg decode the pictures.
func (v *verifier) foreignPictures() error {
	times := make(chan float64, mostAhead)
	tell := func(line string) {
		if m := pictureTime.FindStringSubmatch(line); m != nil {
			if at, err := strconv.ParseFloat(m[1], 64); err == nil {
				select {
				case times <- at:
				default: // more than ffmpeg ever is ahead; the picture gets the time of another
				}
			}
		}
	}
	return v.ffmpegOn(tell, func(r io.Reader) error {
		y, err := y4m.NewReader(bufio.NewReader(r))
		for err == nil {
			img, bad := y.Next()
			if err = bad; err != nil {
				break
			}
			select {
			case seconds := <-times:
				v.saw = true
				at := time.Duration(math.Max(0, math.Min(seconds, 1e6)) * float64(time.Second))
				v.end = max(v.end, at)
				v.judge.Picture(img, at)
			case <-time.After(foreignWait):
				return errors.New("ffmpeg does not say when its pictures are")
			case <-v.ctx.Done():
				return v.ctx.Err()
			}
		}
		if v.saw && (errors.Is(err, io.EOF) || media.IsTruncated(err)) {
			return nil
		}
		return err
	}, "-map", "0:v:0", "-vf", "showinfo", "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-")
}

const (
	mostAhead   = 1 << 12          // pictures that ffmpeg may have told of and not written
	foreignWait = 30 * time.Second // for it to tell of one that it has written
)

// foreignSounds has ffmpeg decode the sound, with silence where there is none.
func (v *verifier) foreignSounds() error {
	return v.ffmpegOn(func(string) {}, func(r io.Reader) error {
		buffer := make([]byte, 2*opusSamples)
		for n := 0; ; n++ {
			size, err := io.ReadFull(r, buffer)
			if size > 1 {
				v.heard = true
				at := time.Duration(n) * opusFrame
				v.end = max(v.end, at)
				v.judge.samples(buffer[:size&^1], at)
			}
			if err != nil {
				return nil //nolint:nilerr // the end
			}
		}
	}, "-map", "0:a:0", "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", strconv.Itoa(media.OpusClockRate), "-f", "s16le", "-")
}

// samples takes decoded sound, 16 bits little-endian, that begins at a time.
func (j *Judge) samples(pcm []byte, at time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.sound == nil {
		j.sound = &soundJudge{code: testsignal.NewTimecodeDetector()}
	}
	j.sound.at, j.sound.origin = at, j.sound.put
	for i := 0; i+1 < len(pcm); i += 2 {
		j.sound.sample(float64(int16(binary.LittleEndian.Uint16(pcm[i:]))) / (math.MaxInt16 + 1)) //nolint:gosec // two's complement
	}
}

// forgetPictures begins anew, with another decoder.
func (j *Judge) forgetPictures() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pictures = pictureJudge{o: j.o}
}
