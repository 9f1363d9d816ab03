package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/signal/whip"

	"github.com/google/go-cmp/cmp"
)

const offer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a1 v1\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a1\r\na=ice-ufrag:ours\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\na=rtcp-mux\r\na=sendonly\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v1\r\na=ice-ufrag:ours\r\na=ice-pwd:0123456789012345678901\r\na=setup:actpass\r\na=rtcp-mux\r\na=sendonly\r\n"

const answer = "v=0\r\no=- 3 4 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a1 v1\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a1\r\na=ice-ufrag:them\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:passive\r\na=rtcp-mux\r\na=recvonly\r\n" +
	"a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\na=end-of-candidates\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v1\r\na=ice-ufrag:them\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=setup:passive\r\na=rtcp-mux\r\na=recvonly\r\n"

// server answers requests by handlers for "METHOD /path", and records them.
type server struct {
	*httptest.Server
	mu       sync.Mutex // guards requests
	requests []string
}

func serve(t *testing.T, handlers map[string]http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, fmt.Sprintf("%s %s token=%q match=%q type=%q %d", r.Method, r.URL.RequestURI(), r.Header.Get("Authorization"), r.Header.Get("If-Match"), r.Header.Get("Content-Type"), len(body)))
		s.mu.Unlock()
		h := handlers[r.Method+" "+r.URL.Path]
		if h == nil {
			http.NotFound(w, r)
			return
		}
		h(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// created answers an offer; fields are NAME, VALUE and so on, which replace the usual ones.
func created(status int, body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", whip.TypeSDP)
		h.Set("Location", "/session/1?key=secret")
		h.Set("ETag", `"e1"`)
		for i := 0; i < len(fields); i += 2 {
			if h.Del(fields[i]); fields[i+1] != "" {
				h.Set(fields[i], fields[i+1])
			}
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func newClient(t *testing.T, url string, direction whip.Direction, o Options) *Client {
	t.Helper()
	e, err := whip.ParseEndpoint(url)
	if err != nil {
		t.Fatal(err)
	}
	e.Direction = direction
	c := New(e, o)
	t.Cleanup(c.Close)
	return c
}

func token(text string) func() (string, error) { return func() (string, error) { return text, nil } }

func TestSession(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{
		"POST /whip/a": created(201, answer, "Link", `<turn:turn.example.net>; rel="ice-server"; username="u"; credential="c"`),
		"PATCH /session/1": func(w http.ResponseWriter, r *http.Request) {
			switch r.Header.Get("If-Match") {
			case "*":
				w.WriteHeader(412)
			case `"*"`:
				w.Header().Set("Content-Type", whip.TypeFragment)
				w.Header().Set("ETag", `"e2"`)
				_, _ = io.WriteString(w, "a=ice-ufrag:new1\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n")
			default:
				w.WriteHeader(204)
			}
		},
		"DELETE /session/1": func(http.ResponseWriter, *http.Request) {},
	})
	var requests []Request
	c := newClient(t, s.URL+"/whip/a", whip.Publish, Options{Token: token("t"), OnRequest: func(r Request) { requests = append(requests, r) }})
	ctx := context.Background()
	d, err := c.Post(ctx, offer)
	if err != nil || d.SDP != answer || d.Offer || len(d.ICEServers) != 1 || d.ICEServers[0].Username != "u" {
		t.Fatalf("got %v, %v", d, err)
	}
	f := &whip.Fragment{Candidates: []whip.Candidate{{Kind: "audio", Mid: "a1", Line: "candidate:1 1 udp 1 192.0.2.2 1 typ host"}}}
	if err := c.Trickle(ctx, f); err != nil {
		t.Error(err)
	}
	theirs, err := c.Restart(ctx, &whip.Fragment{Ufrag: "our2", Pwd: "0123456789012345678902"})
	if err != nil || theirs.Ufrag != "new1" {
		t.Errorf("got %v, %v", theirs, err)
	}
	if err := c.Trickle(ctx, f); err != nil {
		t.Error(err)
	}
	if err := c.Delete(ctx); err != nil || c.HasSession() {
		t.Error(err)
	}
	want := []string{
		fmt.Sprintf(`POST /whip/a token="Bearer t" match="" type="application/sdp" %d`, len(offer)),
		`PATCH /session/1?key=secret token="Bearer t" match="\"e1\"" type="application/trickle-ice-sdpfrag" 85`,
		`PATCH /session/1?key=secret token="Bearer t" match="*" type="application/trickle-ice-sdpfrag" 52`,
		`PATCH /session/1?key=secret token="Bearer t" match="\"*\"" type="application/trickle-ice-sdpfrag" 52`,
		`PATCH /session/1?key=secret token="Bearer t" match="\"e2\"" type="application/trickle-ice-sdpfrag" 85`,
		`DELETE /session/1?key=secret token="Bearer t" match="" type="" 0`,
	}
	if diff := cmp.Diff(want, s.seen()); diff != "" {
		t.Error(diff)
	}
	if len(requests) != 6 || requests[0].Status != 201 || strings.Contains(requests[5].URL, "secret") {
		t.Errorf("got %+v", requests)
	}
}

// TestBadServers checks that each server that does not do what it should is one clear error, after
// which the session that it may have is known.
func TestBadServers(t *testing.T) {
	hang := make(chan struct{})
	never := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}
	defer close(hang)
	long := strings.Repeat("x", 1<<20)
	noCandidates := strings.ReplaceAll(answer, "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\n", "")
	for name, c := range map[string]struct {
		post    http.HandlerFunc
		kind    Kind
		text    string
		session bool
	}{
		"never answers":             {never, Unreachable, "does not answer within 200ms", false},
		"200":                       {created(200, answer), Unusable, "answers with 200, want 201 Created", false},
		"204":                       {created(204, ""), Unusable, "answers with 204", false},
		"301":                       {created(301, "", "Location", "/whip/b"), Unusable, "want 307", false},
		"302":                       {created(302, "", "Location", "/whip/b"), Unusable, "want 307", false},
		"no Location":               {created(201, answer, "Location", ""), Unusable, "no Location", false},
		"Location elsewhere":        {created(201, answer, "Location", "https://evil.example/s"), Unusable, "not in the origin", false},
		"Location of 1 MiB":         {created(201, answer, "Location", "/"+long), Unusable, "header fields have more than", false},
		"no URL as Location":        {created(201, answer, "Location", "/%zz"), Unusable, "want a URL", false},
		"empty answer":              {created(201, ""), Unusable, "invalid SDP", true},
		"broken SDP":                {created(201, "v=0\r\no=x\r\n"), Unusable, "invalid SDP", true},
		"no m-section":              {created(201, answer[:strings.Index(answer, "m=")]), Unusable, "no m-section", true},
		"no candidates":             {created(201, noCandidates), Unusable, "has no candidate", true},
		"answer of 1 MiB":           {created(201, answer+"a=x:"+long), Unusable, "more than 98304 bytes", true},
		"text":                      {created(201, "hello", "Content-Type", "text/plain"), Unusable, `Content-Type "text/plain"`, true},
		"HTML":                      {created(201, "<html>", "Content-Type", "text/html"), Unusable, `Content-Type "text/html"`, true},
		"Link of 1 MiB":             {created(201, answer, "Link", "<stun:a>; x="+long), Unusable, "header fields have more than", false},
		"Link of 20 KiB":            {created(201, answer, "Link", "<stun:a>; x="+long[:20<<10]), Unusable, "Link: got more than 8192 bytes", true},
		"malformed Link":            {created(201, answer, "Link", "stun:a"), Unusable, "invalid Link", true},
		"malformed ETag":            {created(201, answer, "ETag", `"a"b"`), Unusable, `invalid ETag "\"a\"b\""`, true},
		"ETag of 10 KiB":            {created(201, answer, "ETag", `"`+long[:10<<10]+`"`), Unusable, "invalid ETag", true},
		"redirect loop":             {created(307, "", "Location", "/whip/a"), Unusable, "redirects more than 5 times", false},
		"redirect to another URL":   {created(308, "", "Location", "file:///etc/passwd"), Unusable, "redirects with 308 to an invalid URL", false},
		"redirect without Location": {created(307, "", "Location", ""), Unusable, "redirects with 307", false},
		"400":                       {created(400, "bad\x1b[31m SDP\nmore", "Content-Type", "text/plain"), Refused, "400 Bad Request: bad\ufffd[31m SDP", false},
		"401":                       {created(401, `{"detail":"invalid token"}`, "Content-Type", whip.TypeProblem), Unauthorized, "401 Unauthorized: invalid token", false},
		"403":                       {created(403, ""), Unauthorized, "403 Forbidden", false},
		"404":                       {created(404, "", "Content-Type", "text/plain"), Absent, "404 Not Found", false},
		"406 of a publisher":        {created(406, answer), Refused, "406", false},
		"409":                       {created(409, "", "Retry-After", "1"), Absent, "409 Conflict", false},
		"410":                       {created(410, ""), Absent, "410 Gone", false},
		"500":                       {created(500, ""), Unreachable, "500 Internal", false},
		"503":                       {created(503, ""), Unreachable, "503 Service", false},
		"closes the connection":     {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unreachable, "failed to reach the server", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, map[string]http.HandlerFunc{"POST /whip/a": c.post})
			var o Options
			if name == "never answers" {
				o.RequestTimeout = 200 * time.Millisecond
			}
			client := newClient(t, s.URL+"/whip/a?key=secret", whip.Publish, o)
			_, err := client.Post(context.Background(), offer)
			var failed *Error
			if !errors.As(err, &failed) || failed.Kind != c.kind || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("got %#v %v, want kind %d and %q", failed, err, c.kind, c.text)
			}
			if text := err.Error(); strings.Contains(text, "secret") || len(text) > 2000 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' }) {
				t.Errorf("error %q", text)
			}
			if client.HasSession() != c.session {
				t.Errorf("has a session: %v, want %v", client.HasSession(), c.session)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	for url, text := range map[string]string{s.URL: "certificate", "http://127.0.0.1:1/": "refused"} {
		_, err := newClient(t, url, whip.Play, Options{}).Post(context.Background(), offer)
		var failed *Error
		if !errors.As(err, &failed) || failed.Kind != Unreachable || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v, want %q", url, err, text)
		}
	}
}

