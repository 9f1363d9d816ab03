package whipcheck

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"parley/signal"
	"parley/signal/whip"
)

// checksOf returns the checks of a direction. Sections are of RFC 9725, and of the draft of WHEP
// where it says so.
func checksOf(d whip.Direction) []check {
	checks := []check{
		{"created", "RFC 9725 4.2", "an offer is answered with 201", checkCreated},
		{"answer-type", "RFC 9725 4.2", "the answer has the type application/sdp", withSession(checkAnswerType)},
		{"location", "RFC 9725 4.2", "Location is the URL of the session, in the origin of the endpoint", checkLocation},
		{"location-path", "OBS 30.2", "Location is absolute or begins with a slash, and has no query", withSession(checkLocationPath)},
		{"session-unguessable", "RFC 9725 5", "the URLs of two sessions differ by more than can be guessed", checkUnguessable},
		{"other-type", "RFC 9725 4.2", "an offer of another type is refused with 4xx", checkOtherType},
		{"no-sdp", "RFC 9725 4.2", "an offer that is no SDP is refused with 4xx", checkNoSDP},
		{"type-parameter", "RFC 9110 8.3", "application/sdp may have a parameter", checkTypeParameter},
		{"get", "RFC 9725 4.1", "GET of the endpoint is 2xx without content", checkGet},
		{"session-get", "RFC 9725 4.1", "GET of the session is 2xx without content", withSession(checkSessionGet)},
		{"options", "RFC 9725 4.1", "OPTIONS is 2xx with Accept-Post", checkOptions},
		{"preflight", "RFC 9725 4.1", "a page of another origin may send POST, PATCH and DELETE", withSession(checkPreflight)},
		{"cors", "RFC 9725 4.1", "a page of another origin may read Location, ETag and Link", checkCORS},
		{"token", "RFC 9725 4.7.1", "an offer without the token is refused with 401 and a challenge", checkToken},
		{"session-token", "RFC 9725 4.7.1", "PATCH and DELETE without the token are refused with 401", withSession(checkSessionToken)},
		{"candidates", "RFC 9725 4.3.2", "the answer has candidates", withSession(checkCandidates)},
		{"connects", "RFC 9725 4.3", "the session connects", withSession(checkConnects)},
		{"connects-unknown", "RFC 8445 7.3.1.3", "the session connects without a candidate of the client", checkConnectsUnknown},
		{"etag", "RFC 9725 4.3.1", "the answer has a strong ETag", withSession(checkETag)},
		{"trickle", "RFC 9725 4.3.2", "PATCH of candidates is 204", withSession(checkTrickle)},
		{"trickle-unusable", "RFC 8840 4.4", "a candidate that cannot be used is dropped", withSession(checkUnusable)},
		{"trickle-mid", "RFC 5888 4", "a mid that is no number is taken", checkMid},
		{"if-match-missing", "RFC 9725 4.3.1", "PATCH without If-Match is 428", withSession(checkNoMatch)},
		{"if-match-stale", "RFC 9725 4.3.1", "PATCH with another ETag is 412", withSession(checkStale)},
		{"patch-type", "RFC 9725 4.3", "PATCH of another type is refused with 4xx", withSession(checkPatchType)},
		{"mux-only", "RFC 9725 4.4", "an offer with rtcp-mux-only is answered with rtcp-mux", checkMuxOnly},
		{"bundle", "RFC 9725 4.4", "the answer bundles all m-sections", withSession(checkBundle)},
		{"direction", "RFC 9725 4.2", "the answer has the opposite direction", withSession(checkDirection)},
		{"setup", "RFC 9725 4.4", "the answer is active or passive", withSession(checkSetup)},
		{"codec", "RFC 9725 4.4.2", "an offer with an unknown codec has no half answer", checkCodec},
		{"delete", "RFC 9725 4.2", "DELETE is 200, and 404 or 410 when there is no session", withSession(checkDelete)},
		{"delete-if-match", "RFC 9725 4.3.1", "DELETE ignores If-Match", withSession(checkDeleteMatch)},
	}
	if d == whip.Publish {
		checks = append(checks, check{"two-videos", "RFC 9725 4.4.2", "two videos are refused with 422", checkTwoVideos})
	} else {
		checks = append(checks,
			check{"counter-offer", "WHEP 4.3.2", "a counter-offer is complete", checkCounterOffer},
			check{"head", "WHEP 4.1", "HEAD of the endpoint is 2xx", checkHead},
			check{"nobody", "WHEP 4.3.8", "an endpoint where nobody publishes is 409 with Retry-After", checkNobody})
	}
	return append(checks, // last, because a server has crashed on them
		check{"restart", "RFC 9725 4.3.3", "an ICE restart is 200 with new credentials and a new ETag, and connects", withSession(checkRestart)},
		check{"restart-quoted", "RFC 9725 4.3.3", `an ICE restart may have If-Match: "*", as in an example of the RFC`, withSession(checkRestartQuoted)})
}

