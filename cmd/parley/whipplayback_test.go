//go:build !quick

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/whiptest"
)

// endpointReport is what a report in JSON says of calls with a URL.
type endpointReport struct {
	Verdict, Playback string
	Error             *string
	Counts            map[string]int
	Results           []struct {
		Name, Verdict, Reason string
		Metrics               map[string]float64
	}
	Load struct {
		Overloaded bool
		Verified   []string
	}
}

// verdicts returns the names of the results with a verdict.
func (r *endpointReport) verdicts(verdict scenario.Verdict) (all []string) {
	for _, one := range r.Results {
		if one.Verdict == string(verdict) {
			all = append(all, one.Name)
		}
	}
	slices.Sort(all)
	return all
}

// probeURL runs parley probe with a URL and returns the report.
func probeURL(t *testing.T, args ...string) (code exit.Code, report *endpointReport, said string) {
	t.Helper()
	code, out, said := runHere(t, append([]string{"probe", "--format", "json", "--quiet"}, args...)...)
	report = &endpointReport{}
	if err := json.Unmarshal([]byte(out), report); err != nil {
		t.Fatalf("got %d, %v: %s%s", code, err, out, said)
	}
	return code, report, said
}

// busy reports whether checks of a playback were errors because the machine was too busy.
func (r *endpointReport) busy() bool { return len(r.verdicts(scenario.Error)) > 0 }

// TestPlayback publishes to a server and plays from it. All checks pass, and what they measure is
// in the report.
func TestPlayback(t *testing.T) {
	t.Parallel()
	s := whiptest.New(t, whiptest.Options{Token: "secret"})
	published, played := endpoint(s.URL, "whip", "/whip/cam"), endpoint(s.URL, "whep", "/whep/cam")
	probe := func() (exit.Code, *endpointReport, string) {
		return probeURL(t, published, "--playback", played, "--token", "secret", "--require", "video.latency.p95<=5000", "--require", "video.psnr>=25", "--require", "publish.ms<=20000")
	}
	code, report, said := probe()
	if report.busy() {
		code, report, said = probe()
	}
	if report.busy() {
		if code != exit.Failure || len(report.verdicts(scenario.Fail)) > 0 {
			t.Errorf("got %d: %s", code, said)
		}
		return
	}
	if code != exit.OK || report.Playback != played || report.Counts["pass"] != 9 || report.Error != nil {
		t.Fatalf("got %d %s: %+v", code, said, report)
	}
	metrics := report.Results[0].Metrics
	for _, key := range []string{"publish.ms", "setup.ms", "video.latency", "video.latency.p95", "audio.latency", "av-sync", "video.psnr", "video.frames.identified", "video.frames.lost", "audio.markers"} {
		if _, ok := metrics[key]; !ok {
			t.Errorf("no %s in %v", key, metrics)
		}
	}
	if metrics["video.frames.identified"] < 20 || metrics["video.psnr"] < 25 {
		t.Errorf("got %v", metrics)
	}
	if n := s.Sessions(); n != 0 {
		t.Errorf("%d sessions are left: %v", n, s.Requests())
	}
}

// forwarding is a Forward of whiptest that delays packets, in their order.
type forwarding struct {
	delay  time.Duration
	drops  func(elapsed time.Duration, p *rtp.Packet) bool
	begin  time.Time
	timers sync.WaitGroup
	queue  chan func()
}

func newForwarding(t *testing.T, delay time.Duration, drops func(time.Duration, *rtp.Packet) bool) *forwarding {
	f := &forwarding{delay: delay, drops: drops, queue: make(chan func(), 1<<12)}
	f.timers.Go(func() {
		for write := range f.queue {
			write()
		}
	})
	t.Cleanup(func() { close(f.queue); f.timers.Wait() })
	return f
}

// forward forwards a packet of the one goroutine that calls this method.
func (f *forwarding) forward(p *rtp.Packet, write func(*rtp.Packet)) {
	if f.begin.IsZero() {
		f.begin = time.Now()
	}
	if f.drops(time.Since(f.begin), p) {
		return
	}
	due := time.Now().Add(f.delay)
	f.queue <- func() {
		time.Sleep(time.Until(due))
		write(p)
	}
}

