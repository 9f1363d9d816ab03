//go:build !gorilla

package wsconn_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"parley/signal/internal/wsconn"
)

const (
	// patience bounds every wait of a test.
	patience = 20 * time.Second
	// maxMessage is the limit of the server in bytes.
	maxMessage = 1 << 20
)

// handler is a wsconn.Handler of functions. By default it sends every message back.
type handler struct {
	pool    *wsconn.Pool
	conn    *wsconn.Conn
	message func(b *wsconn.Batch, data []byte) error
	meter   func() error
	pong    func(rtt time.Duration)
	end     func(err error)
}

func (h *handler) HandleMessage(b *wsconn.Batch, data []byte) error {
	if h.message != nil {
		return h.message(b, data)
	}
	h.conn.Send(b, data)
	return nil
}

func (h *handler) Meter(*wsconn.Batch) error {
	if h.meter != nil {
		return h.meter()
	}
	return nil
}

func (h *handler) HandlePong(_ *wsconn.Batch, rtt time.Duration) {
	if h.pong != nil {
		h.pong(rtt)
	}
}

func (h *handler) HandleEnd(_ *wsconn.Batch, err error) {
	if h.end != nil {
		h.end(err)
	}
}

func (h *handler) batch() *wsconn.Batch { return h.pool.Batch() }

// server serves connections of wsconn over plain TCP or TLS.
type server struct {
	web  *httptest.Server
	pool *wsconn.Pool
}

// startServer runs a server until the test ends. Configure is called for each connection's handler
// before the connection starts; nil changes nothing.
func startServer(t testing.TB, secure bool, configure func(h *handler)) *server {
	t.Helper()
	return startServerWith(t, secure, patience, configure)
}

// startServerWith is startServer with a timeout for messages.
func startServerWith(t testing.TB, secure bool, messageTimeout time.Duration, configure func(h *handler)) *server {
	t.Helper()
	began := time.Now()
	var goroutines sync.WaitGroup
	goroutines.Add(1) // of the server: no connection may be the first while another goroutine waits
	s := &server{pool: wsconn.NewPool(wsconn.Config{
		MaxMessage: maxMessage, MaxQueue: 4 * maxMessage, MessageTimeout: messageTimeout,
		Now: func() int64 { return int64(time.Since(began)) + 1 }, Goroutines: &goroutines,
	})}
	upgrader := wsconn.NewUpgrader()
	s.web = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		h := &handler{pool: s.pool}
		h.conn = s.pool.NewConn(ws, h)
		if configure != nil {
			configure(h)
		}
		h.conn.Start()
	}))
	if secure {
		s.web.StartTLS()
	} else {
		s.web.Start()
	}
	t.Cleanup(func() {
		s.web.Close()
		goroutines.Done()
		goroutines.Wait()
	})
	return s
}

// client is a socket after a WebSocket handshake, which can send invalid frames.
type client struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (s *server) dial(t testing.TB) *client {
	t.Helper()
	address := s.web.Listener.Addr().String()
	var socket net.Conn
	var err error
	if s.web.TLS != nil {
		socket, err = tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	} else {
		socket, err = net.Dial("tcp", address)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	_ = socket.SetDeadline(time.Now().Add(patience))
	c := &client{t, socket, bufio.NewReader(socket)}
	c.send([]byte("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: got %v, %v", resp, err)
	}
	return c
}

// send writes bytes. A failure shows in what is received: the server may have closed already.
func (c *client) send(p []byte) { _, _ = c.Write(p) }

// sendOctets writes each byte by itself.
func (c *client) sendOctets(p []byte) {
	for i := range p {
		c.send(p[i : i+1])
	}
}

// reply is a frame of the server.
type reply struct {
	opcode  byte
	payload string
}

// receive returns the next frame. It fails the test if the frame is masked, fragmented, or has
// reserved bits.
func (c *client) receive() (reply, error) {
	var header [2]byte
	if _, err := io.ReadFull(c.in, header[:]); err != nil {
		return reply{}, err
	}
	if header[0]&0xf0 != 0x80 || header[1]&0x80 != 0 {
		c.t.Fatalf("got a frame with the header %x", header)
	}
	length := uint64(header[1])
	switch length {
	case 126:
		var extended [2]byte
		if _, err := io.ReadFull(c.in, extended[:]); err != nil {
			return reply{}, err
		}
		length = uint64(binary.BigEndian.Uint16(extended[:]))
	case 127:
		var extended [8]byte
		if _, err := io.ReadFull(c.in, extended[:]); err != nil {
			return reply{}, err
		}
		length = binary.BigEndian.Uint64(extended[:])
	}
	payload := make([]byte, length)
	_, err := io.ReadFull(c.in, payload)
	return reply{header[0] & 0xf, string(payload)}, err
}

// end reads until the stream ends, and answers the server's close frame, whose code it returns:
// 1005 if it has none, 1006 if there is no such frame.
func (c *client) end() (code int) {
	code = 1006
	for {
		r, err := c.receive()
		if err != nil {
			return code
		}
		if r.opcode == 0x8 {
			code = closeCode(r.payload)
			c.send(closeWith(1000, ""))
		}
	}
}

// closeCode returns the code in the payload of a close frame.
func closeCode(payload string) int {
	if len(payload) < 2 {
		return 1005
	}
	return int(binary.BigEndian.Uint16([]byte(payload)))
}

// maskKey masks all frames of the tests.
var maskKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// frame returns a frame of a client with this first byte.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, maskKey[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^maskKey[i&3])
	}
	return b
}

// The first bytes of frames.
const (
	text         = 0x81
	textStart    = 0x01
	continuation = 0x00
	lastFragment = 0x80
	binaryFrame  = 0x82
	closeFrame   = 0x88
	ping         = 0x89
	pong         = 0x8A
)

// closeWith returns a close frame.
func closeWith(code uint16, reason string) []byte {
	return frame(closeFrame, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

// fragments returns a text message in fragments with these payloads.
func fragments(payloads ...string) []byte {
	var b []byte
	for i, p := range payloads {
		first := byte(continuation)
		if i == 0 {
			first = textStart
		}
		if i == len(payloads)-1 {
			first |= 0x80
		}
		b = append(b, frame(first, p)...)
	}
	return b
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
