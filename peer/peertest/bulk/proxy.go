package main

import (
	"net"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// proxy stands before a signaling server and rewrites what clients say: once, for
// what the server passes on has been rewritten.
type proxy struct {
	server string // its ws:// URL
	way    *detour
	http   http.Server
	work   sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	conns []*websocket.Conn
	ends  int // that have connected: the receiver is the first
}

// newProxy serves on a port of its own, whose URL it returns. The caller closes it.
func newProxy(server string, way *detour) (*proxy, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	p := &proxy{server: server, way: way}
	p.http.Handler = p
	p.work.Go(func() { _ = p.http.Serve(l) }) // until close
	return p, "ws://" + l.Addr().String(), nil
}

// ServeHTTP implements http.Handler: it carries one connection.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ask := websocket.Dialer{Subprotocols: websocket.Subprotocols(r)}
	there, _, err := ask.DialContext(r.Context(), p.server+r.URL.RequestURI(), nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	answer := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	if s := there.Subprotocol(); s != "" {
		answer.Subprotocols = []string{s}
	}
	here, err := answer.Upgrade(w, r, nil)
	if err != nil {
		_ = there.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, here, there)
	end := sender
	if p.ends == 0 {
		end = receiver
	}
	p.ends++
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { carry(here, there, func(text string) (string, error) { return p.way.rewrite(end, text) }) })
	both.Go(func() { carry(there, here, func(text string) (string, error) { return text, nil }) })
	both.Wait()
}

func carry(from, to *websocket.Conn, rewrite func(string) (string, error)) {
	defer func() { _ = from.Close(); _ = to.Close() }()
	for {
		kind, data, err := from.ReadMessage()
		if err != nil {
			return
		}
		text, err := rewrite(string(data))
		if err != nil || to.WriteMessage(kind, []byte(text)) != nil {
			return
		}
	}
}

func (p *proxy) close() {
	_ = p.http.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.work.Wait()
}
