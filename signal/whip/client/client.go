// Package client sends the HTTP requests of one WHIP or WHEP session.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"parley/signal"
	"parley/signal/whip"
)

// Options are the options of a Client. The zero value of each field is its default.
type Options struct {
	// Token returns the Bearer token, "" for none. Every request asks for it.
	Token func() (string, error)
	// Header is sent with every request to the origin of the endpoint.
	Header http.Header
	// TLS configures https. Default: the certificate authorities of the system.
	TLS *tls.Config
	// Retry is how long an offer is repeated that is refused with 429, 503, or 409 and a
	// Retry-After. Default 0: not at all.
	Retry time.Duration
	// RequestTimeout bounds each request. Default 15 s.
	RequestTimeout time.Duration
	// OnRequest handles the result of each request. Default: none.
	OnRequest func(Request)
	// Logger logs what a server does against the standard without harm. Default: none.
	Logger *slog.Logger
}

// A Request is a request that was sent, with its result.
type Request struct {
	Method string
	URL    string // without its query, which may be secret
	Status int    // 0 without a response
	Took   time.Duration
	Err    error // nil if the response is as expected
}

// A Client is one session at an endpoint: Post creates it, and Delete ends it. Its methods are
// called one after the other. The caller calls Close.
type Client struct {
	endpoint whip.Endpoint
	options  Options
	http     *http.Client
	session  *url.URL // nil before Post, and after Delete
	etag     string   // of the session, as it was received; "" for none
}

// maxRedirects bounds the redirects of an offer.
const maxRedirects = 5