// The token and the header go to the origin of the endpoint only.
func TestRedirects(t *testing.T) {
	other := serve(t, map[string]http.HandlerFunc{"POST /there": created(201, answer), "DELETE /session/1": func(http.ResponseWriter, *http.Request) {}})
	s := serve(t, map[string]http.HandlerFunc{"POST /whip/a": created(307, "", "Location", "/whip/b"), "POST /whip/b": created(308, "", "Location", other.URL+"/there")})
	c := newClient(t, s.URL+"/whip/a", whip.Publish, Options{Token: token("t")})
	if _, err := c.Post(context.Background(), offer); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(context.Background()); err != nil {
		t.Error(err)
	}
	for _, r := range s.seen() {
		if !strings.Contains(r, `token="Bearer t"`) {
			t.Errorf("no token in the origin: %s", r)
		}
	}
	if len(s.seen()) != 2 || len(other.seen()) != 2 {
		t.Errorf("got %v, %v", s.seen(), other.seen())
	}
	for _, r := range other.seen() {
		if !strings.Contains(r, `token=""`) {
			t.Errorf("the token leaves the origin: %s", r)
		}
	}
}

func TestRetry(t *testing.T) {
	n := 0
	s := serve(t, map[string]http.HandlerFunc{"POST /whep/a": func(w http.ResponseWriter, r *http.Request) {
		n++
		switch n {
		case 1:
			created(409, "nobody is live", "Retry-After", "0", "Content-Type", "text/plain")(w, r)
		case 2:
			created(503, "", "Retry-After", "0")(w, r)
		case 3:
			created(429, "", "Retry-After", "0")(w, r)
		default:
			created(201, answer)(w, r)
		}
	}})
	if _, err := newClient(t, s.URL+"/whep/a", whip.Play, Options{}).Post(context.Background(), offer); err == nil || n != 1 {
		t.Errorf("without Retry: got %v after %d requests", err, n)
	}
	n = 0
	if _, err := newClient(t, s.URL+"/whep/a", whip.Play, Options{Retry: time.Minute}).Post(context.Background(), offer); err != nil || n != 4 {
		t.Errorf("got %v after %d requests", err, n)
	}
	for _, response := range []http.HandlerFunc{created(409, ""), created(503, "", "Retry-After", "3600"), created(404, "", "Retry-After", "0")} {
		s := serve(t, map[string]http.HandlerFunc{"POST /": response})
		if _, err := newClient(t, s.URL+"/", whip.Play, Options{Retry: time.Minute}).Post(context.Background(), offer); err == nil || len(s.seen()) != 1 {
			t.Errorf("got %v after %d requests, want 1", err, len(s.seen()))
		}
	}
}

