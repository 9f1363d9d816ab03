package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"parley/peer/datachannel"
)

// takeAll makes a side own every channel that the peer opens.
func takeAll(c *Config) {
	c.OnEvent = func(e Event) {
		if e, ok := e.(ChannelOpened); ok && e.Channel.OpenedByPeer() {
			e.Channel.Detach()
		}
	}
}

// channels is a call with one channel, taken at both ends.
func channels(t *testing.T, o datachannel.Options, edit func(caller, answerer *Config)) (a, b *side, ours, theirs *datachannel.Channel) {
	t.Helper()
	o.Detached = true
	a, b = pair(t, func(caller, answerer *Config) {
		caller.Channels = []datachannel.Options{o}
		answerer.Channels = caller.Channels
		takeAll(answerer)
		if edit != nil {
			edit(caller, answerer)
		}
	})
	ours = await(a, func(ChannelOpened) bool { return true }).Channel
	theirs = await(b, func(ChannelOpened) bool { return true }).Channel
	return a, b, ours, theirs
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func TestTheEndOfTheCallEndsItsChannels(t *testing.T) {
	a, _, ours, theirs := channels(t, datachannel.Options{}, nil)
	results := make(chan error, 2)
	go func() { _, _, err := ours.Receive(context.Background()); results <- err }()
	go func() {
		for {
			if err := theirs.Write(context.Background(), make([]byte, 60_000), false); err != nil {
				results <- err
				return
			}
			if theirs.Pending() >= lowWater {
				a.call.Hangup()
			}
		}
	}()
	// The first may have received something before the end.
	for range 2 {
		if err := <-results; err != nil && !errors.Is(err, datachannel.ErrClosed) && err != io.EOF {
			t.Errorf("ended with %v", err)
		}
	}
	<-ours.Done()
	if err := ours.Write(context.Background(), nil, true); !errors.Is(err, datachannel.ErrClosed) {
		t.Errorf("writing afterwards: %v", err)
	}
	if _, err := a.call.OpenChannel(context.Background(), datachannel.Options{}); !errors.Is(err, datachannel.ErrClosed) {
		t.Errorf("opening afterwards: %v", err)
	}
}

func TestMaxMessageSizeOfThePeer(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want int
	}{
		"parley":  {"a=max-message-size:262144\r\n", 262144},
		"small":   {"a=max-message-size:1000\r\n", 1000},
		"huge":    {"a=max-message-size:1073741823\r\n", 262144},
		"nothing": {"", 65536}, // RFC 8841 section 6.1: 64K
		// RFC 8841 section 6.1: 0 is no limit.
		"unlimited":      {"a=max-message-size:0\r\n", 262144},
		"beyond 32 bits": {"a=max-message-size:8589934592\r\n", 262144},
		"beyond 64 bits": {"a=max-message-size:99999999999999999999999\r\n", 262144},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, ours, theirs := channels(t, datachannel.Options{}, func(caller, answerer *Config) {
				answerer.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
					return strings.ReplaceAll(s, "a=max-message-size:262144\r\n", c.line), true
				}
			})
			if got := ours.MaxMessage(); got != c.want {
				t.Fatalf("the limit is %d, want %d", got, c.want)
			}
			ctx := patient(t)
			if err := ours.Write(ctx, make([]byte, c.want+1), false); !errors.Is(err, datachannel.ErrTooLong) {
				t.Errorf("one more byte: %v", err)
			}
			if err := ours.Write(ctx, bytes.Repeat([]byte("x"), c.want), true); err != nil {
				t.Fatal(err)
			}
			if data, text, err := theirs.Receive(ctx); len(data) != c.want || !text || err != nil {
				t.Errorf("received %d bytes, text %v, %v", len(data), text, err)
			}
		})
	}
}

