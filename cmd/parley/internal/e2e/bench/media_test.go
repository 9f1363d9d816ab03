//go:build bench

package bench

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/peer/peertest/costs"
)

// What one stream of 640x480 at 30 frames a second costs, beside what the same work costs ffmpeg
// (over SRTP, without ICE, DTLS or congestion control) and aiortc. They take turns, each for
// benchTime.

const (
	benchTime       = 5 * time.Second
	benchSettle     = 3 * time.Second // for a call to come up to its bitrate
	benchStreamRate = "900k"
	srtpKey         = "zIoFv5S1tRTSaxWGIiYQRGVKEUCX5tSDbYU3b7tL" // of ffmpeg at both ends; 30 bytes in base64
)

// bench is where the files are, and what runs.
type streamBench struct {
	t           *testing.T
	dir, server string
	film, raw   string // the same, as VP8 and as raw video
	count       int
	profiled    string // the command of parley that writes a CPU profile, "" for none
}

func newBench(t *testing.T) *streamBench {
	_, server := e2etest.Serve(t, "--offer-rate", "1000/1000", "--candidate-rate", "10000/10000", "--other-rate", "1000/1000")
	b := &streamBench{t: t, dir: t.TempDir(), server: server}
	b.film, b.raw = filepath.Join(b.dir, "film.ivf"), filepath.Join(b.dir, "film.y4m")
	source := []string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x480:rate=30:duration=8", "-pix_fmt", "yuv420p"}
	for _, args := range [][]string{{"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", benchStreamRate, b.film}, {b.raw}} {
		if said, err := exec.Command("ffmpeg", append(source, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v (make deps installs ffmpeg): %s", err, said)
		}
	}
	return b
}

// work starts the two ends of a stream, and returns the process that is measured.
type work func(b *streamBench) *e2etest.Process

// parley runs the build with all encoders.
func (b *streamBench) parley(args ...string) *e2etest.Process {
	args = append(args, "--server", b.server)
	if b.profiled == args[0] {
		return e2etest.Launch(b.t, exec.Command(profiledProgram, args...), args)
	}
	return e2etest.Builds[len(e2etest.Builds)-1].Start(b.t, os.Environ(), args...)
}

// sends measures a caller.
func sends(args ...string) work {
	return func(b *streamBench) *e2etest.Process {
		b.answers()
		p := b.parley(append([]string{"call", b.name(), "--loop", "--video-bitrate", "900000", "--stats-interval", "0"}, b.fill(args)...)...)
		p.Says(b.t, "sending video")
		return p
	}
}

// takes measures who answers.
func takes(args ...string) work {
	return func(b *streamBench) *e2etest.Process {
		p := b.answers(b.fill(args)...)
		b.parley("call", b.name(), "--loop", "--video", b.film)
		p.Says(b.t, "receiving video")
		return p
	}
}

// name is a new one for each pair.
func (b *streamBench) name() string { return "bob" + strconv.Itoa(b.count) }

func (b *streamBench) answers(args ...string) *e2etest.Process {
	b.count++
	p := b.parley(append([]string{"answer", "--as", b.name(), "--stats-interval", "0"}, args...)...)
	p.Says(b.t, "waiting for calls")
	return p
}

// draws measures who answers in a terminal.
func draws(b *streamBench) *e2etest.Process {
	b.count++
	path, err := e2etest.Builds[len(e2etest.Builds)-1].Path()
	if err != nil {
		b.t.Fatal(err)
	}
	line := fmt.Sprintf("stty rows 40 cols 120; COLORTERM=truecolor exec %s answer --as %s --show blocks --server %s", path, b.name(), b.server)
	p := e2etest.Launch(b.t, exec.Command("script", "-qec", line, filepath.Join(b.dir, "screen")), nil)
	p.Says(b.t, "waiting for calls")
	b.parley("call", b.name(), "--loop", "--video", b.film)
	p.Says(b.t, "▀")
	return p
}

// fill puts the files in.
func (b *streamBench) fill(args []string) []string {
	all := make([]string, len(args))
	for i, a := range args {
		all[i] = strings.NewReplacer("FILM", b.film, "RAW", b.raw, "DIR", b.dir).Replace(a)
	}
	return all
}

func (b *streamBench) run(name string, args ...string) *e2etest.Process {
	return e2etest.Launch(b.t, exec.Command(name, b.fill(args)...), args)
}

// ffmpegSends measures ffmpeg as it sends to a port where nobody reads.
func ffmpegSends(args ...string) work {
	return func(b *streamBench) *e2etest.Process {
		sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.t.Fatal(err)
		}
		b.t.Cleanup(func() { _ = sink.Close() })
		return b.ffmpegTo(sink.LocalAddr().(*net.UDPAddr).Port, args...)
	}
}