func TestCounterOffer(t *testing.T) {
	counter := strings.ReplaceAll(answer, "passive", "actpass")
	for _, status := range []int{406, 201} {
		s := serve(t, map[string]http.HandlerFunc{"POST /whep/a": created(status, counter), "PATCH /session/1": created(204, "")})
		c := newClient(t, s.URL+"/whep/a", whip.Play, Options{})
		d, err := c.Post(context.Background(), offer)
		if err != nil || !d.Offer || d.SDP != counter {
			t.Fatalf("%d: got %v, %v", status, d, err)
		}
		if err := c.Answer(context.Background(), answer); err != nil {
			t.Error(err)
		}
	}
}

// Servers that are known for what they send instead of what the standard wants.
func TestQuirks(t *testing.T) {
	for name, etag := range map[string]string{"LiveKit": "0b1f2c", "MediaMTX": "*", "none": "", "weak": `W/"x"`} {
		s := serve(t, map[string]http.HandlerFunc{"POST /whip": created(201, answer, "ETag", etag), "PATCH /session/1": created(405, "", "Content-Type", "text/plain"), "DELETE /session/1": created(405, "")})
		c := newClient(t, s.URL+"/whip", whip.Publish, Options{})
		if _, err := c.Post(context.Background(), offer); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		err := c.Trickle(context.Background(), &whip.Fragment{End: true})
		var failed *Error
		if !errors.As(err, &failed) || !failed.Unsupported() {
			t.Errorf("%s: got %v", name, err)
		}
		if got := s.seen()[1]; !strings.Contains(got, fmt.Sprintf("match=%q", etag)) {
			t.Errorf("%s: got %s", name, got)
		}
		if _, err := c.Restart(context.Background(), &whip.Fragment{Ufrag: "our2", Pwd: "0123456789012345678902"}); !errors.As(err, &failed) || !failed.Unsupported() {
			t.Errorf("%s: got %v", name, err)
		}
		if err := c.Delete(context.Background()); err == nil || c.HasSession() {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestAnswerWithoutEnd accepts an answer whose last line has lost its end.
func TestAnswerWithoutEnd(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"POST /whip": created(201, strings.TrimSpace(answer))})
	if d, err := newClient(t, s.URL+"/whip", whip.Publish, Options{}).Post(context.Background(), offer); err != nil || d.SDP != answer {
		t.Errorf("got %v, %v", d, err)
	}
}

func TestBadRestarts(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		kind, body string
		text       string
	}{
		"204":            {204, "", "", "want 200 and an SDP fragment"},
		"empty":          {200, whip.TypeFragment, "", "neither candidates nor"},
		"no credentials": {200, whip.TypeFragment, "a=end-of-candidates", "no ICE credentials"},
		"of SDP":         {200, whip.TypeSDP, answer, "Content-Type"},
		"500":            {500, "text/plain", "cannot", "500 Internal Server Error: cannot"},
		"422":            {422, "text/plain", "", "422"},
		"1 MiB":          {200, whip.TypeFragment, strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n", 1<<20/40), "at most 32768"},
	} {
		s := serve(t, map[string]http.HandlerFunc{"POST /whip": created(201, answer), "PATCH /session/1": created(c.status, c.body, "Content-Type", c.kind)})
		client := newClient(t, s.URL+"/whip", whip.Publish, Options{})
		if _, err := client.Post(context.Background(), offer); err != nil {
			t.Fatal(err)
		}
		if f, err := client.Restart(context.Background(), &whip.Fragment{Ufrag: "our2", Pwd: "0123456789012345678902"}); err == nil || !strings.Contains(err.Error(), c.text) || !client.HasSession() {
			t.Errorf("%s: got %v, %v, want %q", name, f, err, c.text)
		}
	}
}

func TestOptions(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"OPTIONS /whip": created(204, "", "Accept-Post", "application/sdp", "Link", "<stun:a>; rel=ice-server"), "OPTIONS /no": created(401, "")})
	have, err := newClient(t, s.URL+"/whip", whip.Publish, Options{}).Options(context.Background())
	if err != nil || have.AcceptPost != "application/sdp" || len(have.ICEServers) != 1 {
		t.Errorf("got %+v, %v", have, err)
	}
	if have, err := newClient(t, s.URL+"/other", whip.Publish, Options{}).Options(context.Background()); err != nil || have.Status != 404 {
		t.Errorf("got %+v, %v", have, err)
	}
	if have, err := newClient(t, s.URL+"/no", whip.Publish, Options{}).Options(context.Background()); err == nil {
		t.Errorf("got %+v, want an error", have)
	}
}

