package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// takeAll makes a side own every channel that the other side opens.
func takeAll(c *Config) {
	c.OnEvent = func(e Event) {
		if e, ok := e.(ChannelOpened); ok && e.Channel.OpenedByPeer() {
			e.Channel.Take()
		}
	}
}

// channels is a call with one channel, taken at both ends.
func channels(t *testing.T, o ChannelOptions, edit func(caller, answerer *Config)) (a, b *side, ours, theirs *Channel) {
	t.Helper()
	o.Taken = true
	a, b = pair(t, func(caller, answerer *Config) {
		caller.Channels = []ChannelOptions{o}
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

// noise is the same for the same seed.
func noise(seed int64, size int64) io.Reader {
	return io.LimitReader(rand.New(rand.NewSource(seed)), size)
}

func hashOf(t *testing.T, r io.Reader) string {
	t.Helper()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Error(err)
	}
	return string(h.Sum(nil))
}

func TestAStreamIsExactAndHalfCloses(t *testing.T) {
	_, _, ours, theirs := channels(t, ChannelOptions{Label: "bytes", Protocol: StreamProtocol}, nil)
	ctx := patient(t)
	const size = 5<<20 + 17
	done := make(chan error, 2)
	type end struct {
		ch   *Channel
		sent int64 // seed
	}
	for _, e := range []end{{ours, 1}, {theirs, 2}} {
		go func() {
			done <- func() error {
				s, err := NewStream(ctx, e.ch)
				if err != nil {
					return err
				}
				if e.ch == theirs { // answers once everything of ours has come
					if got := hashOf(t, s); got != hashOf(t, noise(1, size)) {
						t.Error("the answerer got other bytes")
					}
				}
				if _, err := s.ReadFrom(noise(e.sent, size)); err != nil {
					return err
				}
				if err := s.CloseWrite(); err != nil {
					return err
				}
				if e.ch == ours {
					if got := hashOf(t, s); got != hashOf(t, noise(2, size)) {
						t.Error("the caller got other bytes")
					}
				}
				return s.Finish()
			}()
		}()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestAStreamThatIsCutOffIsAnError(t *testing.T) {
	_, _, ours, theirs := channels(t, ChannelOptions{Protocol: StreamProtocol}, nil)
	cutOff(t, ours, theirs)
}

// cutOff sends half of something and closes the channel: who reads is told that
// it was not all.
func cutOff(t *testing.T, ours, theirs *Channel) {
	t.Helper()
	ctx := patient(t)
	to, err := NewStream(ctx, theirs)
	if err != nil {
		t.Fatal(err)
	}
	from, err := NewStream(ctx, ours)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(from, "half of it"); err != nil {
		t.Fatal(err)
	}
	if err := from.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(to); string(got) != "half of it" || !errors.Is(err, ErrCutOff) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestAPlainPeerEndsByClosing(t *testing.T) {
	_, _, ours, theirs := channels(t, ChannelOptions{}, nil)
	ctx := patient(t)
	to, err := NewStream(ctx, theirs)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []string{"text ", "is bytes"} {
		if err := ours.Write(ctx, []byte(m), true); err != nil {
			t.Fatal(err)
		}
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(to); string(got) != "text is bytes" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
}

// What is written and not read is bounded, in bytes and in messages.
func TestAReaderThatDoesNotReadStopsTheSender(t *testing.T) {
	for name, c := range map[string]struct{ size, count, most int }{
		"large": {60_000, 200, highWater + 2<<20},
		"tiny":  {1, 16_000, 3 * maxMessagesAhead},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, ours, theirs := channels(t, ChannelOptions{}, nil)
			ctx := patient(t)
			var written atomic.Int64
			failed := make(chan error, 1)
			go func() {
				message := make([]byte, c.size)
				for range c.count {
					if err := ours.Write(ctx, message, false); err != nil {
						failed <- err
						return
					}
					written.Add(int64(c.size))
				}
				failed <- nil
			}()
			if c.size > 1 {
				// The window of SCTP is full, so the rest queues at the sender.
				for ours.Pending() < lowWater && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
			}
			read, ahead := 0, 0
			for range c.count {
				ahead = max(ahead, int(written.Load())-read)
				data, _, err := theirs.Receive(ctx)
				if err != nil {
					t.Fatal(err)
				}
				read += len(data)
			}
			if err := <-failed; err != nil {
				t.Fatal(err)
			}
			if ahead > c.most {
				t.Errorf("the sender was %d bytes ahead, want %d at most", ahead, c.most)
			}
		})
	}
}

func TestReceiveAndWriteEndWithTheirContext(t *testing.T) {
	_, _, ours, theirs := channels(t, ChannelOptions{}, nil)
	for range 20 {
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { _, _, err := theirs.Receive(ctx); result <- err }()
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Fatalf("Receive says %v", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() {
		for {
			if err := ours.Write(ctx, make([]byte, 60_000), false); err != nil {
				result <- err
				return
			}
		}
	}()
	for ours.Pending() < lowWater {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("Write says %v", err)
	}
	// The channel still works.
	if data, _, err := theirs.Receive(patient(t)); err != nil || len(data) != 60_000 {
		t.Errorf("received %d bytes, %v", len(data), err)
	}
}

func TestTheEndOfTheCallEndsItsChannels(t *testing.T) {
	a, _, ours, theirs := channels(t, ChannelOptions{}, nil)
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
		if err := <-results; err != nil && !errors.Is(err, ErrChannelClosed) && err != io.EOF {
			t.Errorf("ended with %v", err)
		}
	}
	<-ours.Done()
	if err := ours.Write(context.Background(), nil, true); !errors.Is(err, ErrChannelClosed) {
		t.Errorf("writing afterwards: %v", err)
	}
	if _, err := a.call.OpenChannel(context.Background(), ChannelOptions{}); !errors.Is(err, ErrChannelClosed) {
		t.Errorf("opening afterwards: %v", err)
	}
}

func TestTheLimitOfTheOtherSideIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want int
	}{
		"parley":  {"a=max-message-size:262144\r\n", 262144},
		"small":   {"a=max-message-size:1000\r\n", 1000},
		"huge":    {"a=max-message-size:1073741823\r\n", 262144},
		"nothing": {"", 65535},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, ours, theirs := channels(t, ChannelOptions{}, func(caller, answerer *Config) {
				answerer.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
					return strings.ReplaceAll(s, "a=max-message-size:262144\r\n", c.line), true
				}
			})
			if got := ours.MaxMessage(); got != c.want {
				t.Fatalf("the limit is %d, want %d", got, c.want)
			}
			ctx := patient(t)
			if err := ours.Write(ctx, make([]byte, c.want+1), false); !errors.Is(err, ErrTooLong) {
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

// A line that the other side would not take is refused, and those after it go.
func TestALineThatIsTooLongIsRefused(t *testing.T) {
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
	if e := await(a, func(TextRefused) bool { return true }); e.Text != long || !errors.Is(e.Reason, ErrTooLong) {
		t.Errorf("%d bytes were refused: %v", len(e.Text), e.Reason)
	}
	if n := happenings(a, func(e TextSent) bool { return e.Text != long }); n != 2 {
		t.Errorf("%d lines were sent, want two", n)
	}
}

func TestNegotiatedChannelsNeedNoAnnouncement(t *testing.T) {
	_, _, ours, theirs := channels(t, ChannelOptions{Label: "n", Negotiated: true, ID: 7}, nil)
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

func TestTextGoesByANegotiatedChannel(t *testing.T) {
	a, b := pair(t, func(caller, answerer *Config) {
		caller.Channels = []ChannelOptions{{Label: "n", Negotiated: true, ID: 3}}
		answerer.Channels = caller.Channels
	})
	a.call.Say("ping")
	b.awaitText("ping")
	b.call.Say("pong")
	a.awaitText("pong")
}

func TestChannelsAreOpenedInACall(t *testing.T) {
	for name, opts := range map[string][]ChannelOptions{
		"with channels": {{Label: "channel1"}},
		"without":       nil, // the first one is negotiated
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, func(caller, answerer *Config) {
				caller.Channels = opts
				if opts == nil {
					caller.Tracks = append(caller.Tracks, testTrack(t, "audio/opus"))
				}
				takeAll(answerer)
			})
			a.awaitConnected()
			ctx := patient(t)
			two := uint16(2)
			ch, err := a.call.OpenChannel(ctx, ChannelOptions{Label: "more", Protocol: "p", Unordered: true, MaxRetransmits: &two})
			if err != nil {
				t.Fatal(err)
			}
			got := await(b, func(e ChannelOpened) bool { return e.Channel.Label() == "more" }).Channel
			if got.Protocol() != "p" || got.dc.Ordered() || got.dc.MaxRetransmits() == nil || *got.dc.MaxRetransmits() != 2 {
				t.Errorf("it came as %q, ordered %v, retransmits %v", got.Protocol(), got.dc.Ordered(), got.dc.MaxRetransmits())
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

func TestWrongChannelOptions(t *testing.T) {
	one := uint16(1)
	for _, o := range []ChannelOptions{
		{MaxRetransmits: &one, MaxLifetime: time.Second},
		{MaxLifetime: 66 * time.Second},
		{MaxLifetime: -time.Second},
		{MaxLifetime: time.Microsecond},
		{Negotiated: true, ID: 65535},
		{Label: strings.Repeat("x", 65536)},
	} {
		if o.Check() == nil {
			t.Errorf("%+.50v is taken", o)
		}
	}
}

func TestAChannelWaitsForTheConfirmation(t *testing.T) {
	a, _, ours, theirs := channels(t, ChannelOptions{}, func(caller, _ *Config) { caller.Hold = true })
	if err := ours.Send([]byte("early"), true); !errors.Is(err, ErrHeld) {
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
