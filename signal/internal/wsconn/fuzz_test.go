//go:build !gorilla

package wsconn

import (
	"bufio"
	"bytes"

	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// fuzzMaxMessage is the limit of FuzzGorilla in bytes.
const fuzzMaxMessage = 300

// parsed is what a parser makes of a stream.
type parsed struct {
	messages []string
	pings    []string
	code     int  // the close code to send or to reply with; 1006 for the end of the stream
	closed   bool // the client sent a close frame
	err      error
}

// FuzzGorilla parses the same bytes with this package and with gorilla/websocket. Both must return
// the same messages and pings, and end for the same reason.
func FuzzGorilla(f *testing.F) {
	masked := func(first byte, payload string) string {
		return string([]byte{first, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
	}
	for _, seed := range []string{
		masked(0x81, "{}") + masked(0x89, "ping") + masked(0x88, "\x03\xe8"),
		masked(0x01, "a") + masked(0x00, "") + masked(0x8a, "") + masked(0x80, "b"),
		masked(0x01, "\xc3") + masked(0x80, "\xa9") + masked(0x81, "\xff"),
		masked(0x82, "binary"), masked(0x88, "a"), masked(0x88, "\x03\xed"), masked(0x88, ""), masked(0x09, ""),
		"\x81\x02{}", "\xc1\x80\x00\x00\x00\x00", "\x81\xfe\x01\x00\x01\x02\x03\x04" + strings.Repeat("x", 256),
		"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",
		"\x81\xfe\x01\x2c\x00\x00\x00\x00" + strings.Repeat("x", 300), "\x81\xfe\x01\x2d\x00\x00\x00\x00" + strings.Repeat("x", 301),
		masked(0x80, ""), masked(0x01, "") + masked(0x01, ""), masked(0x83, ""), masked(0x8b, ""), "\x89\xfe\x00\x7e\x00\x00\x00\x00", "\x81",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		stream = stream[:min(len(stream), 8<<10)] // fewer than maxFragments frames
		got, want := parseOwn(stream), parseGorilla(t, stream)
		if !slices.Equal(got.messages, want.messages) {
			t.Fatalf("got the messages %q, want %q", got.messages, want.messages)
		}
		switch {
		case got.code == websocket.CloseUnsupportedData, got.code == websocket.CloseInvalidFramePayloadData:
			return // at once; gorilla leaves that to its caller, at the end of the message
		case got.code == websocket.CloseMessageTooBig && want.code == websocket.CloseAbnormalClosure:
			return // before the masking key, for which gorilla waits
		case strings.Contains(errText(got.err), "close frame") && want.closed && want.code == websocket.CloseNoStatusReceived:
			return // a payload of one byte, which gorilla accepts
		case strings.Contains(errText(got.err), "negative") && want.code == websocket.CloseMessageTooBig:
			return // a length of 2^63 or more, which RFC 6455, section 5.2, forbids
		case got.closed && got.code == 1014 && want.code == websocket.CloseProtocolError:
			return // registered with IANA after gorilla's list was made
		}
		if !slices.Equal(got.pings, want.pings) || got.code != want.code || got.closed != want.closed {
			t.Errorf("got the pings %q and code %d (%v), want %q and %d (%v)", got.pings, got.code, got.err, want.pings, want.code, want.err)
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// collector is a Handler that records.
type collector struct{ parsed }

func (c *collector) HandleMessage(_ *Batch, data []byte) error {
	c.messages = append(c.messages, string(data))
	return nil
}
func (c *collector) Meter(*Batch) error               { return nil }
func (c *collector) HandlePong(*Batch, time.Duration) {}
func (c *collector) HandleEnd(_ *Batch, err error)    { c.err = err }

func parseOwn(stream []byte) parsed {
	var goroutines sync.WaitGroup
	pool := NewPool(Config{
		MaxMessage: fuzzMaxMessage, MaxQueue: 1 << 20, MessageTimeout: time.Hour,
		Now: func() int64 { return 1 }, Goroutines: &goroutines,
	})
	socket := &streamSocket{in: bytes.NewReader(stream)}
	var c collector
	pool.newConn(socket, &c).Start()
	goroutines.Wait()
	var closed *websocket.CloseError
	var broken *ProtocolError
	switch {
	case errors.As(c.err, &closed):
		c.code, c.closed = closed.Code, true
	case errors.As(c.err, &broken):
		c.code = broken.Code
	default:
		c.code = websocket.CloseAbnormalClosure
	}
	for out := socket.out.Bytes(); len(out) > 0; { // the longest is a pong
		n := 2 + int(out[1])
		if out[0]&0xf == opPong {
			c.pings = append(c.pings, string(out[2:n]))
		}
		out = out[n:]
	}
	return c.parsed
}

func parseGorilla(t *testing.T, stream []byte) (p parsed) {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header = http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="},
	}
	ws, err := new(websocket.Upgrader).Upgrade(hijackable{httptest.NewRecorder(), &streamSocket{in: bytes.NewReader(stream)}}, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(fuzzMaxMessage)
	ws.SetCloseHandler(func(int, string) error { p.closed = true; return nil })
	ws.SetPingHandler(func(payload string) error { p.pings = append(p.pings, payload); return nil })
	for {
		kind, data, err := ws.ReadMessage()
		var closed *websocket.CloseError
		switch {
		case errors.As(err, &closed):
			p.code = closed.Code
		case errors.Is(err, websocket.ErrReadLimit):
			p.code = websocket.CloseMessageTooBig
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			p.code = websocket.CloseAbnormalClosure
		case err != nil:
			p.code = websocket.CloseProtocolError
		case kind == websocket.BinaryMessage:
			p.code = websocket.CloseUnsupportedData
		case !utf8.Valid(data):
			p.code = websocket.CloseInvalidFramePayloadData
		default:
			p.messages = append(p.messages, string(data))
			continue
		}
		p.err = err
		return p
	}
}

// hijackable is a response whose connection is a streamSocket.
type hijackable struct {
	http.ResponseWriter
	socket net.Conn
}

func (h hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.socket, bufio.NewReadWriter(bufio.NewReader(h.socket), bufio.NewWriter(h.socket)), nil
}

// streamSocket is a socket whose peer has sent a stream and nothing after it.
type streamSocket struct {
	in *bytes.Reader

	mu  sync.Mutex // guards out
	out bytes.Buffer
}

func (s *streamSocket) Read(p []byte) (int, error) { return s.in.Read(p) }

func (s *streamSocket) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *streamSocket) Close() error                     { return nil }
func (s *streamSocket) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *streamSocket) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *streamSocket) SetDeadline(time.Time) error      { return nil }
func (s *streamSocket) SetReadDeadline(time.Time) error  { return nil }
func (s *streamSocket) SetWriteDeadline(time.Time) error { return nil }