// TestPlaybackFaults checks that each check fails for servers that violate it, and that checks of
// what they do right pass.
func TestPlaybackFaults(t *testing.T) {
	type drops = func(elapsed time.Duration, p *rtp.Packet) bool
	none := func(time.Duration, *rtp.Packet) bool { return false }
	for name, c := range map[string]struct {
		video, audio           drops
		videoDelay, audioDelay time.Duration
		fail                   map[string]string // these and perhaps others, with what is in the reason
		pass                   []string
	}{
		"the video is late and freezes": {
			videoDelay: 2 * time.Second, video: func(elapsed time.Duration, _ *rtp.Packet) bool { return elapsed%(3*time.Second) > 600*time.Millisecond }, audio: none,
			fail: map[string]string{"fluent": "video.freeze.max is", "video-latency": "video.latency was", "lip-sync": "av-sync was"},
			pass: []string{"tone", "gapless", "audio-latency"},
		},
		"the audio is late and has gaps, and a third of the frames is lost": {
			audioDelay: 2 * time.Second, audio: func(elapsed time.Duration, _ *rtp.Packet) bool {
				return elapsed%(2500*time.Millisecond) > 1100*time.Millisecond
			},
			video: func(_ time.Duration, p *rtp.Packet) bool { return p.Timestamp/9000%3 == 0 },
			fail:  map[string]string{"frames": "video.frames.lost is", "gapless": "audio.gap is", "audio-latency": "audio.latency was", "lip-sync": "av-sync was"},
			pass:  []string{"played", "fluent", "video-latency"},
		},
		"there is no audio, and the video is damaged": {
			audio: func(time.Duration, *rtp.Packet) bool { return true },
			video: func(_ time.Duration, p *rtp.Packet) bool {
				for i := 200; i < len(p.Payload); i++ {
					p.Payload[i] = byte(i * i)
				}
				return false
			},
			fail: map[string]string{"played": "frames", "tone": "audio.tone", "likeness": "video.psnr"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			probe := func() (exit.Code, *endpointReport, string) {
				faulty := map[string]*forwarding{"video": newForwarding(t, c.videoDelay, c.video), "audio": newForwarding(t, c.audioDelay, c.audio)}
				s := whiptest.New(t, whiptest.Options{Forward: func(kind string, p *rtp.Packet, write func(*rtp.Packet)) { faulty[kind].forward(p, write) }})
				return probeURL(t, endpoint(s.URL, "whip", "/whip/cam"), "--playback", endpoint(s.URL, "whep", "/whep/cam"))
			}
			code, report, said := probe()
			if report.busy() {
				code, report, said = probe()
			}
			if report.busy() { // then what fails is an error, and more may fail
				if code != exit.Failure || len(report.verdicts(scenario.Fail)) > 0 {
					t.Errorf("got %d: %s", code, said)
				}
				return
			}
			if code != exit.Expectation {
				t.Errorf("got %d: %s", code, said)
			}
			for _, r := range report.Results {
				reason, fails := c.fail[r.Name]
				if fails && (r.Verdict != "fail" || !strings.Contains(r.Reason, reason)) || slices.Contains(c.pass, r.Name) && r.Verdict != "pass" {
					t.Errorf("got %+v", r)
				}
			}
		})
	}
}

// TestPlaybackErrors checks exit codes and messages of calls that do not come about.
func TestPlaybackErrors(t *testing.T) {
	s := whiptest.New(t, whiptest.Options{Token: "secret"})
	published, played := endpoint(s.URL, "whip", "/whip/cam"), endpoint(s.URL, "whep", "/whep/cam")
	for name, c := range map[string]struct {
		args []string
		code exit.Code
		text string
	}{
		"token":          {[]string{published, "--playback", played, "--token", "other"}, exit.Login, "401 Unauthorized: invalid token"},
		"playback token": {[]string{published, "--playback", played, "--token", "secret", "--playback-token", "other"}, exit.Login, "401 Unauthorized: invalid token"},
		"nobody":         {[]string{published, "--playback", endpoint(s.URL, "whep", "/whep/other"), "--token", "secret", "--timeout", "2s"}, exit.Absent, "nobody publishes other"},
		"unreachable":    {[]string{published, "--playback", "whep://127.0.0.1:1/x", "--token", "secret"}, exit.Signaling, "failed to reach the server"},
		"no name":        {[]string{"bob", "--playback", played}, exit.Usage, "--playback is for a URL of WHIP"},
		"no URL":         {[]string{published, "--playback", "bob"}, exit.Usage, "invalid --playback"},
		"WHEP":           {[]string{played, "--playback", played}, exit.Usage, "--playback is for a URL of WHIP"},
		"WHIP twice":     {[]string{published, "--playback", published}, exit.Usage, "nothing to send"},
		"check":          {[]string{published, "nothing", "--playback", played}, exit.Usage, "there is no check nothing"},
		"--suite":        {[]string{published, "--playback", played, "--suite", "core"}, exit.Usage, "--suite is for a NAME"},
		"--load":         {[]string{published, "--playback", played, "--load", "2"}, exit.Usage, "exclude each other"},
		"--ramp":         {[]string{published, "--playback", played, "--ramp", "2/s"}, exit.Usage, "are for --load"},
		"no --playback":  {[]string{published, "--load", "2", "--playback-token", "x"}, exit.Usage, "is for --playback"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, said := runHere(t, append([]string{"probe"}, c.args...)...)
			if code != c.code || !strings.Contains(said, c.text) || strings.Contains(out+said, "secret") {
				t.Errorf("got %d %q, want %d with %q", code, said, c.code, c.text)
			}
		})
	}
	if n := s.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	if code, out, _ := runHere(t, "probe", published, "--playback", played, "--list"); code != exit.OK || !strings.Contains(out, "9 scenarios") {
		t.Errorf("got %d: %s", code, out)
	}
}

