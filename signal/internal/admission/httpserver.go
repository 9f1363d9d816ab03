package admission

import (
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// responseTimeout bounds the writing of a response, such as a page.
const responseTimeout = time.Minute

// HTTPLimits are the limits of an HTTP server.
type HTTPLimits struct {
	Connections, PerAddress int
	HeaderTimeout           time.Duration // math.MaxInt64 for no limit
	MaxHeader               int           // bytes
}

// HTTPOptions are the options of an HTTP server. Limits and Logger are required.
type HTTPOptions struct {
	Limits  HTTPLimits
	Exempt  func(netip.Addr) bool // reports whether PerAddress does not hold for an address
	Refused func()                // is called for a connection over a limit
	Logger  *slog.Logger
}

// NewHTTPServer returns an HTTP server for a listener that strangers reach.
func NewHTTPServer(handler http.Handler, o HTTPOptions) *http.Server {
	headerTimeout := o.Limits.HeaderTimeout
	if headerTimeout == math.MaxInt64 {
		headerTimeout = 0 // no limit, in net/http
	}
	conns := NewCounter(o.Limits.Connections, o.Limits.PerAddress)
	conns.exempt = o.Exempt
	return &http.Server{
		ConnState: conns.connState(o.Refused),
		Handler:   handler,
		// Against clients that send their header byte by byte, or without end.
		ReadHeaderTimeout: headerTimeout,
		MaxHeaderBytes:    o.Limits.MaxHeader,
		IdleTimeout:       time.Minute,
		// Against clients that send a body or read a response byte by byte. Neither holds for a
		// connection that was upgraded.
		ReadTimeout:  headerTimeout,
		WriteTimeout: responseTimeout,
		ErrorLog:     slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
	}
}

// connState returns an http.Server's ConnState that bounds the connections that net/http has in
// hand: those that are not WebSockets yet, or never will be. One too many is closed without an
// answer, as it may not even be HTTP, and refused is called.
func (c *Counter) connState(refused func()) func(net.Conn, http.ConnState) {
	return func(conn net.Conn, state http.ConnState) {
		address := parseAddr(conn.RemoteAddr().String())
		switch state {
		case http.StateNew:
			if c.Add(address) != "" {
				if refused != nil {
					refused()
				}
				_ = conn.Close() // net/http reports StateClosed for it
			}
		case http.StateClosed, http.StateHijacked:
			c.Remove(address)
		}
	}
}
