//go:build bench

package bench

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/media/testsignal"
	"parley/signal/web/webtest"
)

// From glass to glass: frames with a number in them go into a call, and are looked for on the
// terminal that shows them.

const (
	latencyWarm  = 3 * time.Second
	latencyTime  = 8 * time.Second
	latencyFrame = time.Second / 30
)

// glass is where frames go in and come out.
type glass struct {
	t    *testing.T
	fifo string

	mu   sync.Mutex // guards what follows
	in   map[uint32]time.Time
	took []time.Duration
}

func newGlass(t *testing.T) *glass {
	t.Helper()
	g := &glass{t: t, fifo: filepath.Join(t.TempDir(), "frames"), in: map[uint32]time.Time{}}
	if err := syscall.Mkfifo(g.fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(g.film)
	t.Cleanup(func() {
		if reader, err := os.OpenFile(g.fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil { // if nobody ever was
			_ = reader.Close()
		}
		work.Wait()
	})
	return g
}

// film writes test frames of 640x480 to the fifo, 30 a second, until who reads it ends.
func (g *glass) film() {
	pattern, err := testsignal.NewPattern(640, 480)
	if err != nil {
		g.t.Error(err)
		return
	}
	file, err := os.OpenFile(g.fifo, os.O_WRONLY, 0)
	if err != nil {
		g.t.Error(err)
		return
	}
	defer file.Close()
	if _, err := io.WriteString(file, "YUV4MPEG2 W640 H480 F30:1 C420jpeg\n"); err != nil {
		return
	}
	var begun time.Time
	for n := uint32(0); ; n++ {
		frame := append([]byte("FRAME\n"), planes(pattern.Render(n, time.Duration(n)*latencyFrame, time.Unix(0, 0)))...)
		// The first is taken when the call is up. After it, each is a little late, so that none
		// waits to be read.
		time.Sleep(time.Until(begun.Add(time.Duration(n)*latencyFrame + 10*time.Millisecond)))
		g.mu.Lock()
		g.in[n] = time.Now()
		g.mu.Unlock()
		if _, err := file.Write(frame); err != nil {
			return
		}
		if n == 0 {
			begun = time.Now()
		}
	}
}

// planes is a frame as 4:2:0 without its colours, which do not matter here.
func planes(img *image.RGBA) []byte {
	n := img.Rect.Dx() * img.Rect.Dy()
	all := bytes.Repeat([]byte{128}, n*3/2)
	for i := range n {
		p := img.Pix[4*i : 4*i+3]
		all[i] = byte((299*int(p[0]) + 587*int(p[1]) + 114*int(p[2])) / 1000)
	}
	return all
}

// terminal runs parley in a terminal that knows kitty's graphics, and looks at it until the test
// ends.
func (g *glass) terminal(args ...string) {
	g.t.Helper()
	path, err := e2etest.Builds[len(e2etest.Builds)-1].Path()
	if err != nil {
		g.t.Fatal(err)
	}
	line := "stty rows 50 cols 160; exec " + path
	for _, a := range args {
		line += " '" + a + "'"
	}
	cmd := exec.Command("script", "-qec", line, "/dev/null")
	out, err := cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	var work sync.WaitGroup
	work.Go(func() { g.look(out) })
	g.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		work.Wait()
		_ = cmd.Wait()
	})
}

// look reads what is drawn: `ESC _ G key=value,…;base64 ESC \`, in several parts.
func (g *glass) look(out io.Reader) {
	in := bufio.NewReaderSize(out, 1<<20)
	size := regexp.MustCompile(`\bs=(\d+),v=(\d+)`)
	var data strings.Builder
	var wide, high int
	for {
		text, err := in.ReadString('\\')
		if err != nil {
			return
		}
		_, command, ok := strings.Cut(strings.TrimSuffix(text, "\x1b\\"), "\x1b_G")
		keys, part, has := strings.Cut(command, ";")
		if !ok || !has {
			continue
		}
		if m := size.FindStringSubmatch(keys); m != nil {
			wide, _ = strconv.Atoi(m[1])
			high, _ = strconv.Atoi(m[2])
			data.Reset()
		}
		data.WriteString(part)
		if !strings.Contains(keys, "m=1") {
			g.saw(wide, high, data.String(), time.Now())
		}
	}
}

