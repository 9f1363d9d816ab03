// Package whipcheck checks an endpoint against WHIP and WHEP.
package whipcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"parley/cmd/parley/internal/scenario"
	"parley/signal"
	"parley/signal/whip"
	"parley/signal/whip/client"
)

// Options are the options of Run.
type Options struct {
	Endpoint whip.Endpoint // its direction is Publish or Play
	URL      string        // of the endpoint in the report
	Token    func() (string, error)
	Header   http.Header
	TLS      *tls.Config
	Loopback bool          // addresses of the loopback interface are offered
	Timeout  time.Duration // of each connection; 0 for 10 s
	Names    []string      // of the checks to run; none for all
	OnResult func(scenario.Result)
}

// requestTimeout bounds each request, and defaultTimeout each connection.
const (
	requestTimeout = 15 * time.Second
	defaultTimeout = 10 * time.Second
)

// A check is one rule. run returns why the endpoint violates it, or a *skipped.
type check struct {
	name, spec, title string
	run               func(context.Context, *checker) error
}

// skipped is why a check could not be made.
type skipped struct{ why string }

func (s *skipped) Error() string { return s.why }

func skip(format string, a ...any) error { return &skipped{fmt.Sprintf(format, a...)} }

// Checks returns the checks of a direction.
func Checks(d whip.Direction) []scenario.Scenario {
	var all []scenario.Scenario
	for _, c := range checksOf(d) {
		all = append(all, c.scenario(d))
	}
	return all
}

func (c check) scenario(d whip.Direction) scenario.Scenario {
	return scenario.Scenario{Name: c.name, Title: c.title, Specs: []string{c.spec}, Suites: []string{string(d)}}
}