func (b *streamBench) ffmpegTo(port int, args ...string) *e2etest.Process {
	all := append([]string{"-v", "error", "-re", "-stream_loop", "-1"}, args...)
	return b.run("ffmpeg", append(all, "-f", "rtp", "-srtp_out_suite", "AES_CM_128_HMAC_SHA1_80", "-srtp_out_params", srtpKey,
		fmt.Sprintf("srtp://127.0.0.1:%d", port))...)
}

// ffmpegTakes measures ffmpeg as it receives.
func ffmpegTakes(args ...string) work {
	return func(b *streamBench) *e2etest.Process {
		free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			b.t.Fatal(err)
		}
		port := free.LocalAddr().(*net.UDPAddr).Port
		_ = free.Close()
		sdp := fmt.Sprintf("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\nm=video %d RTP/SAVP 96\na=rtpmap:96 VP8/90000\n"+
			"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:%s\n", port, srtpKey)
		file := filepath.Join(b.dir, "in.sdp")
		if err := os.WriteFile(file, []byte(sdp), 0o600); err != nil {
			b.t.Fatal(err)
		}
		p := b.run("ffmpeg", append([]string{"-v", "error", "-y", "-protocol_whitelist", "file,udp,rtp,srtp,crypto", "-i", file}, args...)...)
		b.ffmpegTo(port, "-i", b.film, "-c", "copy")
		return p
	}
}

// aiortcCalls measures one of two ends: send or take.
func aiortcCalls(measured string, send, take []string) work {
	return func(b *streamBench) *e2etest.Process {
		b.count++
		script, err := filepath.Abs("testdata/end.py")
		if err != nil {
			b.t.Fatal(err)
		}
		socket := filepath.Join(b.dir, fmt.Sprint("socket", b.count))
		both := map[string]*e2etest.Process{}
		both["take"] = b.run("/usr/bin/python3", append([]string{script, "take", socket}, take...)...)
		both["send"] = b.run("/usr/bin/python3", append([]string{script, "send", socket}, send...)...)
		both[measured].Says(b.t, "connected")
		return both[measured]
	}
}

