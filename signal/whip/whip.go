// Package whip reads and writes what HTTP messages of WHIP and WHEP carry, for clients and servers.
//
// WHIP is RFC 9725, WHEP the Internet-Draft of April 2026. Section numbers in this package are of
// RFC 9725 where no other document is named. Everything that is read is bounded and checked, and
// every error can be shown to a user.
package whip

import (
	"errors"
	"fmt"
	"mime"
	"net"
	"net/url"
	"strings"

	"parley/signal"
)

// Media types of bodies.
const (
	TypeSDP      = "application/sdp"                 // an offer or an answer
	TypeFragment = "application/trickle-ice-sdpfrag" // candidates or an ICE restart (RFC 8840)
	TypeProblem  = "application/problem+json"        // an error (RFC 9457)
	typeText     = "text/plain"                      // an error of a server that has no problem details
	typeJSON     = "application/json"                // the same
)

// Limits in bytes, and in elements of a list. A server refuses what is beyond them with 413, a
// client ends the session.
const (
	MaxSDP        = signal.MaxReceivedSDP // an offer or an answer
	MaxFragment   = 32 << 10              // an SDP fragment
	MaxProblem    = 4 << 10               // the body of an error; what is beyond is not read
	MaxHeader     = 32 << 10              // all header fields of a message
	MaxLink       = 8 << 10               // all Link header fields of a message
	MaxETag       = 256                   // an entity tag with its quotes
	MaxURL        = 2 << 10               // an endpoint or a session URL
	MaxCandidates = 128                   // the candidates of a fragment
)

// Direction is the protocol of an endpoint: who sends media.
type Direction string

// The directions. Either is unknown until a program knows whether it sends.
const (
	Publish Direction = "whip" // the client sends (RFC 9725)
	Play    Direction = "whep" // the client receives (WHEP)
	Either  Direction = ""     // an http or https URL, which names none
)

// An Endpoint is where sessions are created.
type Endpoint struct {
	URL       *url.URL // http or https, without a user
	Direction Direction
}

// IsURL reports whether an operand is meant as the URL of an endpoint, and not as a name.
func IsURL(s string) bool {
	scheme, _, ok := strings.Cut(s, "://")
	if !ok {
		return false
	}
	switch strings.ToLower(scheme) {
	case "whip", "whips", "whep", "wheps", "http", "https":
		return true
	}
	return false
}

// ParseEndpoint reads the URL of an endpoint: whip, whips, whep, wheps, http or https.
func ParseEndpoint(s string) (Endpoint, error) {
	var e Endpoint
	if len(s) > MaxURL {
		return e, fmt.Errorf("invalid URL: got %d bytes, want at most %d", len(s), MaxURL)
	}
	u, err := url.Parse(s)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return e, fmt.Errorf("invalid URL %q: %s", signal.PrintableURL(s), signal.Printable(err.Error()))
	}
	switch strings.ToLower(u.Scheme) {
	case "whip", "whips":
		e.Direction = Publish
	case "whep", "wheps":
		e.Direction = Play
	case "http", "https":
	default:
		return e, fmt.Errorf("invalid URL %q: want whip, whips, whep, wheps, http or https before ://", signal.PrintableURL(s))
	}
	secure := strings.HasSuffix(strings.ToLower(u.Scheme), "s")
	if u.Scheme = "http"; secure {
		u.Scheme = "https"
	}
	switch {
	case u.Hostname() == "":
		return e, fmt.Errorf("invalid URL %q: has no host", signal.PrintableURL(s))
	case u.User != nil:
		return e, errors.New("invalid URL: has a user before the host; give the token with --token or $PARLEY_TOKEN")
	}
	u.Fragment, u.RawFragment = "", ""
	e.URL = u
	return e, nil
}

// Origin returns the origin of a URL (RFC 6454): scheme, host and port.
func Origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		if port = "80"; u.Scheme == "https" {
			port = "443"
		}
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// ResolveLocation returns the session URL that a Location header field names, relative to the URL
// that was requested (section 4.2). It must be in the origin of that, because the token is sent to
// it. A server behind a proxy that ends TLS names itself with http: it is requested with https.
func ResolveLocation(request *url.URL, location string) (*url.URL, error) {
	switch {
	case location == "":
		return nil, errors.New("the answer has no Location: want the URL of the session (RFC 9725 section 4.2)")
	case len(location) > MaxURL:
		return nil, fmt.Errorf("invalid Location: got %d bytes, want at most %d", len(location), MaxURL)
	}
	l, err := url.Parse(location)
	if err != nil {
		return nil, fmt.Errorf("invalid Location %q: want a URL", signal.Printable(location))
	}
	u := request.ResolveReference(l)
	u.Fragment, u.RawFragment = "", ""
	if request.Scheme == "https" && u.Scheme == "http" && strings.EqualFold(u.Host, request.Host) {
		u.Scheme = "https"
	}
	switch {
	case u.User != nil:
		return nil, errors.New("invalid Location: has a user before the host")
	case Origin(u) != Origin(request):
		return nil, fmt.Errorf("invalid Location %q: is not in the origin %s", signal.Printable(location), signal.Printable(Origin(request)))
	}
	return u, nil
}

// IsType reports whether the value of a Content-Type header field is this media type, with any
// parameters, in upper or lower case.
func IsType(value, want string) bool {
	got, _, err := mime.ParseMediaType(value)
	return err == nil && got == want
}
