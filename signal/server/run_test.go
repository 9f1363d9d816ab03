package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/server"
	"parley/signal/signaltest"
)

// TestRun serves on two listeners, over plain TCP and over TLS, and ends with its context.
func TestRun(t *testing.T) {
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewUnstartedServer(nil)
	secure.StartTLS() // for its certificate
	certificates, pool := secure.TLS.Certificates, secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	secure.Close()
	second, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	server := server.New(nil)
	ran := make(chan error, 1)
	go func() { ran <- server.Run(ctx, plain, second) }()

	alice := dialRaw(t, "ws://"+plain.Addr().String())
	defer alice.Close()
	dialer := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: pool}}
	bob, _, err := dialer.Dial("wss://"+second.Addr().String()+"/any/path", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close()
	ask(t, alice, map[string]any{"type": "login", "name": "alice"}, map[string]any{"type": "login", "success": true})
	ask(t, bob, map[string]any{"type": "leave", "name": "alice"}, map[string]any{"type": "error", "code": "login_first",
		"message": "sign in first: send a login with a name"})

	cancel()
	for _, ws := range []*websocket.Conn{alice, bob} {
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		if err := closedWith(ws, websocket.CloseGoingAway); err != nil {
			t.Error(err)
		}
	}
	if err := <-ran; err != nil {
		t.Errorf("Run: %v", err)
	}
	if conn, err := net.Dial("tcp", plain.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("the listener is still open")
	}
}

func TestRunFailsWithItsListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := server.New(nil).Run(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Run on a closed listener: %v", err)
	}
	if err := server.New(nil).Run(t.Context()); err == nil {
		t.Error("Run on nothing returned nil")
	}
}

// TestCloseCutsTheSilent closes a server while a client neither reads nor answers: Close still
// returns.
func TestCloseCutsTheSilent(t *testing.T) {
	server := server.New(nil)
	web := httptest.NewServer(server)
	defer web.Close()
	ws := dialRaw(t, "ws"+strings.TrimPrefix(web.URL, "http"))
	defer ws.Close()
	ask(t, ws, map[string]any{"type": "login", "name": "alice"}, map[string]any{"type": "login", "success": true})
	start := time.Now()
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > patience {
		t.Errorf("Close took %v", took)
	}
	_, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(web.URL, "http"), nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after Close: %v, %v", resp, err)
	}
}

// TestHalfARequest opens sockets that never finish their upgrade, and one that ends in mid-frame.
func TestHalfARequest(t *testing.T) {
	url := signalURL(t)
	address := strings.TrimPrefix(url, "ws://")
	half, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	fmt.Fprintf(half, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n", address)
	bad, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	fmt.Fprintf(bad, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", address)
	resp, err := http.ReadResponse(bufio.NewReader(bad), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("an upgrade without version was answered %s", resp.Status)
	}
	ws := dialRaw(t, url)
	_, _ = io.WriteString(ws.NetConn(), "\x81\xfe\x10\x00\x00\x00\x00\x00{\"type\":")
	_ = ws.Close()
	play(t, url, signIn("alice"))
}

// TestCloseWhilePartnerSends closes one end of many calls while the other sends without pause.
func TestCloseWhilePartnerSends(t *testing.T) {
	url := signaltest.Start(t, &server.Options{MaxQueue: 1 << 30, Limits: server.NoLimits()}) // nobody is to be cut off for being slow
	talker := dialRaw(t, url)
	defer talker.Close()
	ask(t, talker, map[string]any{"type": "login", "name": "talker"}, map[string]any{"type": "login", "success": true})
	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, frame := range []string{`{"type":"offer","offer":` + offerSDP + `,"name":"bob"}`, `{"type":"candidate","candidate":` + candidate + `,"name":"bob"}`} {
				if err := talker.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	read := make(chan error)
	go func() { // the errors and leaves for talker
		for {
			_, frame, err := talker.ReadMessage()
			if err == nil && strings.Contains(string(frame), `"login_first"`) {
				err = errors.New("talker is not signed in")
			}
			if err != nil || strings.Contains(string(frame), `"nobody"`) {
				read <- err
				return
			}
		}
	}()
	for range 50 {
		bob := dialRaw(t, url)
		signInAmidst(t, bob, "bob")
		hears(t, bob, "candidate")
		if err := shake(bob); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	work.Wait()
	if err := talker.WriteMessage(websocket.TextMessage, []byte(`{"type":"leave","name":"nobody"}`)); err != nil {
		t.Fatal(err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// signInAmidst signs in where messages may come before the reply is read.
func signInAmidst(t *testing.T, ws *websocket.Conn, name string) {
	t.Helper()
	if err := ws.WriteJSON(map[string]any{"type": "login", "name": name}); err != nil {
		t.Fatal(err)
	}
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	var got map[string]any
	if err := ws.ReadJSON(&got); err != nil {
		t.Fatal(err)
	}
	if got["type"] != "login" || got["success"] != true {
		t.Fatalf("the first that %s hears is %v", name, got)
	}
}

// TestNewHTTPServer connects more often from one address than may be, and begins requests without
// an end: neither lasts.
func TestNewHTTPServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "ok")
	})
	server := server.NewHTTPServer(handler, server.Limits{PerAddress: 2, HeaderWait: 500 * time.Millisecond}, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		_ = server.Close()
		<-served
	}()
	var conns []net.Conn
	for _, request := range []string{"GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, request)
		conns = append(conns, conn)
	}
	third, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range append([]net.Conn{third}, conns...) {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("a connection too many, or without the end of its request, stays open")
		}
		_ = conn.Close()
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, "the address has room again", func() bool {
		resp, err := client.Get("http://" + l.Addr().String() + "/")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil
	})
}
