package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/signal"
	signaling "parley/signal/server"
	"parley/signal/whip"
	whipserver "parley/signal/whip/server"
)

// tokens are identities by token.
type tokens map[string]signal.Identity

// Authorize implements signaling.Authorizer.
func (a tokens) Authorize(_ context.Context, r signal.LoginRequest) (signal.Identity, error) {
	identity, ok := a[r.Token]
	switch {
	case r.Token == "broken":
		return identity, errors.New("the database is down")
	case !ok || r.Name != "" && r.Name != identity.Name:
		return identity, &signal.Denied{Reason: "invalid token"}
	}
	return identity, nil
}

// TestTokens requires tokens: on each request but OPTIONS, and that of the user who has begun the
// session.
func TestTokens(t *testing.T) {
	testTokens(t, start(t, signaling.Options{Auth: someTokens()}, whipserver.Options{}))
}

// someTokens returns the tokens of testTokens.
func someTokens() tokens {
	soon := time.Now().Add(time.Hour)
	return tokens{
		"b": {Name: "bob", Subject: "bob"}, "a1": {Name: "alice", Subject: "alice", Expires: soon},
		"a2": {Name: "alice", Subject: "alice", Expires: soon.Add(time.Hour)}, "e": {Name: "eve", Subject: "eve"},
	}
}

func testTokens(t *testing.T, s *site) {
	var from string
	others := s.signIn("bob", "b").answers(func(u *user, m signal.Message) {
		from = m.Peer
		u.answer(m, answerTo(m.SDP))
	})
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	for name, test := range map[string]struct {
		r         response
		status    int
		challenge string
	}{
		"no token":        {s.post("/whip/bob", publishOffer), 401, `Bearer realm="parley"`},
		"another scheme":  {s.post("/whip/bob", publishOffer, "Authorization", "Basic YTpi"), 401, `Bearer realm="parley", error="invalid_token"`},
		"two tokens":      {s.post("/whip/bob", publishOffer, append(bearer("a1"), bearer("x")...)...), 401, `Bearer realm="parley", error="invalid_token"`},
		"a wrong token":   {s.post("/whip/bob", publishOffer, bearer("x")...), 401, `Bearer realm="parley", error="invalid_token"`},
		"no decision":     {s.post("/whip/bob", publishOffer, bearer("broken")...), 503, ""},
		"GET":             {s.do("GET", "/whip/bob", ""), 401, `Bearer realm="parley"`},
		"OPTIONS":         {s.do("OPTIONS", "/whip/bob", ""), 204, ""},
		"unknown session": {s.do("DELETE", "/whip/bob/AAAAAAAAAAAAAAAAAAAAAAAAAA", ""), 401, `Bearer realm="parley"`},
	} {
		if test.r.StatusCode != test.status || test.r.Header.Get("WWW-Authenticate") != test.challenge {
			t.Errorf("%s: got %d %q %q, want %d %q", name, test.r.StatusCode, test.r.Header.Get("WWW-Authenticate"), test.r.text, test.status, test.challenge)
		}
	}
	r := s.post("/whip/bob", publishOffer, bearer("a1")...).want(t, "POST", http.StatusCreated)
	location, tag := r.Header.Get("Location"), r.Header.Get("ETag")
	if !strings.HasPrefix(from, "alice-whip-") {
		t.Errorf("the user is called by %q, want the name of the token in it", from)
	}
	const end = "a=end-of-candidates\r\n"
	s.patch(location, end, tag).want(t, "PATCH without a token", http.StatusUnauthorized)
	s.patch(location, end, tag, bearer("e")...).want(t, "PATCH of another user", http.StatusForbidden)
	s.do("DELETE", location, "").want(t, "DELETE without a token", http.StatusUnauthorized)
	s.do("DELETE", location, "", bearer("e")...).want(t, "DELETE of another user", http.StatusForbidden)
	s.patch(location, end, tag, bearer("a1")...).want(t, "PATCH", http.StatusNoContent)
	s.patch(location, end, tag, bearer("a2")...).want(t, "PATCH with a newer token", http.StatusNoContent)
	s.do("DELETE", location, "", bearer("a2")...).want(t, "DELETE", http.StatusOK)
	for m := range others {
		if m.Type == signal.Leave {
			break
		}
	}
}