// TestPlaybackOfAnotherCodec ends with 30 at a server that takes no VP8, and plays H.264.
func TestPlaybackOfAnotherCodec(t *testing.T) {
	t.Parallel()
	s := whiptest.New(t, whiptest.Options{OnlyH264: true})
	args := []string{endpoint(s.URL, "whip", "/whip/cam"), "--playback", endpoint(s.URL, "whep", "/whep/cam"), "played", "likeness", "video-latency"}
	if code, report, said := probeURL(t, args...); code != exit.Negotiation || report.Error == nil || !strings.Contains(*report.Error, "no video is sent") {
		t.Errorf("got %d: %s", code, said)
	}
	code, report, said := probeURL(t, append(args, "--video-codec", "h264")...)
	if code == exit.Negotiation { // a build without an encoder
		return
	}
	if len(report.verdicts(scenario.Fail)) > 0 || !slices.Equal(report.verdicts(scenario.Skip), []string{"video-latency"}) {
		t.Errorf("got %d: %s %+v", code, said, report)
	}
}

// TestLoadOfURLs makes sessions at once with URLs: one for each publisher, and one for all players.
func TestLoadOfURLs(t *testing.T) {
	t.Parallel()
	s := whiptest.New(t, whiptest.Options{Random: true})
	load := []string{"--load", "3", "--ramp", "20/s", "--duration", "500ms", "--require", "setup.ms:p95<=20000"}
	publish(t, endpoint(s.URL, "whip", "/whip/cam"))
	awaitTracks(t, s)
	for url, verified := range map[string]string{
		endpoint(s.URL, "whip", "/whip/other-{n}"): "it sends audio the server reports the audio it sends video the server reports the video",
		endpoint(s.URL, "whep", "/whep/cam"):       "the server sends audio the server sends video",
	} {
		code, report, said := probeURL(t, append([]string{url}, load...)...)
		if code != exit.OK || len(report.verdicts(scenario.Pass)) != 3 || strings.Join(report.Load.Verified, " ") != verified {
			t.Errorf("%s: got %d %s: %+v", url, code, said, report)
		}
	}
	for _, path := range []string{"POST /whip/other-1 201", "POST /whip/other-2 201", "POST /whip/other-3 201"} {
		if !slices.Contains(s.Requests(), path) {
			t.Errorf("no %s among %v", path, s.Requests())
		}
	}
	if n := s.Sessions(); n != 1 {
		t.Errorf("%d sessions are left beside that of the publisher", n-1)
	}
	if code, report, _ := probeURL(t, append([]string{endpoint(s.URL, "whep", "/whep/nobody")}, load...)...); code != exit.Absent || report.Error == nil {
		t.Errorf("got %d, %+v", code, report)
	}
}

// TestLoadOfSilentURL fails the sessions of a server that stops sending.
func TestLoadOfSilentURL(t *testing.T) {
	t.Parallel()
	var s *whiptest.Server
	var stops time.Time // of the goroutine of the video
	s = whiptest.New(t, whiptest.Options{Forward: func(kind string, p *rtp.Packet, write func(*rtp.Packet)) {
		if kind == "video" && stops.IsZero() && strings.Count(strings.Join(s.Requests(), "\n"), "POST /whep/cam 201") == 3 { // the first one explores
			stops = time.Now().Add(2500 * time.Millisecond)
		}
		if kind == "audio" || stops.IsZero() || time.Now().Before(stops) {
			write(p)
		}
	}})
	publish(t, endpoint(s.URL, "whip", "/whip/cam"))
	awaitTracks(t, s)
	code, report, said := probeURL(t, endpoint(s.URL, "whep", "/whep/cam"), "--load", "2", "--ramp", "20/s", "--duration", "5s", "--timeout", "12s")
	if report.Load.Overloaded { // which a machine that is busy with other tests may be
		if code != exit.Failure || len(report.verdicts(scenario.Fail)) > 0 {
			t.Errorf("got %d %s: %+v", code, said, report)
		}
		return
	}
	if code != exit.Expectation || len(report.verdicts(scenario.Fail)) != 2 || !strings.Contains(report.Results[0].Reason, "video.frames") {
		t.Errorf("got %d %s: %+v", code, said, report)
	}
}
