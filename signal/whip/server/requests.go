package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/internal/admission"
	signaling "parley/signal/server"
	"parley/signal/whip"
)

// refusal is why a request is refused, or why a session has ended.
type refusal struct {
	status     int
	detail     string
	retryAfter int            // seconds; 0: another attempt may fail in the same way
	challenge  string         // of WWW-Authenticate, "" for none
	allow      string         // of Allow, "" for none
	leave      cluster.Reason // that the peer of a session gets, 0 for none
}

func (r *refusal) Error() string { return r.detail }

// write answers a request with a problem.
func (r *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	if r.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
	if r.challenge != "" {
		h.Set("WWW-Authenticate", r.challenge)
	}
	if r.allow != "" {
		h.Set("Allow", r.allow)
	}
	whip.WriteProblem(w, r.status, r.detail)
}

func refuse(status int, detail string) *refusal { return &refusal{status: status, detail: detail} }

// Seconds after which a client may try again.
const (
	retrySoon  = 1
	retryLater = 5
)

// Why sessions end.
var (
	errHungUp  = &refusal{status: http.StatusNotFound, detail: noSession, leave: cluster.HungUp}
	errExpired = &refusal{status: http.StatusUnauthorized, detail: "the token has expired", challenge: challengeInvalid, leave: cluster.Disconnected}
	errClosing = &refusal{status: http.StatusServiceUnavailable, detail: "the server is shutting down; try again in a moment", retryAfter: retryLater, leave: cluster.Draining}
	errCrowded = &refusal{status: http.StatusTooManyRequests, detail: "there are too many sessions with the user from your address; end some", retryAfter: retryLater, leave: cluster.HungUp}
)

const (
	noSession        = "there is no such session, or it has ended"
	challenge        = `Bearer realm="parley"`
	challengeInvalid = challenge + `, error="invalid_token"`

	endpointMethods = "GET, HEAD, OPTIONS, POST"
	sessionMethods  = "DELETE, GET, HEAD, OPTIONS, PATCH"
	allMethods      = "DELETE, GET, HEAD, OPTIONS, PATCH, POST"
)

// absentUser returns the refusal of a call to a user who is not signed in. A player may wait for a
// publisher (WHEP section 4.3.8).
func absentUser(protocol whip.Direction, user string) *refusal {
	if protocol == whip.Play {
		return &refusal{status: http.StatusConflict, detail: user + " is not signed in: there is nothing to play", retryAfter: retryLater}
	}
	return refuse(http.StatusNotFound, user+" is not signed in")
}

// serveEndpoint serves /whip/NAME and /whep/NAME.
func (g *Gateway) serveEndpoint(w http.ResponseWriter, r *http.Request, res resource) {
	switch r.Method {
	case http.MethodOptions:
		options(w, endpointMethods)
	case http.MethodPost:
		if err := g.create(w, r, res); err != nil {
			writeError(w, err)
		}
	case http.MethodGet, http.MethodHead:
		if _, err := g.authenticate(r, res); err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("Accept-Post", whip.TypeSDP)
		w.WriteHeader(http.StatusNoContent)
	default:
		(&refusal{status: http.StatusMethodNotAllowed, detail: "invalid method: want POST of an offer", allow: endpointMethods}).write(w)
	}
}