// TestExpiry has the token of a session expire: the user gets a leave that says so.
func TestExpiry(t *testing.T) {
	s := start(t, signaling.Options{Auth: tokens{"b": {Name: "bob"}, "a": {Name: "alice", Subject: "a", Expires: time.Now().Add(3 * time.Second)}}}, whipserver.Options{})
	others := s.signIn("bob", "b").answers(nil)
	r := s.post("/whip/bob", publishOffer, "Authorization", "Bearer a").want(t, "POST", http.StatusCreated)
	select {
	case m := <-others:
		if m.Type != signal.Leave || !m.Lost {
			t.Errorf("got %+v, want a leave with lost", m)
		}
	case <-time.After(patience):
		t.Fatal("the session has not ended with its token")
	}
	s.do("DELETE", r.Header.Get("Location"), "", "Authorization", "Bearer a").want(t, "DELETE after the end", http.StatusUnauthorized)
}

// TestThrottle guesses tokens: after ten refusals the address has to wait, as on the WebSocket.
func TestThrottle(t *testing.T) {
	s := start(t, signaling.Options{Auth: tokens{"b": {Name: "bob"}}}, whipserver.Options{})
	for range 10 {
		s.post("/whip/bob", publishOffer, "Authorization", "Bearer x").want(t, "a guess", http.StatusUnauthorized)
	}
	if r := s.post("/whip/bob", publishOffer, "Authorization", "Bearer x").want(t, "the eleventh guess", http.StatusTooManyRequests); r.Header.Get("Retry-After") == "" {
		t.Error("the refusal has no Retry-After")
	}
}

// TestOrigins asks for the permission of pages.
func TestOrigins(t *testing.T) {
	open := start(t, signaling.Options{AllowOrigins: []string{"https://studio.example"}}, whipserver.Options{})
	secured := start(t, signaling.Options{Auth: tokens{}}, whipserver.Options{})
	preflight := func(s *site, origin, path string) response {
		return s.do("OPTIONS", path, "", "Origin", origin, "Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "content-type, if-match, authorization")
	}
	for _, path := range []string{"/whip/bob", "/whep/bob", "/whip/bob/AAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		r := preflight(open, "https://studio.example", path).want(t, "preflight", http.StatusNoContent)
		for name, parts := range map[string]string{
			"Access-Control-Allow-Origin": "https://studio.example", "Access-Control-Allow-Methods": "DELETE PATCH POST",
			"Access-Control-Allow-Headers": "Authorization Content-Type If-Match", "Access-Control-Expose-Headers": "Location ETag Link",
			"Accept-Post": whip.TypeSDP, "Vary": "Origin", "Allow": "OPTIONS",
		} {
			for part := range strings.FieldsSeq(parts) {
				if !strings.Contains(r.Header.Get(name), part) {
					t.Errorf("%s: got %s %q, want %s in it", path, name, r.Header.Get(name), part)
				}
			}
		}
	}
	if r := preflight(open, "https://evil.example", "/whip/bob").want(t, "another origin", http.StatusForbidden); r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another origin may read the response")
	}
	r := open.post("/whip/bob", publishOffer, "Origin", "https://studio.example").want(t, "nobody", http.StatusNotFound)
	if r.Header.Get("Access-Control-Allow-Origin") != "https://studio.example" || !strings.Contains(r.Header.Get("Access-Control-Expose-Headers"), "Location") {
		t.Errorf("the page cannot read the response: %v", r.Header)
	}
	// Where tokens are required, a page of any origin may come with one.
	if r := preflight(secured, "https://evil.example", "/whip/bob").want(t, "with tokens", http.StatusNoContent); r.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("with tokens: got %v", r.Header)
	}
}

