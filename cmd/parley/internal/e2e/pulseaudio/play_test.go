//go:build linux

package pulseaudio

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
	"parley/signal/web/webtest"
)

// audioSystem is a PulseAudio of its own, with two audio devices that are not there: what is played
// to "ears" can be recorded, and what is played to "mouth" is what the microphone "mouthpiece"
// hears.
type audioSystem struct {
	t   *testing.T
	env []string
}

func newAudioSystem(t *testing.T) *audioSystem {
	t.Helper()
	path, err := exec.LookPath("pulseaudio")
	if err != nil {
		t.Fatalf("%v; install pulseaudio and pulseaudio-utils (make deps does)", err)
	}
	home := t.TempDir()
	socket := filepath.Join(home, "socket")
	cmd := exec.Command(path, "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes",
		"--load=module-native-protocol-unix auth-anonymous=1 socket="+socket,
		"--load=module-null-sink sink_name=ears rate=48000", "--load=module-null-sink sink_name=mouth rate=48000",
		"--load=module-remap-source master=mouth.monitor source_name=mouthpiece source_properties=device.description=Mouthpiece")
	env := append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+home, "PULSE_SERVER=unix:"+socket)
	cmd.Env = env
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
	})
	s := &audioSystem{t: t, env: env}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		sources, err := s.command("pactl", "list", "short", "sources").CombinedOutput()
		if err == nil && strings.Contains(string(sources), "mouthpiece") {
			return s
		}
		select {
		case err := <-gone:
			gone <- err
			t.Fatalf("pulseaudio ends: %v\n%s", err, said.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("pulseaudio does not start: %s", sources)
		}
	}
}

func (s *audioSystem) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = s.env
	return cmd
}

// parley runs the binary with this audio system.
func (s *audioSystem) parley(args ...string) *e2etest.Process {
	s.t.Helper()
	path, err := e2etest.Binary()
	if err != nil {
		s.t.Fatal(err)
	}
	return e2etest.Launch(s.t, s.command(path, args...), args)
}

// hears waits until a tone is played to "ears".
func (s *audioSystem) hears(hz float64) {
	s.t.Helper()
	const rate = 48000
	cmd := s.command("parec", "-d", "ears.monitor", "--format=s16le", "--channels=1", "--rate=48000", "--raw", "--latency-msec=50")
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	raw, in := make([]byte, 2*rate), bufio.NewReader(out)
	samples := make([]float64, rate)
	var heard []float64
	for range 60 { // seconds of audio
		if _, err := io.ReadFull(in, raw); err != nil {
			s.t.Fatal(err)
		}
		for i := range samples {
			samples[i] = float64(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / 32768
		}
		f := webtest.Tone(samples, rate)
		if math.Abs(f-hz) < 15 {
			return
		}
		heard = append(heard, math.Round(f))
	}
	s.t.Fatalf("no tone of %v Hz is played; heard %v", hz, heard)
}

// say plays a tone to "mouth" until the test ends.
func (s *audioSystem) say(hz int) {
	s.t.Helper()
	cmd := s.command("pacat", "-d", "mouth", "--format=s16le", "--channels=1", "--rate=48000", "--raw")
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		second := make([]byte, 2*48000)
		for i := range 48000 {
			v := int16(8000 * math.Sin(2*math.Pi*float64(hz*i)/48000))
			binary.LittleEndian.PutUint16(second[2*i:], uint16(v))
		}
		for {
			if _, err := in.Write(second); err != nil {
				return
			}
		}
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-fed
		_ = cmd.Wait()
	})
}

// TestPlayed: two callers are heard at once.
func TestPlayed(t *testing.T) {
	s := newAudioSystem(t)
	_, server := e2etest.Serve(t)
	bob := s.parley("answer", "--as", "bob", "--server", server, "--play", "--audio-out", "ears")
	bob.Says(t, "waiting for calls")
	first := e2etest.Start(t, "call", "bob", "--server", server, "--audio", "tone:500")
	s.hears(500)
	e2etest.Start(t, "call", "bob", "--server", server, "--audio", "tone:900")
	e2etest.Interrupt(t, first)
	s.hears(900)
	e2etest.Interrupt(t, bob)
}

// TestSoundWithATab: a tab hears the microphone, and is heard.
func TestSoundWithATab(t *testing.T) {
	s := newAudioSystem(t)
	b := e2etest.Browsers().Chromium(t, nil)
	page, server := e2etest.Serve(t)
	s.say(650)
	bob := s.parley("answer", "--as", "bob", "--server", server, "--audio", "microphone:mouthpiece", "--audio-out", "ears")
	bob.Says(t, "waiting for calls")
	tab := b.Open(page + "/?as=tab&call=bob")
	e2etest.Talking(tab)
	tab.WaitTone(650)
	s.hears(400) // the beep of Chromium's microphone
	e2etest.Interrupt(t, bob)
	tab.NoErrors()
	tab.Close()
}

func TestNoSpeakerIsSaidAtOnce(t *testing.T) {
	s := newAudioSystem(t)
	p := s.parley("call", "bob", "--server", "ws://localhost:1", "--audio-out", "toaster")
	p.Ends(t, int(exit.Device))
	if said := p.Err.String(); !strings.Contains(said, "there is no such speaker") || !strings.Contains(said, "ears") {
		t.Errorf("it says %q", said)
	}
}
