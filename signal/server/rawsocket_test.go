package server_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// raw is a socket with an upgrade made by hand, which lets us send what no library would.
type raw struct {
	t *testing.T
	*net.TCPConn
	in *bufio.Reader
}

func (v *victim) socket() *raw {
	v.t.Helper()
	conn, err := net.Dial("tcp", v.address)
	if err != nil {
		v.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return &raw{v.t, conn.(*net.TCPConn), bufio.NewReader(conn)}
}

func (v *victim) upgrade(header string) *raw {
	v.t.Helper()
	r := v.socket()
	r.write("GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", v.address, header)
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		v.t.Fatalf("upgrading: %v, %v", resp, err)
	}
	if e := resp.Header.Get("Sec-Websocket-Extensions"); e != "" {
		v.t.Errorf("the server agreed to %s", e)
	}
	return r
}

func (r *raw) write(format string, args ...any) {
	r.t.Helper()
	if _, err := fmt.Fprintf(r, format, args...); err != nil {
		r.t.Fatal(err)
	}
}

// masked is a frame as a client must send it, with the mask 0.
func masked(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func (r *raw) frame(first byte, payload string) {
	_, _ = r.Write(masked(first, payload)) // an attacker may be cut off in mid-attack
}

func (r *raw) text(payload string) { r.frame(0x81, payload) }

// closed reads until the server has closed, and checks the code; 0 is an end without a close frame.
func (r *raw) closed(want int) {
	r.t.Helper()
	defer r.Close()
	code := 0
	for {
		header, err := r.in.Peek(2)
		if err != nil {
			break
		}
		n, skip := int(header[1]), 2
		if n == 126 {
			if header, err = r.in.Peek(4); err != nil {
				break
			}
			n, skip = int(binary.BigEndian.Uint16(header[2:])), 4
		}
		payload := make([]byte, skip+n)
		if _, err := io.ReadFull(r.in, payload); err != nil {
			break
		}
		if payload[0]&0xf == 8 {
			if n >= 2 {
				code = int(binary.BigEndian.Uint16(payload[skip:]))
			}
			r.frame(0x88, "\x03\xe8") // as RFC 6455, 5.5.1 wants it
		}
	}
	if code != want {
		r.t.Errorf("closed with %d instead of %d", code, want)
	}
}

func (r *raw) reset() {
	_ = r.SetLinger(0)
	_ = r.Close()
}

// status reads the answer of an HTTP server.
func (r *raw) status(want int) {
	r.t.Helper()
	defer r.Close()
	resp, err := http.ReadResponse(r.in, nil)
	if err != nil {
		r.t.Error(err)
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != want {
		r.t.Errorf("answered %s instead of %d", resp.Status, want)
	}
}

// ends waits until the server has closed the socket.
func (r *raw) ends() {
	r.t.Helper()
	defer r.Close()
	if _, err := io.Copy(io.Discard, r.in); err != nil && strings.Contains(err.Error(), "timeout") {
		r.t.Errorf("the server does not close: %v", err)
	}
}