func TestBenchMedia(t *testing.T) {
	b := newBench(t)
	rows := []struct {
		what                 string
		ours, ffmpeg, aiortc work
	}{
		{"sent from a file, VP8", sends("--video", "FILM"), ffmpegSends("-i", "FILM", "-c", "copy"),
			aiortcCalls("send", []string{"FILM", "copy"}, nil)},
		{"received and recorded, VP8", takes("--record", "x.webm"), ffmpegTakes("-c", "copy", "DIR/x.webm"),
			aiortcCalls("take", []string{"FILM", "copy"}, []string{"DIR/x.mp4"})},
		{"encoded to VP8 and sent", sends("--video", "RAW", "--video-codec", "vp8"),
			ffmpegSends("-i", "RAW", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "-8", "-lag-in-frames", "0",
				"-static-thresh", "1", "-threads", "1", "-b:v", benchStreamRate), // as parley has it
			aiortcCalls("send", []string{"RAW", "vp8"}, nil)},
		{"encoded to H.264 and sent", sends("--video", "RAW", "--video-codec", "h264"),
			ffmpegSends("-i", "RAW", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-b:v", benchStreamRate),
			aiortcCalls("send", []string{"RAW", "h264"}, nil)},
		{"encoded to VP9 and sent", sends("--video", "RAW", "--video-codec", "vp9"),
			ffmpegSends("-i", "RAW", "-strict", "-2", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8",
				"-lag-in-frames", "0", "-static-thresh", "1", "-threads", "1", "-b:v", benchStreamRate), nil},
		{"received, decoded and shown, VP8", draws, ffmpegTakes("-vf", "scale=120:60", "-pix_fmt", "rgb24", "-f", "rawvideo", "/dev/null"),
			aiortcCalls("take", []string{"FILM", "copy"}, nil)},
	}
	fmt.Println("| % of one core | parley | ffmpeg | aiortc |\n|---|---:|---:|---:|")
	for _, r := range rows {
		cells := []string{r.what}
		for _, w := range []work{r.ours, r.ffmpeg, r.aiortc} {
			cells = append(cells, b.measure(w))
		}
		fmt.Println("| " + strings.Join(cells, " | ") + " |")
	}
}

// videoRate is the bitrate of the video of TestBenchVideo, in bits per second.
const videoRate = 2_500_000

// TestBenchVideo measures VP8 of 1280x720 with 2.5 Mbit/s, beside ffmpeg, aiortc and Pion's
// examples, and then what one process takes for many calls that each send and receive such video,
// and record it.
func TestBenchVideo(t *testing.T) {
	b := newBench(t)
	b.makeVideo()
	example := filepath.Join(b.dir, "pion")
	if said, err := exec.Command("go", "build", "-o", example, "./testdata/pion").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	rows := []struct {
		what                       string
		ours, ffmpeg, aiortc, pion work
	}{
		{"sent", sends("--video", "FILM", "--video-bitrate", "2500000"), ffmpegSends("-i", "FILM", "-c", "copy"),
			aiortcCalls("send", []string{"FILM", "copy"}, nil), pionCalls(example, "send")},
		{"received and recorded", takes("--record", "DIR/%n.webm"), ffmpegTakes("-c", "copy", "DIR/x.webm"),
			aiortcCalls("take", []string{"FILM", "copy"}, []string{"DIR/x.mp4"}), pionCalls(example, "take")},
	}
	fmt.Println("<!-- bench-media -->\n| 2.5 Mbit/s of VP8, % of one core | parley | ffmpeg | aiortc | Pion's example | parley / ffmpeg |\n|---|---:|---:|---:|---:|---:|")
	var sums [4]float64
	for _, r := range rows {
		line := "| " + r.what
		shares := [4][]float64{}
		for range 3 {
			for i, w := range []work{r.ours, r.ffmpeg, r.aiortc, r.pion} {
				shares[i] = append(shares[i], b.share(w))
			}
		}
		var medians [4]float64
		for i, all := range shares {
			slices.Sort(all)
			medians[i] = all[1]
			sums[i] += medians[i]
			line += fmt.Sprintf(" | %.1f", medians[i])
		}
		fmt.Printf("%s | %.2f |\n", line, medians[0]/medians[1])
	}
	fmt.Printf("| sum | %.1f | %.1f | %.1f | %.1f | %.2f |\n\n", sums[0], sums[1], sums[2], sums[3], sums[0]/sums[1])
	fmt.Println("| calls in one process, each sends, receives and records | % of one core | of a call | video recorded, % | MiB |\n|---:|---:|---:|---:|---:|")
	for _, n := range []int{1, 10, 25, 50} {
		t.Run(fmt.Sprint(n, " calls"), func(t *testing.T) {
			b.t = t
			b.manyVideoCalls(n)
		})
	}
}

// makeVideo makes the film a video of 1280x720 with videoRate.
func (b *streamBench) makeVideo() {
	b.film = filepath.Join(b.dir, "video.ivf")
	rate := strconv.Itoa(videoRate)
	if said, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=8,noise=alls=20:allf=t",
		"-pix_fmt", "yuv420p", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "120",
		"-b:v", rate, "-minrate", rate, "-maxrate", rate, b.film).CombinedOutput(); err != nil {
		b.t.Fatalf("%v: %s", err, said)
	}
}

