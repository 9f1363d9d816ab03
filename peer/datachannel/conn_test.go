package datachannel

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
)

// newConn returns a Conn without a channel, which handles messages alone.
func newConn() *Conn {
	c := &Conn{credit: connWindow}
	c.more = sync.NewCond(&c.mu)
	return c
}

// TestConnMemory: a window of one-byte messages takes no more memory than one of long ones.
func TestConnMemory(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	c := newConn()
	for i := range connWindow {
		if err := c.handle([]byte{byte(i)}, false); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := int64(heap())-int64(before), int64(2*connWindow); got > want {
		t.Errorf("a window of one-byte messages takes %d bytes, want %d at most", got, want)
	}
	if err := c.handle([]byte{0}, false); err == nil {
		t.Error("one more byte is taken")
	}
	got := make([]byte, connWindow)
	c.err = io.EOF // sends no credit
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	for i, b := range got {
		if b != byte(i) {
			t.Fatalf("byte %d is %d, want %d", i, b, byte(i))
		}
	}
}

// The bytes of a Conn come out in order, however reads and messages fall together.
func TestConnReadsAcrossTheEndOfTheRing(t *testing.T) {
	c := newConn()
	var in, out []byte
	buffer := make([]byte, 700)
	for i := range 2000 {
		message := bytes.Repeat([]byte{byte(i)}, 1+i*37%900)
		if c.queue.len()+len(message)+c.read > connWindow {
			break
		}
		in = append(in, message...)
		if err := c.handle(message, false); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(buffer[:1+i*53%len(buffer)])
		if err != nil {
			t.Fatal(err)
		}
		c.read = 0 // as if the credit had been sent
		out = append(out, buffer[:n]...)
	}
	if err := c.handle(nil, false); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if out = append(out, rest...); len(out) < 300_000 || !bytes.Equal(in, out) {
		t.Errorf("read %d bytes, which are not the %d that were sent", len(out), len(in))
	}
}

func TestConnCarriesBytesAndHalfCloses(t *testing.T) {
	ours, theirs := channels(t, Options{Protocol: ConnProtocol})
	a, b := NewConn(timeout(t), ours), NewConn(timeout(t), theirs)
	<-a.Accepted()
	const size = 3<<20 + 5
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(a, noise(1, size))
		sent <- errors.Join(err, a.CloseWrite())
	}()
	if got := hashOf(t, b); got != hashOf(t, noise(1, size)) {
		t.Error("other bytes came")
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if _, err := io.WriteString(b, "answer"); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil { // breaks off
		t.Fatal(err)
	}
	if got, err := io.ReadAll(a); string(got) != "answer" || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v", got, err)
	}
	_ = a.Close()
	a.Wait()
	b.Wait()
}