// options answers an OPTIONS request, which may be a preflight.
func options(w http.ResponseWriter, methods string) {
	h := w.Header()
	h.Set("Allow", methods)
	h.Set("Accept-Post", whip.TypeSDP)
	h.Set("Access-Control-Allow-Methods", allMethods)
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

func writeError(w http.ResponseWriter, err error) {
	var r *refusal
	if !errors.As(err, &r) { // the client is gone
		r = refuse(http.StatusBadRequest, "the request was canceled")
	}
	r.write(w)
}

// bearer returns the token of a request, "" if there is none or there are several.
func bearer(r *http.Request) string {
	if len(r.Header.Values("Authorization")) > 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || len(token) > admission.MaxToken {
		return ""
	}
	return token
}

// authenticate returns the credentials of a request. The error is a *refusal.
func (g *Gateway) authenticate(r *http.Request, res resource) (credentials, error) {
	if !g.signaling.RequiresToken() {
		return credentials{}, nil
	}
	token := bearer(r)
	if token == "" { // an Authorizer may not want one
		if r.Header.Get("Authorization") != "" {
			return credentials{}, &refusal{status: http.StatusUnauthorized, detail: "invalid Authorization: want one Bearer TOKEN", challenge: challengeInvalid}
		}
	}
	identity, err := g.signaling.Authorize(r.Context(), signal.LoginRequest{
		Token: token, Address: g.signaling.ClientAddr(r), Dialect: signal.Dialect(res.protocol),
	})
	var denied *signal.Denied
	switch {
	case errors.As(err, &denied):
		c := challengeInvalid
		if token == "" {
			c = challenge
		}
		return credentials{}, &refusal{status: http.StatusUnauthorized, detail: denied.Reason, challenge: c}
	case errors.Is(err, signaling.ErrThrottled):
		return credentials{}, &refusal{status: http.StatusTooManyRequests, detail: err.Error(), retryAfter: 180}
	case err != nil:
		return credentials{}, &refusal{status: http.StatusServiceUnavailable, detail: err.Error(), retryAfter: retryLater}
	}
	return credentials{identity, sha256.Sum256([]byte(token))}, nil
}

// create handles the POST of an offer. The error is a *refusal, or the client is gone.
func (g *Gateway) create(w http.ResponseWriter, r *http.Request, res resource) error {
	if !g.signaling.Ready() {
		return errClosing
	}
	text, err := g.body(w, r, whip.TypeSDP, g.limits.SDP)
	if err != nil {
		return err
	}
	presented, err := g.authenticate(r, res)
	if err != nil {
		return err
	}
	o, err := parseOffer(text, res.protocol)
	if err != nil {
		return err
	}
	address := g.signaling.ClientAddr(r)
	if why := g.gate.Enter(address, g.now()); why != "" {
		g.log.Debug("a WHIP or WHEP session was refused", slog.String("why", string(why)), slog.String("remote", address.String()))
		return overLimit(why)
	}
	g.extendDeadlines(w)
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(g.ctx, func() { cancel(errClosing) })()
	s, err := g.start(ctx, res, presented, address)
	if err != nil {
		g.gate.Leave(address)
		return err
	}
	a, err := s.negotiate(ctx, o, g.options.AnswerTimeout)
	var answerText string
	if err == nil {
		if answerText, err = a.text(localAddr(r), r.Header.Get("Origin") == ""); err != nil {
			err = refuse(http.StatusBadGateway, "the answer of the user is not SDP")
		}
	}
	if err == nil {
		err = s.established(o)
	}
	if err != nil {
		s.end(errHungUp)
		return err
	}
	h := w.Header()
	h.Set("Content-Type", whip.TypeSDP)
	h.Set("Location", strings.TrimSuffix(r.URL.EscapedPath(), "/")+"/"+s.key)
	h.Set("ETag", whip.FormatETag(s.tag))
	g.addICEServers(h, s)
	w.WriteHeader(http.StatusCreated)
	if _, err := io.WriteString(w, answerText); err != nil {
		s.end(errHungUp)
	}
	return nil
}

// overLimit returns the refusal of a session over a limit.
func overLimit(why admission.Refusal) *refusal {
	switch why {
	case admission.TooManyFromAddress:
		return &refusal{status: http.StatusTooManyRequests, detail: "there are too many sessions from your address; end some", retryAfter: retryLater}
	case admission.TooManyUpgradesFromAddress:
		return &refusal{status: http.StatusTooManyRequests, detail: "too many sessions at once from your address; try again in a moment", retryAfter: retrySoon}
	}
	return &refusal{status: http.StatusServiceUnavailable, detail: "the server has no room for another session; try again later", retryAfter: retryLater}
}

// start begins a session with a user who is signed in. The error is a *refusal, or the cause of
// ctx.
func (g *Gateway) start(ctx context.Context, res resource, c credentials, address netip.Addr) (*session, error) {
	peer, err := g.node.Lookup(ctx, clusterName(res.user))
	switch {
	case errors.Is(err, cluster.ErrAbsent):
		return nil, absentUser(res.protocol, res.user)
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, &refusal{status: http.StatusServiceUnavailable, detail: "whether the user is signed in cannot be found out now; try again later", retryAfter: retryLater}
	}
	return g.newSession(ctx, res.protocol, res.user, peer, c, address)
}

// established notes that the first offer of a session was answered. The error is why the session
// has ended meanwhile.
func (s *session) established(o *offer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offer = o
	if s.ended != nil {
		return s.ended
	}
	return nil
}

// addICEServers adds a Link header field for each ICE server (RFC 9725 section 4.6). A client may
// split fields at commas, so a server whose credentials have one is left out.
func (g *Gateway) addICEServers(h http.Header, s *session) {
	identity := s.holder.identity
	identity.Name = s.name
	for _, server := range g.signaling.ICEServers(identity) {
		if strings.ContainsAny(server.Username+server.Credential, `,"\`) {
			g.log.Warn("an ICE server is not sent to WHIP and WHEP clients: its credentials have a comma, a quote or a backslash")
			continue
		}
		for _, link := range whip.FormatICEServer(server) {
			h.Add("Link", link)
		}
	}
}

// body reads the body of a request. The error is a *refusal.
func (g *Gateway) body(w http.ResponseWriter, r *http.Request, mediaType string, limit int) (string, error) {
	if !whip.IsType(r.Header.Get("Content-Type"), mediaType) {
		return "", refuse(http.StatusUnsupportedMediaType, "invalid Content-Type: want "+mediaType)
	}
	text, err := readBody(w, r, limit)
	return string(text), err
}

// readBody reads the body of a request of any type. The error is a *refusal.
func readBody(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	tooLong := refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", limit))
	if r.ContentLength > int64(limit) {
		w.Header().Set("Connection", "close")
		return nil, tooLong
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(limit)))
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, tooLong
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "the body did not come in time")
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the body did not come whole")
	}
	return text, nil
}

// extendDeadlines lets a request wait for a user. The deadlines of the HTTP server are for requests
// that wait for nobody; the first one would cancel the request.
func (g *Gateway) extendDeadlines(w http.ResponseWriter) {
	control := http.NewResponseController(w) // an error means that there are no deadlines
	_ = control.SetReadDeadline(time.Time{})
	_ = control.SetWriteDeadline(time.Now().Add(g.options.AnswerTimeout + g.options.GatherTimeout + 10*time.Second))
}

// localAddr returns the address that a request came to.
func localAddr(r *http.Request) netip.Addr {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return netip.Addr{}
	}
	ap, _ := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap().WithZone("")
}

// serveSession serves the URL of a session.
func (g *Gateway) serveSession(w http.ResponseWriter, r *http.Request, res resource) {
	if r.Method == http.MethodOptions {
		options(w, sessionMethods)
		return
	}
	if node, ok := g.elsewhere(res.key); ok {
		if err := g.forward(w, r, res, node); err != nil {
			writeError(w, err)
		}
		return
	}
	s, err := g.authorizedSession(r, res)
	if err != nil {
		writeError(w, err)
		return
	}
	switch r.Method {
	case http.MethodDelete:
		s.end(errHungUp)
		w.WriteHeader(http.StatusOK)
	case http.MethodGet, http.MethodHead:
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPatch:
		if err := g.patch(w, r, s); err != nil {
			writeError(w, err)
		}
	default:
		(&refusal{status: http.StatusMethodNotAllowed, detail: "invalid method: want PATCH or DELETE of a session", allow: sessionMethods}).write(w)
	}
}

// authorizedSession returns the session that a request is for, if it has a token of the user who
// has begun the session. The error is a *refusal.
func (g *Gateway) authorizedSession(r *http.Request, res resource) (*session, error) {
	s := g.find(res.protocol, res.user, res.key)
	if s == nil {
		if _, err := g.authenticate(r, res); err != nil {
			return nil, err
		}
		return nil, refuse(http.StatusNotFound, noSession)
	}
	s.mu.Lock()
	limited, holder := !s.otherBucket.Take(g.now(), g.limits.Others), s.holder
	s.mu.Unlock()
	switch {
	case limited:
		return nil, &refusal{status: http.StatusTooManyRequests, detail: "requests come faster than this server takes them", retryAfter: retrySoon}
	case !g.signaling.RequiresToken():
		return s, nil
	}
	if hash := sha256.Sum256([]byte(bearer(r))); subtle.ConstantTimeCompare(hash[:], holder.token[:]) == 1 {
		return s, nil // it has been checked, and the session ends with it
	}
	presented, err := g.authenticate(r, res)
	switch {
	case err != nil:
		return nil, err
	case presented.identity.Subject != holder.identity.Subject || presented.identity.Name != holder.identity.Name || presented.identity.Subject+presented.identity.Name == "":
		return nil, refuse(http.StatusForbidden, "the session is that of another user")
	}
	s.renew(presented)
	return s, nil
}

// patch handles trickled candidates and ICE restarts. The error is a *refusal, or the client is
// gone.
func (g *Gateway) patch(w http.ResponseWriter, r *http.Request, s *session) error {
	text, err := g.body(w, r, whip.TypeFragment, whip.MaxFragment)
	if err != nil {
		return err
	}
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return refuse(http.StatusPreconditionRequired, "PATCH without If-Match: want the ETag, or * for an ICE restart (RFC 9725 section 4.3.1)")
	}
	condition, err := whip.ParseIfMatch(values)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	f, err := whip.ParseFragment(text)
	if err != nil {
		return refuse(http.StatusBadRequest, err.Error())
	}
	restarts, err := s.apply(f, condition)
	if err != nil {
		return err
	}
	if !restarts {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	g.extendDeadlines(w)
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(g.ctx, func() { cancel(errClosing) })()
	fragment, tag, err := s.restart(ctx, f)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", whip.TypeFragment)
	w.Header().Set("ETag", whip.FormatETag(tag))
	w.WriteHeader(http.StatusOK)
	_, _ = io.WriteString(w, fragment)
	return nil
}

// apply sends the candidates of a fragment to the peer, or reports that the fragment restarts ICE,
// which is to be done then. The error is a *refusal.
func (s *session) apply(f *whip.Fragment, condition whip.IfMatch) (restarts bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended != nil:
		return false, refuse(http.StatusNotFound, noSession)
	case s.offer == nil || !condition.Matches(s.tag):
		return false, refuse(http.StatusPreconditionFailed, "the ETag is that of another ICE session")
	case f.Ufrag == "" || f.Ufrag == s.offer.ufrag:
		return false, s.trickle(f)
	case f.Pwd == "":
		return false, refuse(http.StatusBadRequest, "the fragment restarts ICE without ice-pwd")
	case s.restarting:
		return false, &refusal{status: http.StatusConflict, detail: "ICE is being restarted already", retryAfter: retrySoon}
	case !s.offerBucket.Take(s.gateway.now(), s.gateway.limits.Offers):
		return false, &refusal{status: http.StatusTooManyRequests, detail: "ICE restarts come faster than this server takes them", retryAfter: retrySoon}
	}
	s.restarting = true
	return true, nil
}

// restart restarts ICE. It returns the fragment of the peer and the entity tag of the new ICE
// session. The session stays as it was if that fails.
func (s *session) restart(ctx context.Context, f *whip.Fragment) (fragment, tag string, err error) {
	s.mu.Lock()
	before, version := s.offer, s.number
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.restarting = false
	}()
	o, err := before.restarted(f, version)
	if err != nil {
		return "", "", refuse(http.StatusBadRequest, "the fragment makes no valid offer")
	}
	a, err := s.negotiate(ctx, o, s.gateway.options.RestartTimeout)
	if err != nil {
		return "", "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offer, s.tag = o, rand.Text()
	return a.fragment().String(), s.tag, nil
}

// trickle sends the candidates of a fragment to the peer. mu is held.
func (s *session) trickle(f *whip.Fragment) error {
	for _, c := range f.Candidates {
		if !s.candidateBucket.Take(s.gateway.now(), s.gateway.limits.Candidates) {
			return &refusal{status: http.StatusTooManyRequests, detail: "candidates come faster than this server takes them", retryAfter: retrySoon}
		}
		if len(c.Line) <= s.gateway.limits.Candidate { // one that is unusable is dropped
			s.sendCandidate(s.offer, c.Mid, c.Line)
		}
	}
	if f.End {
		s.sendCandidate(s.offer, "", "")
	}
	return nil
}
