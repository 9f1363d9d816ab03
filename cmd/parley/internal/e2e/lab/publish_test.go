//go:build lab

package lab

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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

	"golang.org/x/sys/unix"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) {
	e2etest.Main(m, map[string]func(){"publish-camera": publishCamera})
}

// TestLabPublish publishes the camera by WHIP to a terminal that records, while a tab plays what it
// records by WHEP, and measures how long a frame is on its way to both: from the time when the
// kernel hands it over (VIDIOC_DQBUF in its trace) until the recorder has written it or the tab
// shows it. The frame ID is the number that the camera writes into its frames. The timestamp of a
// frame cannot serve, because the camera sets the end of the exposure in advance.
func TestLabPublish(t *testing.T) {
	lab := os.Getenv("PARLEY_LAB")
	if lab == "" {
		t.Fatal("PARLEY_LAB is not set; run make lab, which says what it is")
	}
	parley, err := e2etest.Builds[1].Path()
	if err != nil {
		t.Fatal(err)
	}
	page, err := filepath.Abs("testdata/player.html")
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	said, err := exec.Command(lab, "-t", "1500", "-m", "3000", "-o", out, "--", "publish-camera", parley, page, "/out").CombinedOutput()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s\n%s", said, readAll(out, "*.log"))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	captured := capturedFrames(t, out)
	recorded, played := recordedFrames(t, out), playedFrames(t, out)
	both := 0
	for id := range recorded {
		if _, ok := played[id]; ok {
			both++
		}
	}
	if both < 20 {
		t.Errorf("%d frames were recorded and played, want 20 at least (%d recorded, %d played)", both, len(recorded), len(played))
	}
	for _, c := range []struct {
		what string
		at   map[int]time.Time
	}{{"until recorded", recorded}, {"until played", played}} {
		var took []time.Duration
		for id, at := range c.at {
			from, ok := captured[id]
			if !ok {
				t.Fatalf("frame %d is not in the trace of the camera", id)
			}
			took = append(took, at.Sub(from))
		}
		if len(took) == 0 {
			t.Errorf("no frame %s", c.what)
			continue
		}
		slices.Sort(took)
		median := took[len(took)/2]
		t.Logf("%s: median %d ms, p95 %d ms, %d frames", c.what, median.Milliseconds(), took[len(took)*95/100].Milliseconds(), len(took))
		if took[0] < 0 || median > 5*time.Second {
			t.Errorf("%s: from %s on, median %s, want 0 to 5 s", c.what, took[0], median)
		}
	}
}

// publishCamera runs on the machine with the camera: it leaves what TestLabPublish evaluates in a
// folder.
func publishCamera() {
	if err := runPublish(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// publication is a run of publishCamera.
type publication struct {
	parley, out string
	tab         chan string // what the page says

	mu        sync.Mutex // guards what follows
	frames    *os.File   // of the tab
	processes []*exec.Cmd
}

func runPublish(parley, page, out string) (err error) {
	p := &publication{parley: parley, out: out, tab: make(chan string, 1000)}
	defer p.kill()
	if p.frames, err = os.Create(filepath.Join(out, "tab.ndjson")); err != nil {
		return err
	}
	defer p.frames.Close()
	const trace = "/sys/kernel/tracing"
	_ = exec.Command("mount", "-t", "tracefs", "tracefs", trace).Run() // it may be mounted
	for file, text := range map[string]string{"trace_clock": "mono", "events/v4l2/v4l2_dqbuf/enable": "1"} {
		if err := os.WriteFile(filepath.Join(trace, file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	fifo := filepath.Join(os.TempDir(), "show.h264")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		return err
	}
	const server, files = "127.0.0.1:9090", "127.0.0.1:8000"
	if err := p.start("serve", "signaling on", nil, "serve", "--listen", server, "--whip", "--whep", "--allow-origin", "http://"+files); err != nil {
		return err
	}
	source, sink, err := os.Pipe()
	if err != nil {
		return err
	}
	defer sink.Close()
	if err := p.start("live", "waiting for calls", source, "answer", "--as", "live", "--server", "ws://"+server, "--once", "--video", "-"); err != nil {
		return err
	}
	if err := p.start("studio", "waiting for calls", nil, "answer", "--as", "studio", "--server", "ws://"+server, "--once", "--record", fifo); err != nil {
		return err
	}
	// The tab connects to a black frame, so that nothing has to wait for it later.
	black := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=black:size=320x180:rate=5", "-frames:v", "3", "-pix_fmt", "yuv420p",
		"-c:v", "libx264", "-profile:v", "baseline", "-tune", "zerolatency", "-f", "h264", "-")
	black.Stdout = sink
	if err := black.Run(); err != nil {
		return err
	}
	go http.ListenAndServe(files, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.serve(w, r, page) }))
	if err := p.browse("http://" + files + "/?url=http://" + server + "/whep/live"); err != nil {
		return err
	}
	if err := p.await("connected", 10*time.Minute); err != nil {
		return err
	}
	copied := make(chan error, 1)
	go func() { copied <- p.pass(fifo, sink) }()
	if err := p.start("camera", "connected to", nil, "call", "whip://"+server+"/whip/studio", "--video", "camera", "--video-size", "320x180@5",
		"--video-codec", "h264", "--duration", "40s"); err != nil {
		return err
	}
	select {
	case err = <-copied:
	case <-time.After(5 * time.Minute):
		err = errors.New("the recording does not end")
	}
	data, readErr := os.ReadFile(trace + "/trace")
	return errors.Join(err, readErr, os.WriteFile(filepath.Join(out, "trace"), data, 0o600), p.writeClock())
}

// start runs parley until a text is in its log.
func (p *publication) start(name, text string, in *os.File, args ...string) error {
	path := filepath.Join(p.out, name+".log")
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.parley, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if in != nil {
		cmd.Stdin = in
	}
	if err := p.launch(cmd); err != nil {
		return err
	}
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) { // another machine writes the file
		if data, err := os.ReadFile(path); err == nil && bytes.Contains(data, []byte(text)) {
			return nil
		}
	}
	return fmt.Errorf("%s does not write %q", name, text)
}