// withSession returns a check that has a session, which is closed after it.
func withSession(run func(context.Context, *session) error) func(context.Context, *checker) error {
	return func(ctx context.Context, c *checker) error {
		s, err := c.session(ctx)
		if err != nil {
			return err
		}
		defer s.close(ctx)
		return run(ctx, s)
	}
}

// offered sends an offer and closes its session, if there is one.
func offered(ctx context.Context, c *checker, o offerOptions) (*response, error) {
	s, r, err := c.open(ctx, o)
	if s != nil {
		s.close(ctx)
	}
	return r, err
}

func checkCreated(ctx context.Context, c *checker) error {
	r, err := offered(ctx, c, offerOptions{})
	switch {
	case err != nil:
		return err
	case r.status == http.StatusNotAcceptable && c.Endpoint.Direction == whip.Play:
		return skip("the endpoint makes a counter-offer")
	}
	return wantStatus("an offer", r, http.StatusCreated)
}

func checkAnswerType(_ context.Context, s *session) error {
	if got := s.post.header.Get("Content-Type"); !whip.IsType(got, whip.TypeSDP) {
		return fmt.Errorf("got Content-Type %q", got)
	}
	if _, err := whip.FragmentOf(s.answer); err != nil {
		return err
	}
	return nil
}

func checkLocation(ctx context.Context, c *checker) error {
	s, r, err := c.open(ctx, offerOptions{})
	if err != nil {
		return err
	}
	if s == nil {
		return skip("there is no session: POST answers with %s", r)
	}
	defer s.close(ctx)
	u, err := whip.ResolveLocation(r.url, r.header.Get("Location"))
	switch {
	case err != nil:
		return err
	case u.String() == c.endpoint.String():
		return errors.New("the Location is the endpoint itself")
	}
	return nil
}

func checkLocationPath(_ context.Context, s *session) error {
	l := s.post.header.Get("Location")
	if u, err := url.Parse(l); err != nil || u.RawQuery != "" || u.Scheme == "" && !strings.HasPrefix(l, "/") {
		return fmt.Errorf("got Location %q", l)
	}
	return nil
}

// shortestSecret is the least number of characters by which two session URLs differ: 10 of base32
// have 50 bits.
const shortestSecret = 10

func checkUnguessable(ctx context.Context, c *checker) error {
	var urls []string
	for range 2 {
		s, err := c.session(ctx)
		if err != nil {
			return err
		}
		urls = append(urls, s.url.String())
		s.close(ctx)
	}
	a, b := urls[0], urls[1]
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	if len(a) < shortestSecret-1 || len(b) < shortestSecret-1 { // the first characters may be the same by chance
		return fmt.Errorf("two session URLs differ only in %q and %q", a, b)
	}
	return nil
}

func checkOtherType(ctx context.Context, c *checker) error {
	r, err := offered(ctx, c, offerOptions{kind: "text/plain"})
	if err != nil {
		return err
	}
	return wantStatus("an offer of the type text/plain", r, 499)
}

func checkNoSDP(ctx context.Context, c *checker) error {
	r, err := offered(ctx, c, offerOptions{edit: func(string) string { return "this is no SDP\r\n" }})
	if err != nil {
		return err
	}
	return wantStatus("a text that is no SDP", r, 499)
}

// wantAccepted returns an error unless an offer is answered, or has a counter-offer of WHEP.
func (c *checker) wantAccepted(what string, r *response) error {
	if c.Endpoint.Direction == whip.Play && r.status == http.StatusNotAcceptable && whip.IsType(r.header.Get("Content-Type"), whip.TypeSDP) {
		return nil
	}
	return wantStatus(what, r, http.StatusCreated)
}

func checkTypeParameter(ctx context.Context, c *checker) error {
	r, err := offered(ctx, c, offerOptions{kind: whip.TypeSDP + "; charset=utf-8"})
	if err != nil {
		return err
	}
	return c.wantAccepted("an offer with charset=utf-8", r)
}

