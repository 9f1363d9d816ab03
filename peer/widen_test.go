package peer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/sctp"
)

// wideChannels is a call with one channel that both ends may widen.
func wideChannels(t *testing.T, edit func(caller, answerer *Config)) (ours, theirs *Channel) {
	t.Helper()
	_, _, ours, theirs = channels(t, ChannelOptions{Protocol: StreamProtocol}, func(caller, answerer *Config) {
		caller.Wide, answerer.Wide = StreamProtocol, StreamProtocol
		if edit != nil {
			edit(caller, answerer)
		}
	})
	return ours, theirs
}

// widenBoth widens a channel at both ends, and tells if it has another
// association then.
func widenBoth(t *testing.T, ours, theirs *Channel) (moved bool) {
	t.Helper()
	before, beforeTheirs := ours.raw.Load(), theirs.raw.Load()
	ctx := patient(t)
	done := make(chan error, 1)
	go func() { done <- theirs.Widen(ctx) }()
	if err := ours.Widen(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if ours.Sent() != 0 || theirs.Sent() != 0 {
		t.Error("what was said to agree counts as sent")
	}
	moved = ours.raw.Load() != before
	if moved != (theirs.raw.Load() != beforeTheirs) {
		t.Fatal("the ends do not agree")
	}
	return moved
}

// exchange has the caller send a stream of some bytes, and the answerer the same
// back once it has come.
func exchange(t *testing.T, ours, theirs *Channel, size int64) {
	t.Helper()
	ctx := patient(t)
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			s, err := NewStream(ctx, theirs)
			if err != nil {
				return err
			}
			if hashOf(t, s) != hashOf(t, noise(1, size)) {
				t.Error("the answerer got other bytes")
			}
			if _, err := s.ReadFrom(noise(2, size)); err != nil {
				return err
			}
			if err := s.CloseWrite(); err != nil {
				return err
			}
			return s.Finish()
		}()
	}()
	s, err := NewStream(ctx, ours)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadFrom(noise(1, size)); err != nil {
		t.Fatal(err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if hashOf(t, s) != hashOf(t, noise(2, size)) {
		t.Error("the caller got other bytes")
	}
	if err := s.Finish(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAWideStreamIsExactAndHalfCloses(t *testing.T) {
	ours, theirs := wideChannels(t, nil)
	if !widenBoth(t, ours, theirs) {
		t.Fatal("it was not widened")
	}
	exchange(t, ours, theirs, 5<<20+17)
}

func TestAWideStreamThatIsCutOffIsAnError(t *testing.T) {
	ours, theirs := wideChannels(t, nil)
	if !widenBoth(t, ours, theirs) {
		t.Fatal("it was not widened")
	}
	cutOff(t, ours, theirs)
}

// Only those are widened of whom both sides know it, and nowhere where a socket
// of its own is not wanted.
func TestWhatIsNotWidened(t *testing.T) {
	for name, edit := range map[string]func(caller, answerer *Config){
		"the answerer does not know it": func(_, answerer *Config) { answerer.Wide = "" },
		"the caller does not know it":   func(caller, _ *Config) { caller.Wide = "" },
		"another protocol":              func(caller, answerer *Config) { caller.Wide, answerer.Wide = "x", "x" },
		"ports are given":               func(_, answerer *Config) { answerer.MinPort, answerer.MaxPort = 20000, 29999 },
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := wideChannels(t, edit)
			if widenBoth(t, ours, theirs) {
				t.Error("it was widened")
			}
			exchange(t, ours, theirs, 100_000)
		})
	}
}

// A hostile opener is answered with nothing, or does not get through; the
// channel stays as it was.
func TestAHostileOpenerWidensNothing(t *testing.T) {
	for name, spoil := range map[string]func(m *wideMessage){
		"a socket that we do not see": func(m *wideMessage) { m.Hosts = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9")} },
		"no port":                     func(m *wideMessage) { m.Port = 0 },
		"another certificate":         func(m *wideMessage) { m.SHA256 = hex.EncodeToString(make([]byte, sha256.Size)) },
		"no fingerprint":              func(m *wideMessage) { m.SHA256 = "x" },
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := wideChannels(t, nil)
			ctx := patient(t)
			before := theirs.raw.Load()
			done := make(chan error, 1)
			go func() { done <- theirs.Widen(ctx) }()
			way, m := ours.newWide()
			if way == nil {
				t.Fatal("no way")
			}
			defer way.close()
			spoil(&m)
			if err := ours.sayWide(ctx, m); err != nil {
				t.Fatal(err)
			}
			answer, err := ours.hearWide(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if answer.Port != 0 {
				connecting, stop := context.WithTimeout(ctx, time.Second)
				defer stop()
				if way.connect(connecting, answer, true) == nil {
					t.Error("it got through")
				}
				if err := ours.sayWide(ctx, wideMessage{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if theirs.raw.Load() != before {
				t.Error("it was widened")
			}
			exchange(t, ours, theirs, 100_000)
		})
	}
}

// A side that answers with a place where nobody is costs some time.
func TestAWideAssociationThatDoesNotComeIsGivenUp(t *testing.T) {
	ours, theirs := wideChannels(t, nil)
	ctx := patient(t)
	before := ours.raw.Load()
	done := make(chan error, 1)
	go func() { done <- ours.Widen(ctx) }()
	if _, err := theirs.hearWide(ctx); err != nil {
		t.Fatal(err)
	}
	way, m := theirs.newWide()
	if way == nil {
		t.Fatal("no way")
	}
	defer way.close() // and it does not connect
	if err := theirs.sayWide(ctx, m); err != nil {
		t.Fatal(err)
	}
	if verdict, err := theirs.hearWide(ctx); err != nil || verdict.On {
		t.Errorf("it says %+v, %v", verdict, err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if ours.raw.Load() != before {
		t.Error("it was widened")
	}
	exchange(t, ours, theirs, 100_000)
}

// What comes in place of the agreement is an error, not data.
func TestWhatIsNoMessageOfWidenIsAnError(t *testing.T) {
	ours, theirs := wideChannels(t, nil)
	ctx := patient(t)
	if err := ours.Write(ctx, []byte("bytes"), false); err != nil {
		t.Fatal(err)
	}
	if err := theirs.Widen(ctx); err == nil {
		t.Error("no error")
	}
}

// TestAWideAssociationIsUsedOnceItsChannelIsOpen: an end that is behind must not miss a stream that is over at once.
func TestAWideAssociationIsUsedOnceItsChannelIsOpen(t *testing.T) {
	ours, theirs := wideChannels(t, nil)
	client, fromClient := wideOf(t, ours)
	behind, fromBehind := wideOf(t, theirs)
	ctx, giveUp := context.WithCancel(patient(t))
	defer giveUp()
	done := make(chan error, 1)
	go func() { done <- client.connect(ctx, fromBehind, true) }()
	secure, err := behind.secured(onLoopback(fromClient.Port), fromClient.SHA256, false)
	if err != nil {
		t.Fatal(err)
	}
	defer secure.Close()
	association, err := sctp.ClientWithOptions(sctp.WithNetConn(secure), sctp.WithLoggerFactory(behind.conn.logs), sctp.WithMTU(wideMTU))
	if err != nil {
		t.Fatal(err)
	}
	defer association.Close()
	time.AfterFunc(200*time.Millisecond, giveUp) // in which a client that does not wait is long done
	if err := <-done; err == nil {
		t.Fatal("the client takes the association for good, and the other side has not opened the channel")
	}
}

func wideOf(t *testing.T, c *Channel) (*wide, wideMessage) {
	t.Helper()
	w, err := newWide(c.conn, netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w, wideMessage{Port: w.port(), SHA256: hex.EncodeToString(w.fingerprint[:])}
}