func (p *publication) launch(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.processes = append(p.processes, cmd)
	return cmd.Start()
}

// kill ends all processes.
func (p *publication) kill() {
	for _, cmd := range p.processes {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait()
		}
	}
}

// browse opens a tab.
func (p *publication) browse(url string) error {
	profile, err := os.MkdirTemp("", "profile")
	if err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(p.out, "chromium.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command("chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--no-first-run", "--user-data-dir="+profile, "--autoplay-policy=no-user-gesture-required",
		"--allow-loopback-in-peer-connection", "--disable-features=WebRtcHideLocalIpsWithMdns", "--disable-background-networking", url)
	cmd.Stdout, cmd.Stderr = log, log
	return p.launch(cmd)
}

// serve serves the page, and takes what it posts.
func (p *publication) serve(w http.ResponseWriter, r *http.Request, page string) {
	switch r.URL.Path {
	case "/frame":
		p.mu.Lock()
		defer p.mu.Unlock()
		_, _ = io.Copy(p.frames, r.Body)
		_, _ = io.WriteString(p.frames, "\n")
	case "/log":
		text, _ := io.ReadAll(r.Body)
		fmt.Fprintf(os.Stderr, "tab: %s\n", text)
		p.tab <- string(text)
	default:
		http.ServeFile(w, r, page)
	}
}

// await waits until the page says a text.
func (p *publication) await(text string, within time.Duration) error {
	for timeout := time.After(within); ; {
		select {
		case got := <-p.tab:
			if got == text {
				return nil
			}
		case <-timeout:
			return fmt.Errorf("the tab does not say %q", text)
		}
	}
}

// pass keeps the recording, with the time when each part of it was written, and passes it on.
func (p *publication) pass(fifo string, sink *os.File) error {
	in, err := os.Open(fifo)
	if err != nil {
		return err
	}
	defer in.Close()
	kept, err := os.Create(filepath.Join(p.out, "studio.h264"))
	if err != nil {
		return err
	}
	defer kept.Close()
	times, err := os.Create(filepath.Join(p.out, "studio.times"))
	if err != nil {
		return err
	}
	defer times.Close()
	end := 0
	for buffer := make([]byte, 1<<20); ; {
		n, err := in.Read(buffer)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		end += n
		fmt.Fprintf(times, "%d %d\n", end, time.Now().UnixNano())
		if _, err := kept.Write(buffer[:n]); err != nil {
			return err
		}
		if _, err := sink.Write(buffer[:n]); err != nil {
			return err
		}
	}
}

// writeClock writes when the monotonic clock, which the trace has, was 0.
func (p *publication) writeClock() error {
	var monotonic unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(p.out, "clock"), fmt.Append(nil, time.Now().UnixNano()-monotonic.Nano()), 0o600)
}

