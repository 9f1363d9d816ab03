package terminal

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
	"parley/peer/peertest"
	"parley/signal"
	"parley/signal/client"
	"parley/signal/signaltest"
)

// villain is who is called: it does the one thing that a case is about.
type villain struct {
	t      *testing.T
	ctx    context.Context
	client *client.Client
	*peertest.Hostile
	caller, offer string
}

func (v *villain) send(m signal.Message) {
	m.Peer = v.caller
	_ = v.client.Send(v.ctx, m) // the caller may have gone
}

func (v *villain) answers(sdp string) { v.send(signal.Message{Type: signal.Answer, SDP: sdp}) }

func (v *villain) leaves() { v.send(signal.Message{Type: signal.Leave}) }

// altered answers with something else in place of a part of a good answer.
func altered(old, with string) func(*villain) {
	return func(v *villain) { v.answers(strings.ReplaceAll(v.Answer(v.offer), old, with)) }
}

// connects answers and comes as far as ICE does.
func (v *villain) connects() bool {
	v.answers(v.Answer(v.offer))
	return v.Connect(v.ctx) == nil
}

// talks comes as far as SCTP does, when the call is up at both ends.
func talks(then func(*villain, *peertest.Session, *peertest.Association)) func(*villain) {
	return func(v *villain) {
		if !v.connects() {
			return
		}
		s, err := v.Handshake(v.ctx, v.Config())
		if err != nil {
			return
		}
		if a, err := s.Associate(); err == nil {
			then(v, s, a)
		}
	}
}

// Whatever the peer does wrong, at whatever stage, a script sees it by the
// exit code, and a person by the reason.
func TestExitCodesOfFaults(t *testing.T) {
	for name, fault := range map[string]struct {
		code int
		says string // a regular expression
		args []string
		does func(*villain)
	}{
		"says no":               {12, `villain`, nil, (*villain).leaves},
		"vanishes":              {12, `villain`, nil, func(v *villain) { _ = v.client.Close() }},
		"never answers":         {4, `villain`, []string{"--timeout", "1s"}, func(*villain) {}},
		"answers nonsense":      {30, `SDP`, nil, func(v *villain) { v.answers("v=0\r\nnonsense") }},
		"has no certificate":    {30, `fingerprint`, nil, altered("a=fingerprint:", "a=x:")},
		"has no ICE":            {30, `ICE`, nil, altered("a=ice-pwd:", "a=x:")},
		"takes no role in DTLS": {30, `DTLS role`, nil, altered("a=setup:active", "a=setup:actpass")},
		"has another code":      {30, `code`, []string{"--expect-code", "00000 00000 00000 00000 00000 00000"}, func(v *villain) { v.answers(v.Answer(v.offer)) }},
		"has another certificate": {40, `DTLS`, nil, func(v *villain) {
			answer := v.Answer(v.offer)
			v.Certificate = peertest.New(v.t).Certificate
			v.answers(answer)
			if v.Connect(v.ctx) == nil {
				_, _ = v.Handshake(v.ctx, v.Config())
			}
		}},
		"breaks DTLS off": {40, `DTLS`, nil, func(v *villain) {
			if v.connects() {
				alert := []byte{21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40} // fatal, handshake_failure
				_ = v.Write(alert)
			}
		}},
		"closes":   {0, ``, nil, talks(func(_ *villain, s *peertest.Session, _ *peertest.Association) { _ = s.Close() })},
		"hangs up": {0, ``, nil, talks(func(v *villain, _ *peertest.Session, _ *peertest.Association) { v.leaves() })},
		"hangs up too early": {3, `did not hold`, []string{"--expect", "text=pong"},
			talks(func(v *villain, _ *peertest.Session, _ *peertest.Association) { v.leaves() })},
		"breaks SCTP off": {0, ``, nil, talks(func(v *villain, _ *peertest.Session, a *peertest.Association) {
			_ = a.Send(a.Packet(peertest.Chunk(peertest.ChunkAbort, 0)))
			v.leaves()
		})},
	} {
		t.Run(name, func(t *testing.T) {
			server := signaltest.Start(t, nil)
			callVillain(t, server, fault.does)
			p := e2etest.Start(t, append([]string{"call", "villain", "--server", server}, fault.args...)...)
			code, err := p.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if said := p.Err.String(); code != fault.code || !regexp.MustCompile(fault.says).MatchString(said) {
				t.Errorf("it ends with %d, want %d and %q; it said\n%s", code, fault.code, fault.says, said)
			}
		})
	}
}

// callVillain signs somebody in who does one thing when called.
func callVillain(t *testing.T, server string, does func(*villain)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), e2etest.Patience)
	client, err := client.Dial(ctx, server, nil)
	if err == nil {
		err = client.Login(ctx, "villain")
	}
	if err != nil {
		t.Fatal(err)
	}
	v := &villain{t: t, ctx: ctx, client: client, Hostile: peertest.New(t)}
	did := make(chan struct{})
	acting := make(chan struct{}, 1)
	go func() {
		defer close(did)
		for {
			m, err := client.Receive(ctx)
			switch {
			case err != nil:
				return
			case m.Type == signal.Offer && v.offer == "":
				v.caller, v.offer = m.Peer, m.SDP
				acting <- struct{}{}
				go func() { does(v); <-acting }()
			case m.Type == signal.ICECandidate && m.Candidate != nil:
				v.Candidate(m.Candidate.Candidate)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = client.Close()
		<-did
		acting <- struct{}{} // does is over
	})
}

// TestHangupSignal: SIGHUP, as of a terminal that is closed, hangs up, ends the program of a source
// and finishes the recording.
func TestHangupSignal(t *testing.T) {
	server := signaltest.Start(t, nil)
	bob := e2etest.Start(t, "answer", "--as", "bob", "--server", server, "--audio", "test", "--output", "ndjson")
	bob.Says(t, `"event":"login"`)
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "program")
	source := "exec:echo $$ >" + program + "; exec ffmpeg -v error -re -f lavfi -i sine=frequency=600 -c:a libopus -f ogg -"
	alice := e2etest.Launch(t, exec.Command("env", "--default-signal=HUP", path, "call", "bob", "--server", server,
		"--audio", source, "--record", "bob.ogg", "--expect", "audio.packets>=50", "--linger", "10m"), nil)
	alice.Says(t, "held: audio.packets")
	if err := alice.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	alice.Ends(t, int(exit.Interrupted))
	bob.Says(t, `"event":"end".*"reason":"remote-hangup"`)
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the program of the source runs still: %v", err)
	}
	if got, err := e2etest.FFprobe(filepath.Join(alice.Cmd.Dir, "bob.ogg")); err != nil || !strings.Contains(got, "codec_name=opus") {
		t.Errorf("the recording: %v, %s", err, got)
	}
}