// TestRestartAfterAddressChange restarts ICE on a connection of its own, since the one of the offer
// may begin at an address that is gone.
func TestRestartAfterAddressChange(t *testing.T) {
	const ours = "a=ice-ufrag:new1\r\na=ice-pwd:0123456789012345678901\r\n"
	var from []string
	noting := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			from = append(from, r.RemoteAddr)
			h(w, r)
		}
	}
	s := serve(t, map[string]http.HandlerFunc{"POST /whip": noting(created(201, answer)), "PATCH /session/1": noting(created(200, ours, "Content-Type", whip.TypeFragment))})
	c := newClient(t, s.URL+"/whip", whip.Publish, Options{})
	if _, err := c.Post(context.Background(), offer); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Restart(context.Background(), &whip.Fragment{Ufrag: "our2", Pwd: "0123456789012345678902"}); err != nil {
		t.Fatal(err)
	}
	if len(from) != 2 || from[0] == from[1] {
		t.Errorf("the requests come from %v, want two connections", from)
	}
}

// TestAnswerAsPlainText accepts an answer without a type of its own, as of the example of Pion,
// where Go's server adds text/plain.
func TestAnswerAsPlainText(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"POST /whip": created(201, answer, "Content-Type", "text/plain; charset=utf-8")})
	if d, err := newClient(t, s.URL+"/whip", whip.Publish, Options{}).Post(context.Background(), offer); err != nil || d.SDP != answer {
		t.Errorf("got %v, %v", d, err)
	}
}