// isEmpty returns an error unless a response is 2xx without content.
func isEmpty(what string, r *response) error {
	if err := wantStatus(what, r, 299); err != nil {
		return err
	}
	if r.body != "" {
		return fmt.Errorf("%s has content of %d bytes", what, len(r.body))
	}
	return nil
}

func checkGet(ctx context.Context, c *checker) error {
	r, err := c.send(ctx, request{method: http.MethodGet, to: c.endpoint})
	if err != nil {
		return err
	}
	return isEmpty("GET", r)
}

func checkSessionGet(ctx context.Context, s *session) error {
	r, err := s.c.send(ctx, request{method: http.MethodGet, to: s.url})
	if err != nil {
		return err
	}
	return isEmpty("GET", r)
}

func checkHead(ctx context.Context, c *checker) error {
	r, err := c.send(ctx, request{method: http.MethodHead, to: c.endpoint})
	if err != nil {
		return err
	}
	return wantStatus("HEAD", r, 299)
}

func checkOptions(ctx context.Context, c *checker) error {
	r, err := c.send(ctx, request{method: http.MethodOptions, to: c.endpoint})
	if err != nil {
		return err
	}
	if err := wantStatus("OPTIONS", r, 299); err != nil {
		return err
	}
	if got := strings.Join(r.header.Values("Accept-Post"), ","); !strings.Contains(got, whip.TypeSDP) {
		return fmt.Errorf("got Accept-Post %q, want %s", got, whip.TypeSDP)
	}
	return nil
}

// allows returns an error unless a header field lists a value or *.
func allows(h http.Header, name, want string) error {
	for value := range strings.SplitSeq(strings.Join(h.Values(name), ","), ",") {
		if value = strings.TrimSpace(value); value == "*" || strings.EqualFold(value, want) {
			return nil
		}
	}
	return fmt.Errorf("got %s %q, want %s among it", name, strings.Join(h.Values(name), ", "), want)
}

func checkPreflight(ctx context.Context, s *session) error {
	for method, to := range map[string]*url.URL{http.MethodPost: s.c.endpoint, http.MethodPatch: s.url, http.MethodDelete: s.url} {
		// A browser sends no token with it.
		r, err := s.c.send(ctx, request{method: http.MethodOptions, to: to, origin: true, anonymous: true, header: http.Header{
			"Access-Control-Request-Method": {method}, "Access-Control-Request-Headers": {"authorization,content-type,if-match"},
		}})
		if err != nil {
			return err
		}
		if r.status == http.StatusForbidden {
			return skip("pages of other origins are not taken: %s", r)
		}
		if err := wantStatus("the preflight of "+method, r, 299); err != nil {
			return err
		}
		if r.header.Get("Access-Control-Allow-Origin") == "" {
			return fmt.Errorf("the preflight of %s has no Access-Control-Allow-Origin", method)
		}
		if err := allows(r.header, "Access-Control-Allow-Methods", method); err != nil {
			return err
		}
		if err := allows(r.header, "Access-Control-Allow-Headers", "if-match"); err != nil && method == http.MethodPatch {
			return err
		}
	}
	return nil
}

func checkCORS(ctx context.Context, c *checker) error {
	s, r, err := c.open(ctx, offerOptions{origin: true})
	switch {
	case err != nil:
		return err
	case s == nil && r.status == http.StatusForbidden:
		return skip("pages of other origins are not taken: %s", r)
	case s == nil:
		return skip("there is no session: POST answers with %s", r)
	}
	defer s.close(ctx)
	if s.post.header.Get("Access-Control-Allow-Origin") == "" {
		return errors.New("the answer has no Access-Control-Allow-Origin")
	}
	for _, name := range []string{"Location", "ETag", "Link"} {
		if s.post.header.Get(name) == "" {
			continue
		}
		if err := allows(s.post.header, "Access-Control-Expose-Headers", name); err != nil {
			return err
		}
	}
	return nil
}

// needsToken skips a check without a token.
func needsToken(c *checker) error {
	if token, err := c.Token(); err != nil || token == "" {
		return skip("there is no --token")
	}
	return nil
}