// New returns a client without a session.
func New(endpoint whip.Endpoint, o Options) *Client {
	if o.RequestTimeout == 0 {
		o.RequestTimeout = 15 * time.Second
	}
	if o.Token == nil {
		o.Token = func() (string, error) { return "", nil }
	}
	if o.OnRequest == nil {
		o.OnRequest = func(Request) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS.Clone(), ForceAttemptHTTP2: true,
		DialContext:            (&net.Dialer{Timeout: o.RequestTimeout}).DialContext,
		MaxResponseHeaderBytes: whip.MaxHeader, DisableCompression: true, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
	}
	return &Client{endpoint: endpoint, options: o, http: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes the connections to the server. It does not end the session.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// HasSession reports whether the server has a session that is to be deleted.
func (c *Client) HasSession() bool { return c.session != nil }

// A Description is what a server answers an offer with.
type Description struct {
	SDP        string
	Offer      bool // a counter-offer of WHEP, see Answer
	ICEServers []signal.ICEServer
}

// Post sends an offer, which creates the session. The error is an *Error; then there is no session,
// except if HasSession reports one.
func (c *Client) Post(ctx context.Context, offer string) (Description, error) {
	until := time.Now().Add(c.options.Retry)
	for {
		d, err := c.post(ctx, offer)
		var refused *Error
		if !errors.As(err, &refused) || !refused.retryable() {
			return d, err
		}
		pause := refused.pause()
		if c.options.Retry <= 0 || time.Now().Add(pause).After(until) {
			return d, err
		}
		c.options.Logger.Debug("the offer is sent again", "after", pause, "reason", err)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return d, err
		case <-timer.C:
		}
	}
}

// post sends an offer once, to where redirects lead.
func (c *Client) post(ctx context.Context, offer string) (Description, error) {
	to := c.endpoint.URL
	for range maxRedirects + 1 {
		r, err := c.do(ctx, http.MethodPost, to, offer, whip.TypeSDP, nil)
		if err != nil {
			return Description{}, err
		}
		switch r.status {
		case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			if to, err = r.redirect(); err != nil {
				return Description{}, err
			}
			continue
		case http.StatusCreated, http.StatusNotAcceptable:
			if r.status == http.StatusNotAcceptable && (c.endpoint.Direction == whip.Publish || !whip.IsType(r.header.Get("Content-Type"), whip.TypeSDP)) {
				return Description{}, r.refused()
			}
			return c.created(r)
		}
		return Description{}, r.refused()
	}
	return Description{}, &Error{Method: http.MethodPost, URL: display(c.endpoint.URL), Kind: Unusable, Err: fmt.Errorf("redirects more than %d times", maxRedirects)}
}

// created reads the response that has created a session.
func (c *Client) created(r *response) (d Description, err error) {
	if c.session, err = whip.ResolveLocation(r.url, r.header.Get("Location")); err != nil {
		c.session = nil
		return d, r.unusable(err)
	}
	kind := r.header.Get("Content-Type")
	plain := whip.IsType(kind, "text/plain") && strings.HasPrefix(string(r.body), "v=0") // the example of Pion
	switch {
	case !whip.IsType(kind, whip.TypeSDP) && !plain:
		return d, r.unusable(fmt.Errorf("invalid answer: got Content-Type %q, want %s", signal.Printable(kind), whip.TypeSDP))
	case r.truncated:
		return d, r.unusable(fmt.Errorf("invalid answer: got more than %d bytes", whip.MaxSDP))
	}
	if c.etag, err = c.readETag(r.header); err != nil {
		return d, r.unusable(err)
	}
	if d.ICEServers, err = whip.ParseICEServers(r.header); err != nil {
		return d, r.unusable(err)
	}
	d.SDP = whip.EndLine(string(r.body))
	d.Offer = r.status == http.StatusNotAcceptable || c.endpoint.Direction == whip.Play && whip.IsOffer(d.SDP)
	f, err := whip.FragmentOf(d.SDP)
	switch {
	case err != nil:
		return d, r.unusable(fmt.Errorf("invalid answer: %w", err))
	case len(f.Candidates) == 0:
		return d, r.unusable(errors.New("invalid answer: has no candidate, and a server sends none later (RFC 9725 section 4.3.2)"))
	}
	return d, nil
}

// readETag returns the entity tag of a response as it is to be sent back, "" for none. LiveKit
// sends one without quotes, and MediaMTX *.
func (c *Client) readETag(h http.Header) (string, error) {
	value := h.Get("ETag")
	if value == "" {
		return "", nil
	}
	_, weak, err := whip.ParseETag(value)
	if err != nil {
		if _, _, bare := whip.ParseETag(whip.FormatETag(value)); bare != nil {
			return "", err
		}
		c.options.Logger.Debug("the ETag has no quotes", "etag", value)
	}
	if weak {
		c.options.Logger.Debug("the ETag is weak", "etag", value)
	}
	return value, nil
}

// Trickle sends candidates (section 4.3.2).
func (c *Client) Trickle(ctx context.Context, f *whip.Fragment) error {
	header := http.Header{}
	if c.etag != "" {
		header.Set("If-Match", c.etag)
	}
	r, err := c.patch(ctx, f.String(), whip.TypeFragment, header)
	if err == nil && r.status/100 != 2 {
		err = r.refused()
	}
	return err
}

// Restart sends the ICE credentials of a restart, and candidates, and returns those of the server
// (section 4.3.3). After an error the session is what it was. The request has a connection of its
// own: the one before may begin at an address that the host has lost.
func (c *Client) Restart(ctx context.Context, f *whip.Fragment) (*whip.Fragment, error) {
	c.http.CloseIdleConnections()
	var r *response
	for _, match := range []string{"*", `"*"`} { // the quoted one is in an example of RFC 9725
		var err error
		if r, err = c.patch(ctx, f.String(), whip.TypeFragment, http.Header{"If-Match": {match}}); err != nil {
			return nil, err
		}
		if r.status != http.StatusPreconditionFailed && r.status != http.StatusPreconditionRequired && r.status != http.StatusBadRequest {
			break
		}
	}
	if r.status != http.StatusOK {
		if r.status/100 == 2 {
			return nil, r.unusable(fmt.Errorf("answers an ICE restart with %d, want 200 and an SDP fragment (RFC 9725 section 4.3.3)", r.status))
		}
		return nil, r.refused()
	}
	theirs, err := whip.ParseFragment(string(r.body))
	switch {
	case !whip.IsType(r.header.Get("Content-Type"), whip.TypeFragment):
		return nil, r.unusable(fmt.Errorf("invalid answer: got Content-Type %q, want %s", signal.Printable(r.header.Get("Content-Type")), whip.TypeFragment))
	case err != nil:
		return nil, r.unusable(err)
	case theirs.Ufrag == "" || theirs.Pwd == "":
		return nil, r.unusable(errors.New("invalid answer to an ICE restart: has no ICE credentials"))
	}
	if etag, err := c.readETag(r.header); err == nil && etag != "" {
		c.etag = etag
	}
	return theirs, nil
}

// Answer sends the answer to a counter-offer (WHEP section 4.3.2).
func (c *Client) Answer(ctx context.Context, sdp string) error {
	header := http.Header{}
	if c.etag != "" {
		header.Set("If-Match", c.etag)
	}
	r, err := c.patch(ctx, sdp, whip.TypeSDP, header)
	if err == nil && r.status/100 != 2 {
		err = r.refused()
	}
	return err
}

// patch sends a PATCH request to the session.
func (c *Client) patch(ctx context.Context, body, kind string, header http.Header) (*response, error) {
	if c.session == nil {
		return nil, &Error{Method: http.MethodPatch, URL: display(c.endpoint.URL), Kind: Unusable, Err: errors.New("there is no session")}
	}
	return c.do(ctx, http.MethodPatch, c.session, body, kind, header)
}

// Delete ends the session. That the server does not know it any more is no error.
func (c *Client) Delete(ctx context.Context) error {
	if c.session == nil {
		return nil
	}
	r, err := c.do(ctx, http.MethodDelete, c.session, "", "", nil)
	c.session = nil
	switch {
	case err != nil:
		return err
	case r.status/100 != 2 && r.status != http.StatusNotFound && r.status != http.StatusGone:
		return r.refused()
	}
	return nil
}

// Capabilities are what an endpoint declares in its response to OPTIONS.
type Capabilities struct {
	Status      int
	AcceptPost  string // "" without the header field
	AcceptPatch string
	Allow       string
	ICEServers  []signal.ICEServer // of servers that follow a draft of RFC 9725
	TLS         string             // version, "" without
}

// Options asks an endpoint for its capabilities. Any response that is no server error is a result.
func (c *Client) Options(ctx context.Context) (Capabilities, error) {
	r, err := c.do(ctx, http.MethodOptions, c.endpoint.URL, "", "", nil)
	switch {
	case err != nil:
		return Capabilities{}, err
	case r.status >= 500 && r.status != http.StatusNotImplemented, r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
		return Capabilities{}, r.refused()
	}
	one := func(name string) string { return signal.Printable(strings.Join(r.header.Values(name), ", ")) }
	have := Capabilities{Status: r.status, AcceptPost: one("Accept-Post"), AcceptPatch: one("Accept-Patch"), Allow: one("Allow"), TLS: r.tls}
	if have.ICEServers, err = whip.ParseICEServers(r.header); err != nil {
		c.options.Logger.Debug("the Link of OPTIONS is ignored", "reason", err)
	}
	return have, nil
}

// response is a response that was read.
type response struct {
	method    string
	url       *url.URL
	status    int
	header    http.Header
	body      []byte // at most whip.MaxSDP
	truncated bool
	tls       string
}

// do sends a request and reads the response. The error is an *Error.
func (c *Client) do(ctx context.Context, method string, to *url.URL, body, kind string, header http.Header) (*response, error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.RequestTimeout)
	defer cancel()
	begin := time.Now()
	done := Request{Method: method, URL: display(to)}
	r, err := c.roundTrip(ctx, method, to, body, kind, header)
	done.Took = time.Since(begin)
	if err != nil {
		failed := failure(ctx, method, to, err, c.options.RequestTimeout)
		done.Err = failed
		c.options.OnRequest(done)
		return nil, failed
	}
	if done.Status = r.status; r.status >= 400 {
		done.Err = r.refused()
	}
	c.options.OnRequest(done)
	return r, nil
}

