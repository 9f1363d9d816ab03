package admission

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/gorilla/websocket"
	"github.com/realclientip/realclientip-go"
)

// Options are the options of a Policy.
type Options struct {
	AllowOrigins   []string               // see CheckOriginPattern
	IsOwnName      func(host string) bool // reports whether the server is known by a host name, in lower case; nil for none
	TrustedProxies []netip.Prefix
	ClientIPHeader string // in which proxies name the client; "" for none
}

// Policy decides which requests may open a WebSocket, and which address they come from.
type Policy struct {
	options  Options
	clientIP realclientip.Strategy
}

// NewPolicy returns a policy.
func NewPolicy(o Options) *Policy {
	return &Policy{options: o, clientIP: clientIPStrategy(o.ClientIPHeader, o.TrustedProxies)}
}

// CheckHandshake returns what is wrong with an opening handshake (RFC 6455, 4.2.1), and the status
// to answer it with. It comes before the limits: only what can become a connection counts as one.
func (p *Policy) CheckHandshake(r *http.Request) (status int, err error) {
	key, keyErr := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	switch {
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed, errors.New("invalid WebSocket handshake: want a GET request")
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return http.StatusBadRequest, errors.New("invalid WebSocket handshake: want Sec-WebSocket-Version: 13")
	case keyErr != nil || len(key) != 16:
		return http.StatusBadRequest, errors.New("invalid WebSocket handshake: want a Sec-WebSocket-Key of 16 bytes in base64")
	case !p.OriginAllowed(r):
		return http.StatusForbidden, errors.New("origin not allowed")
	}
	return 0, nil
}

// OriginAllowed reports whether the page of a request may connect. A browser sends Origin with
// every WebSocket and lets any page open one anywhere (RFC 6455, 10.2), so the server has to check
// it. Programs send none and are allowed.
func (p *Policy) OriginAllowed(r *http.Request) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true
	}
	if len(values) > 1 {
		return false
	}
	origin := values[0]
	for _, pattern := range p.options.AllowOrigins {
		if matchOrigin(pattern, origin) {
			return true
		}
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return isLoopback(u.Hostname()) || sameHost(u, r.Host) && p.isOwnName(u.Hostname())
}

// sameHost reports whether origin is of the host and port of a Host header. The port of the
// origin's scheme equals none.
func sameHost(origin *url.URL, hostHeader string) bool {
	host := &url.URL{Host: hostHeader}
	return strings.EqualFold(origin.Hostname(), host.Hostname()) && portOf(origin, origin.Scheme) == portOf(host, origin.Scheme)
}

// portOf returns the port of a URL, that of the scheme if it has none.
func portOf(u *url.URL, scheme string) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[scheme]
}

// isOwnName reports whether this server is known by a host name. That a page's origin is the Host
// of its request is not enough: the owner of any name can point it at this server, for browsers in
// whose network it is (DNS rebinding). Nobody can do that to an address.
func (p *Policy) isOwnName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	return p.options.IsOwnName != nil && p.options.IsOwnName(strings.ToLower(host))
}

// matchOrigin reports whether origin is what pattern stands for: "*" for all,
// "https://*.example.com" for every host below, anything else for itself.
func matchOrigin(pattern, origin string) bool {
	pattern, origin = strings.ToLower(pattern), strings.ToLower(origin)
	if pattern == "*" || pattern == origin {
		return true
	}
	scheme, domain, wild := strings.Cut(pattern, "://*.")
	if !wild {
		return false
	}
	host, ok := strings.CutPrefix(origin, scheme+"://")
	if !ok || strings.ContainsAny(host, "/@?#") {
		return false
	}
	label, ok := strings.CutSuffix(host, "."+domain)
	return ok && label != ""
}

func isLoopback(host string) bool {
	if host = strings.ToLower(host); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// CheckOriginPattern returns an error if pattern is not valid in Options.AllowOrigins.
func CheckOriginPattern(pattern string) error {
	if pattern == "*" || pattern == "null" {
		return nil
	}
	u, err := url.Parse(strings.Replace(pattern, "://*.", "://", 1))
	if err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || strings.Contains(u.Host, "*") {
		return fmt.Errorf("the origin %q has not the form https://host, https://host:port or https://*.domain", pattern)
	}
	if _, _, err := net.SplitHostPort(u.Host); err != nil && u.Port() != "" {
		return fmt.Errorf("the origin %q has a bad port: %w", pattern, err)
	}
	return nil
}

// clientIPStrategy returns how the address of a client is found in the requests of trusted proxies.
func clientIPStrategy(header string, proxies []netip.Prefix) realclientip.Strategy {
	var ranges []net.IPNet
	for _, p := range proxies {
		ranges = append(ranges, net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	if list, err := realclientip.NewRightmostTrustedRangeStrategy(header, ranges); err == nil {
		return list
	}
	if single, err := realclientip.NewSingleIPHeaderStrategy(header); err == nil {
		return single
	}
	return realclientip.RemoteAddrStrategy{} // no header is named
}

// ClientAddr returns where a request comes from. The header of a trusted proxy is believed; if it
// has no valid address, the address of the proxy counts.
func (p *Policy) ClientAddr(r *http.Request) netip.Addr {
	address := parseAddr(r.RemoteAddr)
	if !p.IsProxy(address) {
		return address
	}
	if client := parseAddr(p.clientIP.ClientIP(r.Header, r.RemoteAddr)); client.IsValid() {
		return client
	}
	return address
}

func (p *Policy) IsProxy(a netip.Addr) bool {
	return slices.ContainsFunc(p.options.TrustedProxies, func(proxy netip.Prefix) bool { return proxy.Contains(a) })
}

// parseAddr reads an address with or without a port, and the invalid address for anything else.
func parseAddr(text string) netip.Addr {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

const (
	// Subprotocol is what a client offers beside tokenPrefix, so that the server has something to
	// agree to that is no secret.
	Subprotocol = "parley"
	// tokenPrefix begins a subprotocol that carries a token: a browser can send nothing else with
	// an upgrade.
	tokenPrefix = "parley.token."
	// MaxToken bounds a token.
	MaxToken = 8 << 10
)

// Token returns the token that came with an upgrade: in a subprotocol, in Authorization, or in the
// query, in this order.
func Token(r *http.Request) string {
	for _, p := range websocket.Subprotocols(r) {
		if text, ok := strings.CutPrefix(p, tokenPrefix); ok {
			token, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
			if err == nil {
				return bounded(string(token))
			}
		}
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return bounded(strings.TrimSpace(token))
	}
	return bounded(r.URL.Query().Get("token"))
}

func bounded(token string) string {
	if len(token) > MaxToken {
		return ""
	}
	return token
}