// Run makes all checks, one after the other. Each has a session of its own, which it deletes.
func Run(ctx context.Context, o Options) *scenario.Report {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Token == nil {
		o.Token = func() (string, error) { return "", nil }
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: o.TLS.Clone(), MaxResponseHeaderBytes: whip.MaxHeader, DisableCompression: true}
	c := &checker{Options: o, endpoint: o.Endpoint.URL, http: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	defer transport.CloseIdleConnections()
	r := &scenario.Report{Peer: o.URL, Server: whip.Origin(o.Endpoint.URL), Suite: string(o.Endpoint.Direction), PeerType: "any", Began: time.Now()}
	defer func() { r.Took = time.Since(r.Began) }()
	if r.Err = c.reach(ctx); r.Err != nil {
		return r
	}
	for _, one := range checksOf(o.Endpoint.Direction) {
		if len(o.Names) > 0 && !slices.Contains(o.Names, one.name) {
			continue
		}
		result := c.run(ctx, one)
		r.Results = append(r.Results, result)
		if o.OnResult != nil {
			o.OnResult(result)
		}
		if ctx.Err() != nil {
			r.Err = errors.New("interrupted")
			break
		}
	}
	return r
}

// checker makes checks.
type checker struct {
	Options
	http     *http.Client
	endpoint *url.URL // where redirects lead
}

// run makes one check.
func (c *checker) run(ctx context.Context, one check) scenario.Result {
	begin := time.Now()
	r := scenario.Result{Scenario: one.scenario(c.Endpoint.Direction)}
	err := one.run(ctx, c)
	var no *skipped
	var unreachable *url.Error
	switch {
	case errors.As(err, &no):
		r.Verdict, r.Reason = scenario.Skip, no.why
	case errors.As(err, &unreachable) || ctx.Err() != nil:
		r.Verdict, r.Reason = scenario.Error, signal.Printable(err.Error())
	case err != nil:
		r.Verdict, r.Reason = scenario.Fail, signal.Printable(err.Error())
	default:
		r.Verdict = scenario.Pass
	}
	r.Took = time.Since(begin)
	return r
}

// A response is a response that was read.
type response struct {
	status int
	header http.Header
	body   string
	url    *url.URL
}

func (r *response) String() string {
	text := fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if r.status >= 400 {
		if say := whip.ReadProblem(r.header.Get("Content-Type"), []byte(r.body)); say != "" {
			text += ": " + say
		}
	}
	return text
}

// request is a request to send. The zero value of a field leaves the header field out.
type request struct {
	method    string
	to        *url.URL
	kind      string // Content-Type
	body      string
	match     string // If-Match
	origin    bool   // as a page of another origin
	anonymous bool   // without the token
	header    http.Header
}

// send sends a request.
func (c *checker) send(ctx context.Context, q request) (*response, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, q.method, q.to.String(), strings.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	for name, values := range c.Header {
		r.Header[name] = values
	}
	for name, values := range q.header {
		r.Header[name] = values
	}
	token, err := c.Token()
	if err != nil {
		return nil, err
	}
	if token != "" && !q.anonymous {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if q.kind != "" {
		r.Header.Set("Content-Type", q.kind)
	}
	if q.match != "" {
		r.Header.Set("If-Match", q.match)
	}
	if q.origin {
		r.Header.Set("Origin", "https://page.example")
	}
	got, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer got.Body.Close()
	body, err := io.ReadAll(io.LimitReader(got.Body, whip.MaxSDP))
	return &response{got.StatusCode, got.Header, string(body), q.to}, err
}

// reach finds out where redirects lead, and whether the token is accepted, with a session that is
// deleted.
func (c *checker) reach(ctx context.Context) error {
	for range 5 {
		s, r, err := c.open(ctx, offerOptions{})
		failed := &client.Error{Method: http.MethodPost, URL: c.URL, Kind: client.Unreachable, RetryAfter: -1, Err: err}
		switch {
		case err != nil:
			var transport *url.Error
			if errors.As(err, &transport) {
				failed.Err = transport.Err
			}
			return failed
		case s != nil:
			s.close(ctx)
			return nil
		case r.status == http.StatusUnauthorized, r.status == http.StatusForbidden:
			failed.Kind = client.Unauthorized
		case r.status == http.StatusNotFound, r.status == http.StatusConflict, r.status == http.StatusGone:
			failed.Kind = client.Absent
		case r.status >= 500:
		case r.status/100 != 3:
			return nil // the checks report it
		}
		if r.status >= 400 {
			failed.Err = errors.New(r.String())
			return failed
		}
		l, err := url.Parse(r.header.Get("Location"))
		if err != nil {
			return nil
		}
		c.endpoint = r.url.ResolveReference(l)
	}
	return errors.New("the endpoint redirects more than 5 times")
}

// A session is a session at the endpoint.
type session struct {
	c      *checker
	peer   *peerConnection
	url    *url.URL
	etag   string
	answer string
	post   *response
}

// open offers. The session is nil if there is none, and then the response says why.
func (c *checker) open(ctx context.Context, o offerOptions) (*session, *response, error) {
	p, offer, err := c.offer(o)
	if err != nil {
		return nil, nil, err
	}
	kind := o.kind
	if kind == "" {
		kind = whip.TypeSDP
	}
	r, err := c.send(ctx, request{method: http.MethodPost, to: c.endpoint, kind: kind, body: offer, origin: o.origin})
	if err != nil || r.status != http.StatusCreated {
		p.close()
		return nil, r, err
	}
	s := &session{c: c, peer: p, etag: r.header.Get("ETag"), answer: r.body, post: r}
	s.url, _ = whip.ResolveLocation(r.url, r.header.Get("Location")) // the check "location" reports an error
	return s, r, nil
}

// session opens a session that a check needs.
func (c *checker) session(ctx context.Context) (*session, error) {
	s, r, err := c.open(ctx, offerOptions{})
	switch {
	case err != nil:
		return nil, err
	case s == nil && r.status == http.StatusNotAcceptable && c.Endpoint.Direction == whip.Play:
		return nil, skip("the endpoint makes a counter-offer")
	case s == nil:
		return nil, skip("there is no session: POST answers with %s", r)
	case s.url == nil:
		s.close(ctx)
		return nil, skip("the session has no usable Location")
	}
	return s, nil
}

// close deletes the session.
func (s *session) close(ctx context.Context) {
	s.peer.close()
	if s.url != nil {
		_, _ = s.c.send(context.WithoutCancel(ctx), request{method: http.MethodDelete, to: s.url}) // its result is that of the check "delete"
	}
}

// patch sends a fragment.
func (s *session) patch(ctx context.Context, f *whip.Fragment, match string) (*response, error) {
	return s.c.send(ctx, request{method: http.MethodPatch, to: s.url, kind: whip.TypeFragment, body: f.String(), match: match})
}

// wantStatus returns an error unless a response has one of some statuses. 499 stands for any of
// 4xx, 299 for any of 2xx.
func wantStatus(what string, r *response, statuses ...int) error {
	var text []string
	for _, s := range statuses {
		if r.status == s || s%100 == 99 && r.status/100 == s/100 {
			return nil
		}
		if s%100 == 99 {
			text = append(text, fmt.Sprintf("%dxx", s/100))
		} else {
			text = append(text, fmt.Sprint(s))
		}
	}
	return fmt.Errorf("%s is answered with %s, want %s", what, r, strings.Join(text, " or "))
}