func checkToken(ctx context.Context, c *checker) error {
	if err := needsToken(c); err != nil {
		return err
	}
	p, offer, err := c.offer(offerOptions{})
	if err != nil {
		return err
	}
	defer p.close()
	r, err := c.send(ctx, request{method: http.MethodPost, to: c.endpoint, kind: whip.TypeSDP, body: offer, anonymous: true})
	if err != nil {
		return err
	}
	if err := wantStatus("an offer without a token", r, http.StatusUnauthorized); err != nil {
		return err
	}
	if r.header.Get("WWW-Authenticate") == "" {
		return errors.New("401 has no WWW-Authenticate")
	}
	return nil
}

func checkSessionToken(ctx context.Context, s *session) error {
	if err := needsToken(s.c); err != nil {
		return err
	}
	f := s.fragment()
	r, err := s.c.send(ctx, request{method: http.MethodPatch, to: s.url, kind: whip.TypeFragment, body: f.String(), match: s.etag, anonymous: true})
	if err == nil {
		err = wantStatus("PATCH without a token", r, http.StatusUnauthorized)
	}
	if err == nil {
		r, err = s.c.send(ctx, request{method: http.MethodDelete, to: s.url, anonymous: true})
	}
	if err == nil {
		err = wantStatus("DELETE without a token", r, http.StatusUnauthorized)
	}
	return err
}

func checkCandidates(_ context.Context, s *session) error {
	f, err := whip.FragmentOf(s.answer)
	if err == nil && len(f.Candidates) == 0 {
		err = errors.New("the answer has no candidate")
	}
	return err
}

func checkConnects(_ context.Context, s *session) error {
	if err := s.peer.accept(s.answer); err != nil {
		return err
	}
	return s.peer.connected(s.c.Timeout)
}

func checkConnectsUnknown(ctx context.Context, c *checker) error {
	s, r, err := c.open(ctx, offerOptions{noCandidates: true})
	if err != nil {
		return err
	}
	if s == nil {
		return c.wantAccepted("an offer without candidates", r)
	}
	defer s.close(ctx)
	return checkConnects(ctx, s)
}

func checkETag(_ context.Context, s *session) error {
	if s.etag == "" {
		return errors.New("the answer has no ETag")
	}
	_, weak, err := whip.ParseETag(s.etag)
	if err == nil && weak {
		err = fmt.Errorf("the ETag %s is weak", signal.Printable(s.etag))
	}
	return err
}

// fragment returns what the client trickles.
func (s *session) fragment() *whip.Fragment {
	f, err := whip.FragmentOf(s.peer.offer)
	if err != nil {
		return &whip.Fragment{End: true}
	}
	return f
}

// needsTrickle skips a check where the endpoint has no ETag or takes no candidates.
func (s *session) needsTrickle(ctx context.Context) error {
	if s.etag == "" {
		return skip("the endpoint has no ETag")
	}
	r, err := s.patch(ctx, s.fragment(), s.etag)
	if err == nil && r.status/100 != 2 {
		return skip("the endpoint takes no candidates: PATCH answers with %s", r)
	}
	return err
}

func checkTrickle(ctx context.Context, s *session) error {
	r, err := s.patch(ctx, s.fragment(), s.etag)
	if err != nil {
		return err
	}
	if err := wantStatus("PATCH of candidates", r, http.StatusNoContent); err != nil {
		return err
	}
	return nil
}

func checkUnusable(ctx context.Context, s *session) error {
	if err := s.needsTrickle(ctx); err != nil {
		return err
	}
	f := s.fragment()
	f.Candidates, f.End = []whip.Candidate{{Kind: f.Kind, Mid: f.Mid, Line: "candidate:1 1 udp 1 unresolvable.invalid 9 typ host"}}, false
	r, err := s.patch(ctx, f, s.etag)
	if err != nil {
		return err
	}
	if err := wantStatus("PATCH of a candidate with an unknown name", r, http.StatusNoContent); err != nil {
		return err
	}
	return checkConnects(ctx, s)
}

func checkMid(ctx context.Context, c *checker) error {
	rename := func(sdp string) string {
		sdp = strings.ReplaceAll(sdp, "a=group:BUNDLE 0 1", "a=group:BUNDLE audio-a video_b")
		return strings.ReplaceAll(strings.ReplaceAll(sdp, "a=mid:0\r\n", "a=mid:audio-a\r\n"), "a=mid:1\r\n", "a=mid:video_b\r\n")
	}
	s, r, err := c.open(ctx, offerOptions{edit: rename})
	if err != nil {
		return err
	}
	if s == nil {
		return c.wantAccepted("an offer with named mids", r)
	}
	defer s.close(ctx)
	if !strings.Contains(s.answer, "a=mid:audio-a") {
		return errors.New("the answer has other mids")
	}
	if s.url == nil || s.etag == "" {
		return nil
	}
	f := s.fragment()
	f.Mid = "audio-a"
	for i := range f.Candidates {
		f.Candidates[i].Mid = "audio-a"
	}
	if r, err = s.patch(ctx, f, s.etag); err != nil {
		return err
	}
	return wantStatus("PATCH with a named mid", r, http.StatusNoContent, http.StatusMethodNotAllowed, http.StatusNotImplemented)
}