// A line that is too long for the peer is rejected, and those after it are sent.
func TestTooLongTextIsRejected(t *testing.T) {
	a, b := pair(t, func(caller, answerer *Config) {
		answerer.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
			return strings.ReplaceAll(s, "a=max-message-size:262144\r\n", "a=max-message-size:1000\r\n"), true
		}
	})
	long := strings.Repeat("x", 1001)
	for _, line := range []string{"short", long, "short again"} {
		a.call.Say(line)
	}
	b.awaitText("short again")
	if e := await(a, func(TextRejected) bool { return true }); e.Text != long || !errors.Is(e.Reason, datachannel.ErrTooLong) {
		t.Errorf("%d bytes were refused: %v", len(e.Text), e.Reason)
	}
	if n := happenings(a, func(e TextSent) bool { return e.Text != long }); n != 2 {
		t.Errorf("%d lines were sent, want two", n)
	}
}

func TestNegotiatedChannelsNeedNoAnnouncement(t *testing.T) {
	_, _, ours, theirs := channels(t, datachannel.Options{Label: "n", Negotiated: true, ID: 7}, nil)
	if ours.ID() != 7 || theirs.ID() != 7 || theirs.OpenedByPeer() {
		t.Errorf("channels %d and %d, the second opened by the peer: %v", ours.ID(), theirs.ID(), theirs.OpenedByPeer())
	}
	ctx := patient(t)
	if err := theirs.Write(ctx, []byte("hi"), true); err != nil {
		t.Fatal(err)
	}
	if data, _, err := ours.Receive(ctx); string(data) != "hi" || err != nil {
		t.Errorf("received %q, %v", data, err)
	}
}

func TestTextOnANegotiatedChannel(t *testing.T) {
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Channels = []datachannel.Options{{Label: "n", Negotiated: true, ID: 3}}
		answerer.Channels = caller.Channels
	})
	a.call.Say("ping")
	b.awaitText("ping")
	b.call.Say("pong")
	a.awaitText("pong")
}

func TestChannelsAreOpenedInACall(t *testing.T) {
	for name, opts := range map[string][]datachannel.Options{
		"with channels": {{Label: "channel1"}},
		"without":       nil, // the first one is negotiated
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Channels = opts
				if opts == nil {
					caller.Media.Tracks = append(caller.Media.Tracks, testTrack(t, "audio/opus"))
				}
				takeAll(answerer)
			})
			a.awaitConnected()
			ctx := patient(t)
			two := uint16(2)
			ch, err := a.call.OpenChannel(ctx, datachannel.Options{Label: "more", Protocol: "p", Unordered: true, MaxRetransmits: &two})
			if err != nil {
				t.Fatal(err)
			}
			got := await(b, func(e ChannelOpened) bool { return e.Channel.Label() == "more" }).Channel
			if o := got.Options(); o.Protocol != "p" || !o.Unordered || o.MaxRetransmits == nil || *o.MaxRetransmits != 2 {
				t.Errorf("it came with %+v", o)
			}
			if err := ch.Write(ctx, []byte("hi"), false); err != nil {
				t.Fatal(err)
			}
			if data, _, err := got.Receive(ctx); string(data) != "hi" || err != nil {
				t.Errorf("received %q, %v", data, err)
			}
			if err := ch.Close(); err != nil {
				t.Fatal(err)
			}
			if _, _, err := got.Receive(ctx); err != io.EOF {
				t.Errorf("after the close: %v", err)
			}
			await(b, func(e ChannelClosed) bool { return e.Channel == got })
		})
	}
}

// A channel that opens after OpenChannel has returned is closed: nothing reads it, and what the
// peer sends on it would fill the window that all channels share.
func TestOpenChannelPastItsContext(t *testing.T) {
	connect := make(chan struct{})
	a, b := pair(t, func(_, answerer *Config) {
		answerer.Signaler.(*wire).filter = func(_, text string) (string, bool) { <-connect; return text, true }
	})
	w := &channelRequest{options: datachannel.Options{Label: "late", Detached: true}, done: make(chan openResult, 1)}
	a.call.box.post(w)
	a.call.Pairs() // is answered once the channel waits for the connection
	w.settled.Store(true)
	close(connect)
	late := await(b, func(e ChannelOpened) bool { return e.Channel.Label() == "late" }).Channel
	flooded := make(chan error, 1)
	go func() {
		for {
			if err := late.Write(patient(t), make([]byte, 60_000), false); err != nil {
				flooded <- err
				return
			}
		}
	}()
	await(b, func(e ChannelClosed) bool { return e.Channel == late })
	if err := <-flooded; !errors.Is(err, datachannel.ErrClosed) {
		t.Errorf("the flood ended with %v", err)
	}
	if n := happenings(a, func(e ChannelOpened) bool { return e.Channel.Label() == "late" }); n > 0 {
		t.Error("its opening was reported")
	}
	a.call.Say("still here")
	b.awaitText("still here")
}

