//go:build !quick

package source

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"parley/media"
	"parley/media/internal/mediatest"
)

// TestProgram: what a program writes is sent like a file.
func TestProgram(t *testing.T) {
	path := write(t, "a.ivf", ivfFile("VP80", 1, 30, 0, 1, 2, 3))
	s, err := OpenVideo("exec:cat '"+path+"'", VideoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := mediatest.Bind(t, s)
	if err := s.Run(testContext(t)); err != nil || len(c.Packets) != 4 {
		t.Errorf("%d packets, %v", len(c.Packets), err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestProgramMP4: ffmpeg writes both tracks as a fragmented MP4 file.
func TestProgramMP4(t *testing.T) {
	const input = "exec:ffmpeg -v error -nostdin -re -f lavfi -i testsrc=size=160x120:rate=25:duration=2 -f lavfi -i sine=duration=2:sample_rate=48000 " +
		"-pix_fmt yuv420p -c:v libx264 -preset ultrafast -bf 0 -g 10 -c:a libopus -f mp4 "
	for _, flags := range []string{"frag_keyframe+empty_moov+default_base_moof", "frag_every_frame+empty_moov", "frag_keyframe"} {
		v, a, err := Open(input+"-movflags "+flags+" -", VideoOptions{}, AudioOptions{})
		if err != nil {
			t.Errorf("%s: %v", flags, err)
			continue
		}
		captures, _ := runTogether(t, time.Minute, v, a)
		frames := 0
		for _, p := range captures[0].Packets {
			if p.Marker {
				frames++
			}
		}
		if n := len(captures[1].Packets); frames != 50 || n < 100 || n > 102 {
			t.Errorf("%s: %d frames and %d packets of audio, want 50 and 101", flags, frames, n)
		}
	}
}

// TestProgramFails: the error has the exit status and what the program said, made safe for a
// terminal, whenever it was.
func TestProgramFails(t *testing.T) {
	path := write(t, "a.ivf", ivfFile("VP80", 1, 30, 0, 1))
	for command, want := range map[string]string{
		"echo one >&2; echo two >&2; exit 3":                     "the program failed (exit status 3): one / two",
		"cat '" + path + "'; printf 'a\\033[2Jb' >&2; exit 4":    "the program failed (exit status 4): a [2Jb",
		"head -c 50 '" + path + "'; echo broken >&2; kill -9 $$": "the program failed (signal: killed): broken",
		"/nonexistent/program":                                   "the program failed (exit status 127): ",
		"echo hello, world":                                      "unknown media format",
		"true":                                                   "the file is empty",
	} {
		s, err := OpenVideo("exec:"+command, VideoOptions{})
		if err == nil {
			err = s.Run(testContext(t))
			_ = s.Close()
		}
		var file *media.FileError
		if !errors.As(err, &file) || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	var spec *media.SpecError
	if _, err := OpenVideo("exec: ", VideoOptions{}); !errors.As(err, &spec) {
		t.Errorf("error is %v", err)
	}
}

// TestProgramEnds: with the source all ends that the program has started, also what does not listen
// to SIGTERM.
func TestProgramEnds(t *testing.T) {
	folder := t.TempDir()
	path := write(t, "a.ivf", ivfFile("VP80", 1, 30, 0))
	command := "cd '" + folder + "'; trap '' TERM; cat '" + path + "'; sh -c 'echo $$ >inner.new; mv inner.new inner; sleep 1000' & echo $$ >outer; wait"
	s, err := OpenVideo("exec:"+command, VideoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mediatest.Bind(t, s)
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	inner, outer := pidIn(t, filepath.Join(folder, "inner")), pidIn(t, filepath.Join(folder, "outer"))
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, pid := range []int{inner, outer} {
		for alive(pid) {
			if testContext(t).Err() != nil {
				t.Fatalf("process %d still runs", pid)
			}
			time.Sleep(10 * time.Millisecond) // between two looks
		}
	}
}

func pidIn(t *testing.T, path string) int {
	t.Helper()
	for ctx := testContext(t); ctx.Err() == nil; time.Sleep(10 * time.Millisecond) { // between two looks
		if data, err := os.ReadFile(path); err == nil && strings.HasSuffix(string(data), "\n") {
			pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("%s does not come", path)
	return 0
}

// alive reports whether a process has not ended. A zombie has ended.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// TestProgramLoops: a program is run again, in time; one that writes nothing more, or fails, is
// not.
func TestProgramLoops(t *testing.T) {
	path, log := write(t, "a.ivf", ivfFile("VP80", 1, 30, 0, 1)), filepath.Join(t.TempDir(), "log")
	s, err := OpenVideo("exec:echo >>'"+log+"'; [ $(wc -l <'"+log+"') -lt 4 ] || exit 9; cat '"+path+"'", VideoOptions{Loop: true})
	if err != nil {
		t.Fatal(err)
	}
	c := mediatest.Bind(t, s)
	if err := s.Run(testContext(t)); err == nil || !strings.Contains(err.Error(), "exit status 9") || len(c.Packets) != 6 {
		t.Errorf("%d packets, %v", len(c.Packets), err)
	}
	for i, p := range c.Packets {
		if p.Timestamp-c.Packets[0].Timestamp != uint32(i)*3000 { //nolint:gosec // small
			t.Errorf("packet %d is at %d", i, p.Timestamp-c.Packets[0].Timestamp)
		}
	}
	_ = s.Close()
}

// TestStdin: standard input is a pipe, or a file that can be read anywhere; a read that waits ends
// with the call.
func TestStdin(t *testing.T) {
	for name, open := range map[string]func() (io.Reader, io.WriteCloser){
		"pipe":   func() (io.Reader, io.WriteCloser) { r, w, _ := os.Pipe(); return r, w },
		"reader": func() (io.Reader, io.WriteCloser) { return io.Pipe() },
	} {
		from, to := open()
		go func() { _, _ = to.Write(ivfFile("VP80", 1, 30, 0, 1, 2)) }()
		s, err := OpenVideo("-", VideoOptions{Stdin: from})
		if err != nil {
			t.Fatal(err)
		}
		c := mediatest.Bind(t, s)
		ctx, cancel := context.WithCancel(testContext(t))
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		for c.Count() < 3 {
			time.Sleep(time.Millisecond) // between two looks
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_ = to.Close()
		if err := s.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	file, err := os.Open(mediatest.Remux(t, videoClips(t)["video/VP9"], "a.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	s, err := OpenVideo("-", VideoOptions{Stdin: file})
	if err != nil || s.Codec() != "video/VP9" || s.Close() != nil {
		t.Errorf("%v", err)
	}
	if _, err := file.Stat(); err != nil {
		t.Errorf("standard input has been closed: %v", err)
	}

	if _, err := OpenVideo("-", VideoOptions{Stdin: strings.NewReader("\x00\x00\x00\x0cftypisom\x7f\x00\x00\x00mdat\x00\x00\x00\x00")}); err == nil || !strings.Contains(err.Error(), "-movflags frag_keyframe+empty_moov") {
		t.Errorf("error is %v", err)
	}
	if _, err := OpenAudio("-", AudioOptions{Stdin: strings.NewReader("")}); err == nil || err.Error() != "standard input: the file is empty" {
		t.Errorf("error is %v", err)
	}
	var spec *media.SpecError
	if _, err := OpenVideo("-", VideoOptions{Stdin: strings.NewReader(""), Loop: true}); !errors.As(err, &spec) {
		t.Errorf("error is %v", err)
	}
}

// TestOpeningEnds: the wait for what does not come ends with its context.
func TestOpeningEnds(t *testing.T) {
	from, to := io.Pipe()
	defer to.Close()
	fifo := filepath.Join(t.TempDir(), "fifo.ivf")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{"-", "exec:sleep 1000", fifo} {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := OpenVideo(spec, VideoOptions{Stdin: from, Opening: ctx}); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "no media arrived") {
			t.Errorf("error is %v", err)
		}
	}
}

// TestFIFO: a source waits for the program that writes a FIFO, and ends with it.
func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo.ivf")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if !IsReadOnce(path) || IsReadOnce(t.TempDir()) || IsReadOnce(write(t, "a.ivf", nil)) || IsReadOnce("test") {
		t.Error("a FIFO is read once, and nothing else here")
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(path, ivfFile("VP80", 1, 30, 0, 1, 2, 3), 0) }()
	s, err := OpenVideo(path, VideoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c := mediatest.Bind(t, s)
	if err := s.Run(testContext(t)); err != nil || len(c.Packets) != 4 {
		t.Errorf("%d packets, %v", len(c.Packets), err)
	}
	if err := errors.Join(<-written, s.Close()); err != nil {
		t.Error(err)
	}
}
