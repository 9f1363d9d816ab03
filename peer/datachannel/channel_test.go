package datachannel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

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
	ours, theirs := channels(t, Options{Label: "bytes", Protocol: StreamProtocol})
	ctx := timeout(t)
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
	ours, theirs := channels(t, Options{Protocol: StreamProtocol})
	cutOff(t, ours, theirs)
}

// cutOff sends half of something and closes the channel: the reader gets an error that
// it was not all.
func cutOff(t *testing.T, ours, theirs *Channel) {
	t.Helper()
	ctx := timeout(t)
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
	if got, err := io.ReadAll(to); string(got) != "half of it" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestAPlainPeerEndsByClosing(t *testing.T) {
	ours, theirs := channels(t, Options{})
	ctx := timeout(t)
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
		"tiny":  {1, 16_000, 3 * maxQueuedMessages},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := channels(t, Options{})
			ctx := timeout(t)
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
				for ours.Pending() < highWater*3/4 && ctx.Err() == nil {
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

// What is written on all channels of a connection, and not read, is bounded together.
func TestChannelsShareABound(t *testing.T) {
	const many, each, size = 20, 40, 50_000 // less than the bound on each channel
	a, b := sides(t)
	ctx := timeout(t)
	var writers sync.WaitGroup
	var most atomic.Int64 // bytes queued at once
	var senders, readers []*Channel
	for range many {
		ours, theirs := open(t, a, b, Options{})
		senders, readers = append(senders, ours), append(readers, theirs)
	}
	for _, ours := range senders {
		writers.Go(func() {
			for range each {
				if err := ours.Write(ctx, make([]byte, size), false); err != nil {
					t.Error(err)
					return
				}
				for queued := int64(a.pc.SCTP().BufferedAmount()); ; {
					if old := most.Load(); queued <= old || most.CompareAndSwap(old, queued) {
						break
					}
				}
			}
		})
	}
	// The window of SCTP is full, so the rest queues at the sender.
	for most.Load() < highWater && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	for _, ch := range readers {
		writers.Go(func() {
			for i := range each {
				if data, _, err := ch.Receive(ctx); err != nil || len(data) != size {
					t.Errorf("message %d: received %d bytes, %v", i, len(data), err)
					return
				}
			}
		})
	}
	writers.Wait()
	if got, bound := most.Load(), int64(highWater+many*(minQueued+size)); got > bound {
		t.Errorf("%d bytes were queued at once, want %d at most", got, bound)
	}
}

// Messages keep their boundaries and lengths, whatever buffers they need.
func TestMessagesOfAllSizes(t *testing.T) {
	ours, theirs := channels(t, Options{})
	ctx := timeout(t)
	sizes := []int{1, 15, 16, 17, 0, 1200, defaultMessageSize, defaultMessageSize + 1, 16, MaxMessageSize, 1, 0, 3000, MaxMessageSize - 1, 17}
	go func() {
		for i, size := range sizes {
			if err := ours.Write(ctx, bytes.Repeat([]byte{byte('a' + i)}, size), i%2 == 0); err != nil {
				t.Error(err)
			}
		}
	}()
	for i, size := range sizes {
		data, text, err := theirs.Receive(ctx)
		if err != nil || text != (i%2 == 0) || !bytes.Equal(data, bytes.Repeat([]byte{byte('a' + i)}, size)) {
			t.Errorf("message %d: got %d bytes, %t, %v, want %d bytes", i, len(data), text, err, size)
		}
	}
}

// A channel that waits for messages takes little memory, before and after it was used.
func TestMemoryOfChannels(t *testing.T) {
	const many, most = 200, 32 << 10 // bytes of both ends
	a, b := sides(t)
	ctx := timeout(t)
	start := heap()
	var ends [2][]*Channel
	var received sync.WaitGroup
	for range many {
		ours, theirs := open(t, a, b, Options{})
		ends[0], ends[1] = append(ends[0], ours), append(ends[1], theirs)
	}
	for _, all := range ends {
		for _, ch := range all {
			a.spawn(func() {
				for {
					if _, _, err := ch.Receive(context.Background()); err != nil {
						return
					}
					received.Done()
				}
			})
		}
	}
	idle := (heap() - start) / many
	received.Add(2 * many)
	for _, all := range ends {
		for _, ch := range all {
			if err := ch.Write(ctx, make([]byte, 1024), false); err != nil {
				t.Fatal(err)
			}
		}
	}
	received.Wait()
	for _, ch := range append(ends[0], ends[1]...) {
		if err := ch.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	used := (heap() - start) / many
	t.Logf("%d bytes of both ends of an idle channel, %d once it has sent and received", idle, used)
	if idle > most || used > most {
		t.Errorf("an idle channel takes %d bytes, one that was used %d, want %d at most", idle, used, most)
	}
	runtime.KeepAlive(ends)
}

// heap returns the bytes in use. A pool loses what it holds in the second collection.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

func TestReceiveAndWriteEndWithTheirContext(t *testing.T) {
	ours, theirs := channels(t, Options{})
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
	for ours.Pending() < highWater*3/4 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("Write says %v", err)
	}
	// The channel still works.
	if data, _, err := theirs.Receive(timeout(t)); err != nil || len(data) != 60_000 {
		t.Errorf("received %d bytes, %v", len(data), err)
	}
}

func TestWrongOptions(t *testing.T) {
	one := uint16(1)
	for _, o := range []Options{
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