func checkNoMatch(ctx context.Context, s *session) error {
	if err := s.needsTrickle(ctx); err != nil {
		return err
	}
	r, err := s.patch(ctx, s.fragment(), "")
	if err != nil {
		return err
	}
	return wantStatus("PATCH without If-Match", r, http.StatusPreconditionRequired)
}

func checkStale(ctx context.Context, s *session) error {
	if err := s.needsTrickle(ctx); err != nil {
		return err
	}
	r, err := s.patch(ctx, s.fragment(), `"another-than-ever"`)
	if err != nil {
		return err
	}
	return wantStatus("PATCH with another ETag", r, http.StatusPreconditionFailed)
}

func checkPatchType(ctx context.Context, s *session) error {
	r, err := s.c.send(ctx, request{method: http.MethodPatch, to: s.url, kind: "text/plain", body: s.fragment().String(), match: s.etag})
	if err != nil {
		return err
	}
	return wantStatus("PATCH of the type text/plain", r, 499)
}

// restart connects, restarts ICE and connects again.
func (s *session) restart(ctx context.Context, match string) error {
	if err := checkConnects(ctx, s); err != nil {
		return skip("the session does not connect: %v", err)
	}
	for len(s.peer.states) > 0 {
		<-s.peer.states
	}
	if err := s.peer.restartOffer(); err != nil {
		return err
	}
	r, err := s.patch(ctx, s.fragment(), match)
	if err != nil {
		return err
	}
	if r.status == http.StatusUnprocessableEntity || r.status == http.StatusMethodNotAllowed || r.status == http.StatusNotImplemented {
		return skip("the endpoint does not restart ICE: %s", r)
	}
	if err := wantStatus("an ICE restart", r, http.StatusOK); err != nil {
		return err
	}
	if got := r.header.Get("Content-Type"); !whip.IsType(got, whip.TypeFragment) {
		return fmt.Errorf("got Content-Type %q, want %s", got, whip.TypeFragment)
	}
	theirs, err := whip.ParseFragment(r.body)
	if err != nil {
		return err
	}
	before, err := whip.FragmentOf(s.answer)
	if err != nil {
		return err
	}
	switch etag := r.header.Get("ETag"); {
	case theirs.Ufrag == "" || theirs.Pwd == "":
		return errors.New("the fragment has no ICE credentials")
	case theirs.Ufrag == before.Ufrag:
		return errors.New("the ICE credentials are the same as before")
	case etag == "" || etag == s.etag:
		return fmt.Errorf("got ETag %q after %q, want another one", signal.Printable(etag), signal.Printable(s.etag))
	}
	answer, err := theirs.Describe(s.answer)
	if err == nil {
		err = s.peer.accept(answer)
	}
	if err != nil {
		return err
	}
	return s.peer.connected(s.c.Timeout)
}

func checkRestart(ctx context.Context, s *session) error       { return s.restart(ctx, "*") }
func checkRestartQuoted(ctx context.Context, s *session) error { return s.restart(ctx, `"*"`) }

func checkMuxOnly(ctx context.Context, c *checker) error {
	s, r, err := c.open(ctx, offerOptions{edit: func(sdp string) string {
		return strings.ReplaceAll(sdp, "a=rtcp-mux\r\n", "a=rtcp-mux\r\na=rtcp-mux-only\r\n")
	}})
	if err != nil {
		return err
	}
	if s == nil {
		return c.wantAccepted("an offer with rtcp-mux-only", r)
	}
	defer s.close(ctx)
	for _, m := range sections(s.answer) {
		if !strings.Contains(m, "a=rtcp-mux") && !strings.HasPrefix(strings.SplitN(m, " ", 3)[1], "0") {
			return errors.New("an m-section of the answer has no rtcp-mux")
		}
	}
	return nil
}

func checkBundle(_ context.Context, s *session) error {
	if !strings.Contains(s.answer, "a=group:BUNDLE ") {
		return errors.New("the answer has no group BUNDLE")
	}
	return nil
}