func TestAChannelWaitsForTheConfirmation(t *testing.T) {
	a, _, ours, theirs := channels(t, datachannel.Options{}, func(caller, _ *Config) { caller.Verification.Required = true })
	if err := ours.Send([]byte("early"), true); !errors.Is(err, datachannel.ErrUnverified) {
		t.Errorf("Send says %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := ours.Write(ctx, []byte("early"), true); !errors.Is(err, context.Canceled) {
		t.Errorf("Write says %v", err)
	}
	a.call.Confirm()
	if err := ours.Write(patient(t), []byte("confirmed"), true); err != nil {
		t.Fatal(err)
	}
	if data, _, err := theirs.Receive(patient(t)); string(data) != "confirmed" || err != nil {
		t.Errorf("received %q, %v", data, err)
	}
}

// A peer that sends to an echo and does not read is stopped by flow control, and the echo does not
// buffer everything.
func TestEchoOfAPeerThatDoesNotRead(t *testing.T) {
	const size, count = 60_000, 1000
	echoed := make(chan *datachannel.Channel, 1)
	a, _ := pair(t, func(caller, answerer *Config) {
		caller.Channels = []datachannel.Options{{Label: "flood", Detached: true}}
		answerer.OnEvent = func(e Event) {
			switch e := e.(type) {
			case ChannelOpened:
				echoed <- e.Channel
			case MessageReceived:
				_ = e.Channel.Send(e.Data, e.Text) // an error is of a call that is over
			}
		}
	})
	ours := await(a, func(ChannelOpened) bool { return true }).Channel
	ctx := patient(t)
	flooded := make(chan error, 1)
	go func() {
		message := make([]byte, size)
		for range count {
			if err := ours.Write(ctx, message, false); err != nil {
				flooded <- err
				return
			}
		}
		flooded <- nil
	}()
	theirs := <-echoed
	// Stopped is who gets next to nothing through: pace gives way once a second.
	const span, few = 2 * time.Second, 20
	for before := ours.Sent(); ; before = ours.Sent() {
		select {
		case err := <-flooded:
			t.Fatalf("all was taken (%v), and %d bytes wait to be sent back", err, theirs.Pending())
		case <-time.After(span):
		}
		if ours.Sent() < before+few*size {
			break
		}
	}
	if most := uint64(highWater + (maxQueuedData+100)*size); theirs.Pending() > most {
		t.Errorf("%d bytes wait to be sent back, %d at most should", theirs.Pending(), most)
	}
	a.call.Hangup()
	<-flooded
}

// Between ends of ours no packet has a checksum (RFC 9653).
func TestZeroChecksum(t *testing.T) {
	a, b, ours, theirs := channels(t, datachannel.Options{}, nil)
	if err := ours.Write(patient(t), []byte("hello"), true); err != nil {
		t.Fatal(err)
	}
	if m, _, err := theirs.Receive(patient(t)); err != nil || string(m) != "hello" {
		t.Fatalf("received %q, %v", m, err)
	}
	for _, s := range []*side{a, b} {
		s.call.stats.mu.Lock()
		sctp := s.call.stats.live[0].pc.SCTP()
		s.call.stats.mu.Unlock()
		if m, ok := sctp.Metadata(); !ok || !m.ZeroChecksumSendingEnabled || !m.ZeroChecksumReceivingEnabled {
			t.Errorf("negotiated: %t, %+v", ok, m)
		}
	}
}