// TestICEServers sends the ICE servers in a line each, without those that clients would split.
func TestICEServers(t *testing.T) {
	s := start(t, signaling.Options{ICEServers: func(name string, _ time.Duration) []signal.ICEServer {
		return []signal.ICEServer{
			{URLs: []string{"stun:192.0.2.1:3478"}},
			{URLs: []string{"turn:192.0.2.1:3478?transport=udp", "turns:turn.example:5349"}, Username: "1:" + name, Credential: "s/+="},
			{URLs: []string{"turn:192.0.2.2"}, Username: "a,b", Credential: "c"},
		}
	}}, whipserver.Options{})
	s.signIn("bob", "").answers(nil)
	r := s.post("/whip/bob", publishOffer).want(t, "POST", http.StatusCreated)
	links := r.Header.Values("Link")
	if len(links) != 3 || links[0] != `<stun:192.0.2.1:3478>; rel="ice-server"` {
		t.Fatalf("got the links %q", links)
	}
	for _, l := range links {
		if strings.Contains(l, ",") {
			t.Errorf("the link %q has a comma", l)
		}
	}
	servers, err := whip.ParseICEServers(r.Header)
	if err != nil || len(servers) != 3 || servers[2].Credential != "s/+=" || !strings.HasPrefix(servers[2].Username, "1:whip-") {
		t.Errorf("got %+v, %v", servers, err)
	}
	s.do("DELETE", r.Header.Get("Location"), "").want(t, "DELETE", http.StatusOK)
}

// TestLimits opens many sessions, sends too much, and has another user call meanwhile.
func TestLimits(t *testing.T) {
	s := start(t, signaling.Options{Limits: signaling.Limits{PerAddress: 20}}, whipserver.Options{})
	s.signIn("bob", "").answers(nil)
	var locations []string
	counts := map[int]int{}
	for range 10_000 {
		r := s.post("/whip/bob", publishOffer)
		if counts[r.StatusCode]++; r.StatusCode == http.StatusCreated {
			locations = append(locations, r.Header.Get("Location"))
			continue
		}
		if r.Header.Get("Retry-After") == "" || whip.ReadProblem(r.Header.Get("Content-Type"), []byte(r.text)) == "" {
			t.Fatalf("got %d %q without a reason or Retry-After", r.StatusCode, r.text)
		}
	}
	if counts[http.StatusCreated] != 20 || counts[http.StatusTooManyRequests] != 10_000-20 {
		t.Errorf("got %v, want 20 sessions and the others refused", counts)
	}
	// Other users call each other.
	alice, carol := s.signIn("alice", ""), s.signIn("carol", "")
	if err := alice.Send(t.Context(), signal.Message{Type: signal.Offer, Peer: "carol", SDP: "v=0"}); err != nil {
		t.Fatal(err)
	}
	carol.next(signal.Offer)

	fragment := "a=ice-ufrag:abcd\r\n" + strings.Repeat("a=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n", 120)
	s.patch(locations[0], fragment, "*").want(t, "candidates", http.StatusNoContent)
	r := s.patch(locations[0], fragment, "*").want(t, "many candidates", http.StatusTooManyRequests)
	if r.Header.Get("Retry-After") == "" {
		t.Error("the refusal has no Retry-After")
	}
	s.patch(locations[1], strings.Repeat("a=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\n", 1000), "*").want(t, "a long fragment", http.StatusRequestEntityTooLarge)
	for _, l := range locations {
		s.do("DELETE", l, "").want(t, "DELETE", http.StatusOK)
	}
	r = s.post("/whip/bob", publishOffer).want(t, "a session after all have ended", http.StatusCreated)
	s.do("DELETE", r.Header.Get("Location"), "").want(t, "DELETE", http.StatusOK)
}