func checkDirection(_ context.Context, s *session) error {
	want := "a=recvonly"
	if s.c.Endpoint.Direction == whip.Play {
		want = "a=sendonly"
	}
	for i, m := range sections(s.answer) {
		fields := strings.Fields(m)
		if len(fields) > 1 && fields[1] == "0" || strings.Contains(m, "a=inactive") {
			continue // rejected, or of a kind that nobody publishes
		}
		if !strings.Contains(m, want) {
			return fmt.Errorf("m-section %d of the answer has no %s", i, want)
		}
	}
	return nil
}

func checkSetup(_ context.Context, s *session) error {
	if !strings.Contains(s.answer, "a=setup:active") && !strings.Contains(s.answer, "a=setup:passive") || whip.IsOffer(s.answer) {
		return errors.New("the answer has neither setup:active nor setup:passive")
	}
	return nil
}

func checkCodec(ctx context.Context, c *checker) error {
	unknown := func(sdp string) string {
		lines := strings.SplitAfter(sdp, "\r\n")
		video := false
		for i, line := range lines {
			if strings.HasPrefix(line, "m=") {
				if video = strings.HasPrefix(line, "m=video"); video {
					lines[i] = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"
				}
			}
			if video && (strings.HasPrefix(line, "a=rtpmap:") || strings.HasPrefix(line, "a=fmtp:") || strings.HasPrefix(line, "a=rtcp-fb:")) {
				if lines[i] = ""; strings.HasPrefix(line, "a=rtpmap:96 ") {
					lines[i] = "a=rtpmap:96 X-UNKNOWN/90000\r\n"
				}
			}
		}
		return strings.Join(lines, "")
	}
	s, r, err := c.open(ctx, offerOptions{edit: unknown})
	if err != nil {
		return err
	}
	if s == nil {
		return wantStatus("an offer with an unknown video codec", r, 499)
	}
	defer s.close(ctx)
	if c.Endpoint.Direction == whip.Play {
		return nil // a player may get audio alone
	}
	return errors.New("201 for an offer whose video codec is unknown: want 422")
}

func checkTwoVideos(ctx context.Context, c *checker) error {
	r, err := offered(ctx, c, offerOptions{videos: 2})
	if err != nil {
		return err
	}
	return wantStatus("an offer of two videos", r, http.StatusUnprocessableEntity)
}

// delete deletes the session.
func (s *session) delete(ctx context.Context, match string) (*response, error) {
	return s.c.send(ctx, request{method: http.MethodDelete, to: s.url, match: match})
}

func checkDelete(ctx context.Context, s *session) error {
	r, err := s.delete(ctx, "")
	if err == nil {
		err = wantStatus("DELETE", r, http.StatusOK)
	}
	if err != nil {
		return err
	}
	if r, err = s.delete(ctx, ""); err != nil {
		return err
	}
	return wantStatus("a second DELETE", r, http.StatusNotFound, http.StatusGone)
}

func checkDeleteMatch(ctx context.Context, s *session) error {
	r, err := s.delete(ctx, `"another-than-ever"`)
	if err != nil {
		return err
	}
	return wantStatus("DELETE with another ETag", r, 299)
}

func checkCounterOffer(ctx context.Context, c *checker) error {
	r, err := offered(ctx, c, offerOptions{})
	switch {
	case err != nil:
		return err
	case r.status != http.StatusNotAcceptable:
		return skip("the endpoint makes no counter-offer")
	}
	if _, err := whip.ResolveLocation(r.url, r.header.Get("Location")); err != nil {
		return err
	}
	f, err := whip.FragmentOf(r.body)
	if err == nil && len(f.Candidates) == 0 {
		err = errors.New("the counter-offer has no candidate")
	}
	return err
}

func checkNobody(ctx context.Context, c *checker) error {
	p, offer, err := c.offer(offerOptions{})
	if err != nil {
		return err
	}
	defer p.close()
	other := *c.endpoint
	other.Path = strings.TrimSuffix(other.Path, "/") + "-nobody"
	other.RawPath = ""
	r, err := c.send(ctx, request{method: http.MethodPost, to: &other, kind: whip.TypeSDP, body: offer})
	if err != nil {
		return err
	}
	if err := wantStatus("an offer to "+signal.Printable(other.Path), r, http.StatusConflict); err != nil {
		return err
	}
	if r.header.Get("Retry-After") == "" {
		return errors.New("409 has no Retry-After")
	}
	return nil
}