func (c *Client) roundTrip(ctx context.Context, method string, to *url.URL, body, kind string, header http.Header) (*response, error) {
	request, err := http.NewRequestWithContext(ctx, method, to.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if whip.Origin(to) == whip.Origin(c.endpoint.URL) {
		for name, values := range c.options.Header {
			request.Header[name] = values
		}
		token, err := c.options.Token()
		if err != nil {
			return nil, &tokenError{err}
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if method == http.MethodPost {
		request.Header.Set("Accept", whip.TypeSDP)
	}
	received, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer received.Body.Close()
	r := &response{method: method, url: to, status: received.StatusCode, header: received.Header}
	if received.TLS != nil {
		r.tls = tls.VersionName(received.TLS.Version)
	}
	r.body, err = io.ReadAll(io.LimitReader(received.Body, whip.MaxSDP+1))
	if len(r.body) > whip.MaxSDP {
		r.body, r.truncated = r.body[:whip.MaxSDP], true
	}
	return r, err
}

// display returns a URL as errors and events show it: without its query, which may be secret.
func display(u *url.URL) string {
	shown := *u
	shown.RawQuery, shown.User = "", nil
	return signal.Printable(shown.String())
}

// redirect returns where a redirect leads. The token does not go to another origin, and an offer
// that was to be encrypted stays so.
func (r *response) redirect() (*url.URL, error) {
	location := r.header.Get("Location")
	l, err := url.Parse(location)
	if err != nil || location == "" || len(location) > whip.MaxURL {
		return nil, r.unusable(fmt.Errorf("redirects with %d to an invalid URL", r.status))
	}
	to := r.url.ResolveReference(l)
	switch {
	case to.Scheme != "http" && to.Scheme != "https" || to.Hostname() == "" || to.User != nil:
		return nil, r.unusable(fmt.Errorf("redirects with %d to an invalid URL", r.status))
	case r.url.Scheme == "https" && to.Scheme == "http":
		return nil, r.unusable(errors.New("redirects from https to http"))
	}
	return to, nil
}
