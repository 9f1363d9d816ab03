package turnserver

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// clock is a clock that a test advances.
type clock struct {
	mu sync.Mutex // guards t
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Now()} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// until polls a condition for which there is no event.
func until(t *testing.T, done func() bool) {
	t.Helper()
	deadline := time.After(testTimeout)
	for !done() {
		select {
		case <-deadline:
			t.Fatal("condition not met in time")
		case <-time.After(time.Millisecond):
		}
	}
}

// message returns a STUN message.
func message(kind uint16, body []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = binary.BigEndian.AppendUint32(b, magicCookie)
	return append(append(b, "transaction!"...), body...)
}

func channelData(length int) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0x4001)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	return append(b, make([]byte, (length+3)&^3)...)
}

func TestFrames(t *testing.T) {
	binding, data := message(1, nil), channelData(5)
	var stream []byte
	for _, part := range [][]byte{binding, data, channelData(65535), channelData(0), message(1, make([]byte, 65532)), message(1, make([]byte, 1579)), binding} {
		stream = append(stream, part...)
	}
	want := [][]byte{binding, data, channelData(0), binding}
	// 1579 is not a multiple of four, which ends the stream.
	want = want[:3]
	r := bufio.NewReaderSize(oneByte{bytes.NewReader(stream)}, frameBuffer)
	for i, w := range want {
		got, err := readFrame(r)
		if err != nil || !bytes.Equal(got, w) {
			t.Fatalf("message %d: %d bytes, %v; want %d", i, len(got), err, len(w))
		}
	}
	if _, err := readFrame(r); !errors.Is(err, errNoMessage) {
		t.Errorf("after an invalid length: %v", err)
	}
	for _, bad := range [][]byte{{0xC0, 0, 0, 0}, append([]byte{0, 1, 0, 0}, make([]byte, 16)...)} {
		if _, err := readFrame(bufio.NewReaderSize(bytes.NewReader(bad), frameBuffer)); !errors.Is(err, errNoMessage) {
			t.Errorf("%q: %v", bad[:4], err)
		}
	}
	if _, err := readFrame(bufio.NewReaderSize(bytes.NewReader(binding[:10]), frameBuffer)); !errors.Is(err, io.EOF) {
		t.Errorf("half a message: %v", err)
	}
}

// oneByte reads like a slow network.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(b []byte) (int, error) { return o.r.Read(b[:1]) }

// Headers that announce 65516 bytes made the framing of pion/turn loop for ever. Other clients are
// served afterwards.
func TestHostileStreams(t *testing.T) {
	server, _ := certificate(t)
	r := start(t, Options{TLS: server})
	spin := message(1, nil)
	binary.BigEndian.PutUint16(spin[2:], 65516)
	for what, bytes := range map[string][]byte{
		"a length that wraps":  append(spin, make([]byte, 65516)...),
		"HTTP":                 []byte("POST / HTTP/1.1\r\n\r\n"),
		"half a TLS handshake": {22, 3, 1, 2, 0},
		"TLS nonsense":         slices.Concat([]byte{22, 3, 1, 0, 4}, []byte("what")),
		"channel data":         channelData(65535),
		"an answer":            message(0x101, nil),
		"an unknown method":    message(0x0FF, nil),
	} {
		c := dialed(t, r.tcp, nil)
		if _, err := c.Write(bytes); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("%s: %v", what, err)
		}
		_ = c.Close()
	}
	until(t, func() bool { return r.Stats().Streams == 0 })
	passesBothWays(t, r.allocate(t, "alice"), r.allocate(t, "bob"))
}

// A process without free file descriptors accepts again when there are some.
func TestAcceptAfterErrors(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, err := NewServer(Options{Credentials: credentials(), Addresses: []Address{{Bind: netip.MustParseAddr("127.0.0.1")}}})
	if err != nil {
		t.Fatal(err)
	}
	s := newStreamListener(&failing{Listener: listener, failures: 2}, server, newClientTable())
	c := dialed(t, listener.Addr().String(), nil)
	if _, err := c.Write(message(1, nil)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = got.Close()
	_ = s.Close()
	s.wait()
	if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// failing is a listener that is out of file descriptors at first.
type failing struct {
	net.Listener
	failures int
}

func (f *failing) Accept() (net.Conn, error) {
	if f.failures--; f.failures >= 0 {
		return nil, syscall.EMFILE
	}
	return f.Listener.Accept()
}

// FuzzFrame checks that readFrame ends on every input and returns whole messages of bounded size.
func FuzzFrame(f *testing.F) {
	f.Add(slices.Concat(message(1, nil), channelData(5), channelData(65535)))
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(stream), frameBuffer)
		total := 0
		for {
			frame, err := readFrame(r)
			if err != nil {
				return
			}
			total += len(frame)
			if len(frame) == 0 || len(frame) > maxMessage || len(frame)%4 != 0 || total > len(stream) {
				t.Fatalf("a message of %d bytes, %d of %d in all", len(frame), total, len(stream))
			}
		}
	})
}
