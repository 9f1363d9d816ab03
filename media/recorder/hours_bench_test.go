//go:build bench && unix

package recorder

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/media"
)

const (
	recordedHours = 12
	frameRate     = 30
)

// heap returns the bytes that are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// cpu returns the CPU time of the process.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// hourOf writes an hour of video of 30 frames/s, with a key frame every 10 s, and of audio.
func hourOf(t *testing.T, mime string, video, audio *Track, hour int) {
	t.Helper()
	begin := time.Duration(hour) * time.Hour
	frame := 0
	for at := time.Duration(0); at < time.Hour; at += opusFrame {
		for ; time.Duration(frame)*time.Second/frameRate <= at && frame < frameRate*3600; frame++ {
			writeAll(t, video, frameAt(mime, begin+time.Duration(frame)*time.Second/frameRate, func(f *media.Frame) {
				f.Key = frame%(10*frameRate) == 0
				f.Data = bytes.Repeat([]byte{byte(frame)}, 100)
			}))
		}
		writeAll(t, audio, frameAt(webrtc.MimeTypeOpus, begin+at))
	}
}

// TestManyHours records twelve hours as fast as the disk takes them: the last hour takes as much
// CPU time as the first, and the memory in use is bounded by what the index of a file needs.
func TestManyHours(t *testing.T) {
	var rows [recordedHours]string // of a table
	for _, f := range [][2]string{{"webm", webrtc.MimeTypeVP8}, {"mp4", webrtc.MimeTypeVP9}} {
		format, mime := f[0], f[1]
		t.Run(format, func(t *testing.T) {
			r, path := newRecorder(t, "hours."+format, Options{})
			video, audio := addTrack(t, r, mime), addTrack(t, r, webrtc.MimeTypeOpus)
			var first time.Duration
			var before, after uint64
			for hour := range recordedHours {
				began := cpu(t)
				hourOf(t, mime, video, audio, hour)
				took := cpu(t) - began
				after = heap()
				if hour == 0 {
					first, before = took, after
				}
				rows[hour] += fmt.Sprintf(" %d | %d |", took.Milliseconds(), after>>10)
				if hour == recordedHours-1 && took > 3*first/2 {
					t.Errorf("the last hour took %v, the first %v", took, first)
				}
			}
			if after > before+recordedHours<<20 {
				t.Errorf("memory has grown from %d to %d KiB", before>>10, after>>10)
			}
			began := time.Now()
			closeRecorder(t, r)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path).Output()
			duration, parsed := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
			if err != nil || parsed != nil || duration < recordedHours*3600-1 || duration > recordedHours*3600+1 {
				t.Errorf("ffprobe: %q, %v", out, err)
			}
			t.Logf("%s: %d hours in %d MiB, memory %d to %d KiB, closed in %v", format, recordedHours, info.Size()>>20, before>>10, after>>10,
				time.Since(began).Round(time.Millisecond))
		})
	}
	fmt.Println("<!-- bench-hours -->\n| hour | `.webm`, ms of CPU | KiB of heap | `.mp4`, ms of CPU | KiB of heap |\n|---:|---:|---:|---:|---:|")
	for hour, row := range rows {
		fmt.Printf("| %d |%s\n", hour+1, row)
	}
}
