package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/server"
)

// secureServer runs a server over TLS, on a listener of its own.
func secureServer(t *testing.T, options *server.Options) (srv *server.Server, v *victim) {
	t.Helper()
	secure := httptest.NewUnstartedServer(nil)
	secure.StartTLS() // for its certificate
	certificates := secure.TLS.Certificates
	secure.Close()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	srv = server.New(options)
	ran := make(chan error, 1)
	go func() { ran <- srv.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return srv, &victim{t: t, server: srv, address: l.Addr().String()}
}

func (v *victim) secureUser(name string) *websocket.Conn {
	v.t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	ws, _, err := dialer.Dial("wss://"+v.address, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = ws.Close() })
	ask(v.t, ws, map[string]any{"type": "login", "name": name}, map[string]any{"type": "login", "success": true})
	return ws
}

// TestTLSHandshakes attacks beneath HTTP.
func TestTLSHandshakes(t *testing.T) {
	_, v := secureServer(t, &server.Options{Limits: server.Limits{HeaderWait: 100 * time.Millisecond}})
	for name, bytes := range map[string]string{"silence": "", "half a hello": "\x16\x03\x01\x02\x00\x01\x00", "plain HTTP": "GET / HTTP/1.1\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			v.t = t
			r := v.socket()
			_, _ = r.Write([]byte(bytes)) // it may be cut off before
			r.ends()
		})
	}
}

// TestTLSHalfAFrame leaves a frame unfinished where the server has to hold a buffer for it.
func TestTLSHalfAFrame(t *testing.T) {
	srv, v := secureServer(t, &server.Options{Limits: server.Limits{FrameWait: 100 * time.Millisecond}})
	if _, err := v.secureUser("alice").NetConn().Write([]byte("\x81\xfe\x10\x00")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is cut off", func() bool { return srv.Stats().Connections == 0 })
}

// TestTLSSlowReader reads nothing of what it requests; its partner gets a leave when it is cut off.
func TestTLSSlowReader(t *testing.T) {
	_, v := secureServer(t, &server.Options{MaxQueue: 64 << 10, Limits: server.NoLimits()})
	alice, slow := v.secureUser("alice"), v.secureUser("slow")
	if err := alice.WriteMessage(websocket.TextMessage, []byte(`{"type":"offer","offer":`+offerSDP+`,"name":"slow"}`)); err != nil {
		t.Fatal(err)
	}
	left := make(chan error, 1)
	_ = alice.SetReadDeadline(time.Now().Add(patience))
	go func() { left <- means(alice, `{"type":"leave","name":"slow"}`) }()
	for {
		_ = slow.SetWriteDeadline(time.Now().Add(patience))
		_ = slow.WriteMessage(websocket.TextMessage, []byte(unknownType)) // fails once it is cut off
		select {
		case err := <-left:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

// TestTLSReset resets connections beneath TLS; the server notices each.
func TestTLSReset(t *testing.T) {
	srv, v := secureServer(t, nil)
	for i := range 5 {
		ws := v.secureUser(fmt.Sprint(i))
		tcp, ok := ws.NetConn().(*tls.Conn).NetConn().(*net.TCPConn)
		if !ok {
			t.Fatal(errors.New("no TCP beneath TLS"))
		}
		_ = tcp.SetLinger(0)
		_ = tcp.Close()
	}
	eventually(t, "nobody is left", func() bool { return srv.Stats() == server.Stats{} })
}