// TestCrowd opens sessions with a user until they are refused: other users can call the user still.
func TestCrowd(t *testing.T) {
	s := start(t, signaling.Options{Limits: signaling.Limits{Calls: 8}}, whipserver.Options{})
	s.signIn("bob", "").answers(nil)
	for i := range 12 {
		r := s.post("/whip/bob", publishOffer)
		if want := map[bool]int{true: http.StatusCreated, false: http.StatusTooManyRequests}[i < 4]; r.StatusCode != want {
			t.Errorf("session %d: got %d %q, want %d", i+1, r.StatusCode, r.text, want)
		}
	}
	alice := s.signIn("alice", "")
	if err := alice.Send(t.Context(), signal.Message{Type: signal.Offer, Peer: "bob", SDP: publishOffer, Extension: &signal.Extension{Version: 1, Number: 1}}); err != nil {
		t.Fatal(err)
	}
	alice.next(signal.Answer)
}

// zeros is a body without end.
type zeros struct{ sent atomic.Int64 }

// Read implements io.Reader.
func (z *zeros) Read(p []byte) (int, error) {
	z.sent.Add(int64(len(p)))
	return len(p), nil
}

// TestHugeBody sends 100 MiB, with and without their length.
func TestHugeBody(t *testing.T) {
	s := start(t, signaling.Options{}, whipserver.Options{})
	s.signIn("bob", "").answers(nil)
	for _, length := range []int64{100 << 20, -1} {
		body := &zeros{}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/whip/bob", io.LimitReader(body, 100<<20))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = length
		r.Header.Set("Content-Type", whip.TypeSDP)
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(text), "49152 bytes") {
			t.Errorf("length %d: got %d %q", length, resp.StatusCode, text)
		}
		if body.sent.Load() > 32<<20 {
			t.Errorf("length %d: the server has read about %d bytes", length, body.sent.Load())
		}
	}
	r := s.post("/whip/bob", publishOffer).want(t, "a session after that", http.StatusCreated)
	s.do("DELETE", r.Header.Get("Location"), "").want(t, "DELETE", http.StatusOK)
}

// TestClientVanishes has a client go away before it has an answer: the user gets a leave.
func TestClientVanishes(t *testing.T) {
	s := start(t, signaling.Options{}, whipserver.Options{})
	bob := s.signIn("bob", "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/whip/bob", strings.NewReader(publishOffer))
		if err == nil {
			r.Header.Set("Content-Type", whip.TypeSDP)
			var resp *http.Response
			if resp, err = http.DefaultTransport.RoundTrip(r); err == nil {
				_ = resp.Body.Close()
			}
		}
		done <- err
	}()
	bob.next(signal.Offer)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	bob.next(signal.Leave)
}

// TestDrain drains and closes: new sessions are refused with 503, one that waits ends, and the
// others go on without a leave.
func TestDrain(t *testing.T) {
	s := start(t, signaling.Options{}, whipserver.Options{})
	bob, carol := s.signIn("bob", ""), s.signIn("carol", "")
	others := bob.answers(nil)
	r := s.post("/whip/bob", publishOffer).want(t, "POST", http.StatusCreated)
	waiting := make(chan response, 1)
	go func() { waiting <- s.post("/whip/carol", publishOffer) }()
	carol.next(signal.Offer)
	if err := s.signaling.Drain(t.Context(), time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if refused := s.post("/whip/bob", publishOffer).want(t, "POST while draining", http.StatusServiceUnavailable); refused.Header.Get("Retry-After") == "" {
		t.Error("the refusal has no Retry-After")
	}
	s.do("GET", r.Header.Get("Location"), "").want(t, "a session while draining", http.StatusNoContent)
	s.gateway.Close()
	if ended := <-waiting; ended.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the request that waited: got %d %q", ended.StatusCode, ended.text)
	}
	select {
	case m := <-others:
		if m.Type == signal.Leave {
			t.Error("the user got a leave")
		}
	default:
	}
}
