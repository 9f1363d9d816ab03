package peer

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	pion "github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/peertest"
)

// resources are what a call holds of its process.
type resources struct{ goroutines, files int }

func held() resources {
	files, _ := os.ReadDir("/proc/self/fd") // 0 where there is none
	return resources{runtime.NumGoroutine(), len(files)}
}

// awaitHeld waits until no more is held than before.
func awaitHeld(t *testing.T, after string, before resources) {
	t.Helper()
	timeout := time.After(deadline)
	for {
		now := held()
		// The connected call has a few goroutines at times.
		if now.goroutines <= before.goroutines+3 && now.files <= before.files+1 {
			return
		}
		select {
		case <-timeout:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%s: %+v are held, and were %+v\n%s", after, now, before, stacks[:runtime.Stack(stacks, true)])
		case <-time.After(10 * time.Millisecond): // to look again
		}
	}
}

// faulty is a call of ours with a hostile peer that answers it.
type faulty struct {
	*side
	*peertest.Hostile
	ctx     context.Context
	session *peertest.Session
	assoc   *peertest.Association
	channel *pion.DataChannel

	protecting sync.Mutex // keeps RTP of several goroutines in order
}

// callHostile calls a hostile peer; edit may change both.
func callHostile(t *testing.T, edit func(*Config, *peertest.Hostile)) *faulty {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	f := &faulty{Hostile: peertest.New(t), ctx: ctx}
	cfg := Config{Caller: true, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: &hostileWire{f}}
	if edit != nil {
		edit(&cfg, f.Hostile)
	}
	f.side = newSide(t, "terminal", cfg)
	f.side.start()
	return f
}

// hostileWire brings our messages to the hostile peer.
type hostileWire struct{ f *faulty }

func (w *hostileWire) Offer(_ context.Context, d SessionDescription) error {
	w.f.call.DeliverAnswer(SessionDescription{SDP: w.f.Hostile.Answer(d.SDP)})
	return nil
}
func (w *hostileWire) Answer(context.Context, SessionDescription) error { return nil }
func (w *hostileWire) Leave(context.Context) error                      { return nil }
func (w *hostileWire) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	w.f.Hostile.Candidate(c.Candidate)
	return nil
}

// connect is ICE, which a Hostile does well.
func (f *faulty) connect() *faulty {
	f.t.Helper()
	await(f.side, func(VerificationCode) bool { return true }) // it has answered
	if err := f.Connect(f.ctx); err != nil {
		f.t.Fatal(err)
	}
	return f
}

// handshake is DTLS done well.
func (f *faulty) handshake() *faulty {
	f.t.Helper()
	session, err := f.Handshake(f.ctx, f.Config())
	if err != nil {
		f.t.Fatal(err)
	}
	f.session = session
	f.t.Cleanup(func() { _ = session.Close() })
	if err := session.SRTP(); err != nil {
		f.t.Fatal(err)
	}
	return f
}

// associate is SCTP done well, with the channel that we open.
func (f *faulty) associate() *faulty {
	f.t.Helper()
	var err error
	if f.assoc, err = f.session.Associate(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = f.assoc.Close() })
	if f.channel, err = pion.Accept(f.assoc.Association, &pion.Config{LoggerFactory: discard()}); err != nil {
		f.t.Fatal(err)
	}
	return f
}

// talks checks that the call goes on: text both ways.
func (f *faulty) talks() {
	f.t.Helper()
	f.call.Say("still here")
	buf := make([]byte, 1024)
	if err := f.channel.SetReadDeadline(time.Now().Add(deadline)); err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = f.channel.SetReadDeadline(time.Time{}) }()
	for {
		n, _, err := f.channel.ReadDataChannel(buf)
		if err != nil {
			f.t.Fatalf("no text is received any more: %v", err)
		}
		if string(buf[:n]) == "still here" {
			break
		}
	}
	if _, err := f.channel.WriteDataChannel([]byte("me too"), true); err != nil {
		f.t.Fatal(err)
	}
	f.awaitText("me too")
}

// failsAt checks how the call ended: at a stage, with one clear sentence.
func (s *side) failsAt(stage Stage, want string) {
	s.t.Helper()
	_, err := s.awaitEnd()
	var failure *Error
	if !errors.As(err, &failure) || failure.Stage != stage || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		s.t.Errorf("ended with %v, want stage %d and %q in one line", err, stage, want)
	}
}

// leaves checks that the call ended as if the peer had hung up.
func (s *side) leaves() {
	s.t.Helper()
	if end, err := s.awaitEnd(); end != PeerLeft || err != nil {
		s.t.Errorf("ended with %v, %v, want that the peer left", end, err)
	}
}

// send writes packets beneath DTLS.
func (f *faulty) send(packets ...[]byte) {
	f.t.Helper()
	for _, p := range packets {
		if err := f.Write(p); err != nil {
			f.t.Fatal(err)
		}
	}
}

// handshakeFails makes a DTLS handshake of the configuration, which must fail.
func (f *faulty) handshakeFails(config *peertest.DTLS) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	go func() { // nothing answers after the end of the call
		select {
		case <-f.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	// Our refusal of a certificate may come after the last flight, so it may
	// succeed on this side.
	if session, err := f.Handshake(ctx, config); err == nil {
		f.t.Cleanup(func() { _ = session.Close() })
	}
}

// discard is a logger of Pion that says nothing.
func discard() *pionLog { return newPionLog(slog.New(slog.DiscardHandler)) }
