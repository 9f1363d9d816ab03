package signal

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// door bounds the sockets that are not WebSockets yet, or never will be: those that net/http has in hand.
type door struct {
	server *Server

	mu    sync.Mutex // guards what follows
	total int
	by    map[netip.Addr]int
}

// state is an http.Server's ConnState. A socket over the bound is closed without an answer, as it may not even be HTTP.
func (d *door) state(socket net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if !d.enter(parseRemote(socket.RemoteAddr().String())) {
			d.server.metrics.refused("sockets")
			_ = socket.Close() // net/http reports it closed, and leave counts it
		}
	case http.StateClosed, http.StateHijacked:
		d.leave(parseRemote(socket.RemoteAddr().String()))
	}
}

func (d *door) enter(a netip.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := neighbourhood(a)
	d.total++
	d.by[key]++
	l := &d.server.limits
	return d.total <= l.Connections && (d.by[key] <= l.PerAddress || d.server.isProxy(a))
}

func (d *door) leave(a netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := neighbourhood(a)
	d.total--
	if d.by[key]--; d.by[key] <= 0 {
		delete(d.by, key)
	}
}