// saw reads the number in a frame.
func (g *glass) saw(wide, high int, text string, now time.Time) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 {
		return
	}
	z, err := zlib.NewReader(bytes.NewReader(raw))
	if err != nil {
		return
	}
	pixels, err := io.ReadAll(z)
	if err != nil || len(pixels) != wide*high*3 {
		return
	}
	img := image.NewGray(image.Rect(0, 0, wide, high))
	for i := range img.Pix {
		img.Pix[i] = pixels[3*i+1]
	}
	n, ok := testsignal.ReadFrameID(img)
	g.mu.Lock()
	defer g.mu.Unlock()
	if at, known := g.in[n]; ok && known {
		g.took = append(g.took, now.Sub(at))
	}
}

// result is a row of the table, of what comes from now on.
func (g *glass) result(what string) string {
	g.t.Helper()
	for deadline := time.Now().Add(e2etest.Patience); ; time.Sleep(100 * time.Millisecond) { // until the first frame is there
		g.mu.Lock()
		n := len(g.took)
		g.mu.Unlock()
		if n > 0 {
			break
		}
		if time.Now().After(deadline) {
			g.t.Fatal("nothing is seen")
		}
	}
	time.Sleep(latencyWarm)
	g.mu.Lock()
	g.took = nil
	g.mu.Unlock()
	time.Sleep(latencyTime)
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.took) < 20 {
		g.t.Fatalf("only %d frames are seen", len(g.took))
	}
	slices.Sort(g.took)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d.Microseconds())/1000) }
	return fmt.Sprintf("| %s | %s | %s |", what, ms(g.took[len(g.took)/2]), ms(g.took[len(g.took)*95/100]))
}

func TestBenchLatency(t *testing.T) {
	page, server := e2etest.Serve(t)
	rows := []string{"| ms | median | p95 |\n|---|---:|---:|"}
	for _, name := range []string{"VP8", "H.264"} {
		codec := strings.ToLower(strings.ReplaceAll(name, ".", ""))
		t.Run("terminals, "+codec, func(t *testing.T) {
			g := newGlass(t)
			g.terminal("answer", "--as", codec, "--server", server, "--show", "kitty")
			until := time.Now().Add(e2etest.Patience)
			for code := -1; code != 0 && time.Now().Before(until); { // until it has signed in
				code, _ = e2etest.Start(t, "call", codec, "--server", server, "--quiet", "--expect", "connected").Wait()
			}
			e2etest.Builds[len(e2etest.Builds)-1].Start(t, os.Environ(), "call", codec, "--server", server, "--video", "exec:cat "+g.fifo,
				"--video-codec", codec, "--video-bitrate", "900000")
			rows = append(rows, g.result("terminal to terminal, "+name))
		})
	}
	t.Run("tab", func(t *testing.T) {
		g := newGlass(t)
		chrome := e2etest.Browsers().Chromium(t, nil)
		tab := chrome.NewTab()
		tab.KeepPeers()
		tab.Go(page + "/?as=tab&answer=1")
		e2etest.Idle(tab)
		g.terminal("call", "tab", "--server", server, "--video", "exec:cat "+g.fifo, "--video-codec", "vp8", "--video-bitrate", "900000", "--show", "kitty")
		e2etest.Talking(tab)
		tab.WaitFrames(5)
		if err := tab.Eval(`(async () => {
			const peer = window[Symbol.for('webtest.peers')].at(-1);
			const incoming = peer.getReceivers().find(r => r.track.kind === 'video').track;
			await peer.getSenders().find(s => s.track?.kind === 'video').replaceTrack(incoming);
		})()`, nil); err != nil {
			t.Fatal(err)
		}
		row := g.result("terminal to a Chromium tab and back, VP8")
		rows = append(rows, row, fmt.Sprintf("| of which the tab reports as its own, on average | %.0f | |", ownDelay(tab)))
		tab.Close()
	})
	fmt.Println(strings.Join(rows, "\n"))
}

// ownDelay is how long a frame is in a tab that sends it back, by its own account, in ms: from its
// first packet until it is decoded, then until it is encoded, and then until its packets are sent.
func ownDelay(tab *webtest.Tab) (ms float64) {
	for _, s := range tab.Stats() {
		if s["kind"] != "video" {
			continue
		}
		per := func(total, count string) {
			t, _ := s[total].(float64)
			if n, _ := s[count].(float64); n > 0 {
				ms += 1000 * t / n
			}
		}
		switch s["type"] {
		case "inbound-rtp":
			per("totalProcessingDelay", "framesDecoded")
		case "outbound-rtp":
			per("totalEncodeTime", "framesEncoded")
			per("totalPacketSendDelay", "packetsSent")
		}
	}
	return ms
}