// capturedFrames returns when the kernel handed each frame over.
func capturedFrames(t *testing.T, out string) map[int]time.Time {
	t.Helper()
	clock, err := os.ReadFile(filepath.Join(out, "clock"))
	if err != nil {
		t.Fatal(err)
	}
	zero := number(t, string(clock))
	trace, err := os.ReadFile(filepath.Join(out, "trace"))
	if err != nil {
		t.Fatal(err)
	}
	frames := map[int]time.Time{}
	for _, m := range regexp.MustCompile(`(\d+)\.(\d{6}): v4l2_dqbuf:.* sequence = (\d+)`).FindAllStringSubmatch(string(trace), -1) {
		frames[int(number(t, m[3]))] = time.Unix(number(t, m[1]), zero+1000*number(t, m[2]))
	}
	if len(frames) == 0 {
		t.Fatalf("no frame in the trace %.1000s", trace)
	}
	return frames
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// recordedFrames returns when each frame was written to the recording.
func recordedFrames(t *testing.T, out string) map[int]time.Time {
	t.Helper()
	file := filepath.Join(out, "studio.h264")
	var ends []int64
	var at []time.Time
	times, err := os.ReadFile(filepath.Join(out, "studio.times"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(times)) {
		end, when, _ := strings.Cut(line, " ")
		ends, at = append(ends, number(t, end)), append(at, time.Unix(0, number(t, when)))
	}
	packets, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "packet=pos,size", "-of", "json", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var probed struct {
		Packets []struct {
			Pos  int64 `json:"pos,string"`
			Size int64 `json:"size,string"`
		}
	}
	if err := json.Unmarshal(packets, &probed); err != nil {
		t.Fatal(err)
	}
	lines := decode(t, file, "-vf", "crop=320:16:0:16", "-f", "rawvideo", "-pix_fmt", "gray")
	const size = 320 * 16
	if len(lines)/size != len(probed.Packets) {
		t.Fatalf("%d frames in %d packets", len(lines)/size, len(probed.Packets))
	}
	frames := map[int]time.Time{}
	for i, packet := range probed.Packets {
		part, _ := slices.BinarySearch(ends, packet.Pos+packet.Size)
		if id, ok := readNumber(lines[i*size:(i+1)*size], 320); ok && part < len(at) {
			frames[id] = at[part]
		}
	}
	return frames
}

// playedFrames returns when the tab showed each frame first.
func playedFrames(t *testing.T, out string) map[int]time.Time {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(out, "tab.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	frames := map[int]time.Time{}
	for line := range strings.Lines(string(data)) {
		var frame struct {
			At    float64
			Width int
			Line  []byte
		}
		if err := json.Unmarshal([]byte(line), &frame); err != nil {
			t.Fatalf("%v: %.200s", err, line)
		}
		if id, ok := readNumber(frame.Line, frame.Width); ok {
			if _, again := frames[id]; !again {
				frames[id] = time.UnixMicro(int64(frame.At * 1000))
			}
		}
	}
	return frames
}

// digits are the glyphs of 0 to 9, 8 by 16, of the font that the camera writes with (VGA 8x16).
var digits = [10][2]uint64{
	{0x0000386cc6c6d6d6, 0xc6c66c3800000000}, {0x0000183878181818, 0x1818187e00000000},
	{0x00007cc6060c1830, 0x60c0c6fe00000000}, {0x00007cc606063c06, 0x0606c67c00000000},
	{0x00000c1c3c6cccfe, 0x0c0c0c1e00000000}, {0x0000fec0c0c0fc06, 0x0606c67c00000000},
	{0x00003860c0c0fcc6, 0xc6c6c67c00000000}, {0x0000fec606060c18, 0x3030303000000000},
	{0x00007cc6c6c67cc6, 0xc6c6c67c00000000}, {0x00007cc6c6c67e06, 0x06060c7800000000},
}

// readNumber reads the number of the frame in a line of text of the camera, " 00:00:01:234 17",
// whose 16 rows have width bytes of luma each. It begins 16 pixels from the left.
func readNumber(line []byte, width int) (id int, ok bool) {
	const first = 16 + 8*len(" 00:00:01:234 ")
	if width != 320 || len(line) != 16*width {
		return 0, false
	}
	for x := first; x < first+8*6; x += 8 {
		digit, ok := readDigit(line, width, x)
		if !ok {
			return id, x > first
		}
		id = 10*id + digit
	}
	return 0, false
}

// readDigit reads the glyph at x, and reports false for none.
func readDigit(line []byte, width, x int) (digit int, ok bool) {
	best, second := 1<<30, 1<<30
	for d, glyph := range digits {
		var rows [16]byte
		binary.BigEndian.PutUint64(rows[:8], glyph[0])
		binary.BigEndian.PutUint64(rows[8:], glyph[1])
		wrong := 0
		for y, row := range rows {
			for bit := range 8 {
				if lit := line[y*width+x+bit] > 128; lit != (row&(0x80>>bit) != 0) {
					wrong++
				}
			}
		}
		if wrong < best {
			best, second, digit = wrong, best, d
		} else {
			second = min(second, wrong)
		}
	}
	return digit, best <= 12 && second > best
}