// manyVideoCalls measures a process that answers n calls, sends video to each, and records what
// each sends. Each caller is a process.
func (b *streamBench) manyVideoCalls(n int) {
	folder := b.t.TempDir()
	p := b.answers("--loop", "--video", b.film, "--record", filepath.Join(folder, "%p.webm"))
	for i := range n {
		b.parley("call", b.name(), "--as", fmt.Sprintf("caller-%02d", i), "--loop", "--video", b.film, "--stats-interval", "0")
	}
	p.Says(b.t, fmt.Sprintf("(?s)(receiving video.*){%d}", n))
	time.Sleep(benchSettle)
	recorded := func() (bytes int64) {
		files, err := filepath.Glob(filepath.Join(folder, "*.webm"))
		if err != nil {
			b.t.Fatal(err)
		}
		for _, f := range files {
			bytes += e2etest.SizeOf(f)
		}
		return bytes
	}
	before, bytes := e2etest.UsageOf(b.t, p), recorded()
	time.Sleep(2 * benchTime)
	now := e2etest.UsageOf(b.t, p)
	seconds := now.At.Sub(before.At).Seconds()
	share := 100 * (now.CPU - before.CPU).Seconds() / seconds
	rate := float64(recorded()-bytes) * 8 / seconds
	fmt.Printf("| %d | %.0f | %.1f | %.0f | %d |\n", n, share, share/float64(n), 100*rate/(videoRate*float64(n)), now.Memory>>20)
}

// TestProfileVideo prints the three largest costs of the two ends of TestBenchVideo. With
// PARLEY_PROFILES, a folder, it keeps the profiles.
func TestProfileVideo(t *testing.T) {
	b := newBench(t)
	b.makeVideo()
	folder := cmp.Or(os.Getenv("PARLEY_PROFILES"), b.dir)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	line := "| video of 2.5 Mbit/s"
	for _, r := range []struct {
		command, end string
		run          work
	}{
		{"call", "sender", sends("--video", "FILM", "--video-bitrate", "2500000")},
		{"answer", "receiver", takes("--record", "DIR/%n.webm")},
	} {
		t.Run(r.end, func(t *testing.T) {
			path := filepath.Join(folder, "video-"+r.end+".pprof")
			t.Setenv(profileVariable, path)
			b.t, b.profiled = t, r.command
			p := r.run(b)
			time.Sleep(benchSettle + benchTime)
			e2etest.Interrupt(t, p)
			all, err := costs.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			line += " | – | " + costs.Largest(all, 3)
		})
	}
	fmt.Println(line + " |")
}

// pionCalls measures one of two ends by Pion's examples: send or take.
func pionCalls(path, measured string) work {
	return func(b *streamBench) *e2etest.Process {
		b.count++
		socket := filepath.Join(b.dir, fmt.Sprint("socket", b.count))
		both := map[string]*e2etest.Process{}
		for _, end := range []string{"take", "send"} {
			file := b.film
			if end == "take" {
				file = filepath.Join(b.dir, "taken.ivf")
			}
			both[end] = b.run(path, end, socket, file)
		}
		both[measured].Says(b.t, "connected")
		return both[measured]
	}
}

// measure is the share of a core that a process and its children take, in per cent, as text.
func (b *streamBench) measure(w work) string {
	if w == nil {
		return "–"
	}
	return fmt.Sprintf("%.1f", b.share(w))
}

// share is the share of a core that a process and its children take, in per cent.
func (b *streamBench) share(w work) (share float64) {
	outer := b.t
	defer func() { b.t = outer }()
	outer.Run("", func(t *testing.T) { // whose processes end with it
		b.t = t
		p := w(b)
		time.Sleep(benchSettle)
		before := b.used(p.Cmd.Process.Pid)
		begun := time.Now()
		time.Sleep(benchTime)
		share = 100 * (b.used(p.Cmd.Process.Pid) - before).Seconds() / time.Since(begun).Seconds()
		select {
		case <-p.Exited:
			t.Errorf("it ended: %s%s", p.Out, p.Err)
		default:
		}
	})
	return share
}

// used is the time of the processor that a process and its children have had.
func (b *streamBench) used(pid int) time.Duration {
	b.t.Helper()
	used := processTime(b.t, pid)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			b.t.Fatal(err)
		}
		used += b.used(n)
	}
	return used
}

// processTime is that of one process, in proc(5) the 14th and 15th field of stat.
func processTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	return e2etest.UsageOf(t, &e2etest.Process{Cmd: &exec.Cmd{Process: &os.Process{Pid: pid}}}).CPU
}
