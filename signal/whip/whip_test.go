package whip

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"parley/signal"

	"github.com/google/go-cmp/cmp"
)

func TestParseEndpoint(t *testing.T) {
	for _, c := range []struct {
		in, url   string
		direction Direction
		err       string
	}{
		{in: "whip://host/whip/a?b=c#d", url: "http://host/whip/a?b=c", direction: Publish},
		{in: "WHIPS://host", url: "https://host", direction: Publish},
		{in: "whep://[::1]:8080/x", url: "http://[::1]:8080/x", direction: Play},
		{in: "wheps://host/x", url: "https://host/x", direction: Play},
		{in: "https://host/x", url: "https://host/x", direction: Either},
		{in: "ftp://host/x", err: "want whip, whips"},
		{in: "whip:///x", err: "no host"},
		{in: "whip://user:secret@host/x", err: "--token"},
		{in: "whip://host:x/", err: "invalid port"},
		{in: "whip://ho st/", err: "invalid"},
		{in: "whip://host/" + strings.Repeat("a", MaxURL), err: "at most 2048"},
	} {
		e, err := ParseEndpoint(c.in)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%.60q: got error %v, want %q", c.in, err, c.err)
		case c.err == "" && (err != nil || e.URL.String() != c.url || e.Direction != c.direction):
			t.Errorf("%q: got %v, %v, want %s", c.in, e, err, c.url)
		}
	}
	for s, want := range map[string]bool{"whip://a": true, "HTTPS://a": true, "bob": false, "ws://a": false, "a://b": false} {
		if IsURL(s) != want {
			t.Errorf("IsURL(%q) is not %v", s, want)
		}
	}
}

func TestResolveLocation(t *testing.T) {
	for _, c := range []struct{ request, location, want, err string }{
		{request: "http://h/whip/a", location: "/s/1", want: "http://h/s/1"},
		{request: "http://h/whip/a", location: "s1", want: "http://h/whip/s1"},
		{request: "http://h/whip/a", location: "?session=1", want: "http://h/whip/a?session=1"},
		{request: "http://h/whip/a", location: "http://H:80/s/1?x=y", want: "http://H:80/s/1?x=y"},
		{request: "https://h/whip/a", location: "http://h/s/1", want: "https://h/s/1"},
		{request: "https://h/whip/a", location: "//h/s/1", want: "https://h/s/1"},
		{request: "http://h/whip/a", location: "", err: "no Location"},
		{request: "http://h/whip/a", location: "http://other/s/1", err: "not in the origin"},
		{request: "http://h/whip/a", location: "//other/s/1", err: "not in the origin"},
		{request: "http://h/whip/a", location: "http://h:81/s/1", err: "not in the origin"},
		{request: "http://h/whip/a", location: "http://u:p@h/s/1", err: "user"},
		{request: "http://h/whip/a", location: "javascript:x", err: "not in the origin"},
		{request: "http://h/whip/a", location: "http://h/%zz", err: "want a URL"},
		{request: "http://h/whip/a", location: "/" + strings.Repeat("x", MaxURL), err: "at most"},
	} {
		request, err := url.Parse(c.request)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ResolveLocation(request, c.location)
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%.60q: got %v, error %v, want %q", c.location, got, err, c.err)
		case c.err == "" && (err != nil || got.String() != c.want):
			t.Errorf("%q: got %v, %v, want %s", c.location, got, err, c.want)
		}
	}
}

func TestICEServers(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   []signal.ICEServer
		err    string
	}{
		{fields: nil},
		{fields: []string{`</next>; rel=next`}},
		{fields: []string{`<stun:stun.example.net>; rel="ice-server"`}, want: []signal.ICEServer{{URLs: []string{"stun:stun.example.net"}}}},
		{
			// RFC 9725 section 4.6
			fields: []string{
				`<stun:stun.example.net>; rel="ice-server"`,
				`<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="myPassword"; credential-type="password"`,
			},
			want: []signal.ICEServer{{URLs: []string{"stun:stun.example.net"}}, {URLs: []string{"turn:turn.example.net?transport=udp"}, Username: "user", Credential: "myPassword"}},
		},
		{
			fields: []string{`<stun:a>;rel=ice-server,, <turns:b:443?transport=tcp> ; REL="other ice-server";UserName="1,2;\"3\\" ; credential=x;`},
			want:   []signal.ICEServer{{URLs: []string{"stun:a"}}, {URLs: []string{"turns:b:443?transport=tcp"}, Username: `1,2;"3\`, Credential: "x"}},
		},
		{fields: []string{`<turn:a>; rel="ice-server"; username="u"; credential="c"; credential-type="oauth"`}, err: "credential-type"},
		{fields: []string{`stun:a; rel="ice-server"`}, err: "RFC 8288"},
		{fields: []string{`<stun:a; rel="ice-server"`}, err: "RFC 8288"},
		{fields: []string{`<stun:a>; rel="ice-server`}, err: "RFC 8288"},
		{fields: []string{`<stun:a>; rel="ice-server" x`}, err: "RFC 8288"},
		{fields: []string{`<http://a>; rel="ice-server"`}, err: "scheme"},
		{fields: []string{`<stun:>; rel="ice-server"`}, err: "no URL"},
		{fields: []string{strings.Repeat(`<stun:a>;rel=ice-server,`, 17)}, err: "more than 16"},
		{fields: []string{"<x>;a=" + strings.Repeat("x", MaxLink)}, err: "more than 8192"},
		{fields: []string{"<x>" + strings.Repeat(";", MaxLink-10)}},
	} {
		got, err := ParseICEServers(http.Header{"Link": c.fields})
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%.100q: got %v, error %v, want %q", c.fields, got, err, c.err)
		case c.err == "" && (err != nil || cmp.Diff(c.want, got) != ""):
			t.Errorf("%.100q: got %v, %v, want %v", c.fields, got, err, c.want)
		}
	}
}

func TestETags(t *testing.T) {
	for in, want := range map[string]string{`"a"`: "a", `""`: "", `W/"x"`: "x", `"a/b:c"`: "a/b:c"} {
		got, weak, err := ParseETag(in)
		if err != nil || got != want || weak != strings.HasPrefix(in, "W/") {
			t.Errorf("%s: got %q, %v, %v", in, got, weak, err)
		}
	}
	for _, in := range []string{"", "a", `"`, `"a`, `a"`, `"a"b"`, `w/"a"`, "\"\x00\"", "\"\u00e4\"", `"a b"`, `"` + strings.Repeat("a", MaxETag) + `"`} {
		if got, _, err := ParseETag(in); err == nil {
			t.Errorf("%.40q: got %q, want an error", in, got)
		}
	}
	for _, c := range []struct {
		in   string
		want IfMatch
		bad  bool
	}{
		{in: "*", want: IfMatch{Any: true}},
		{in: `"*"`, want: IfMatch{Any: true}},
		{in: `"a"`, want: IfMatch{Tags: []string{"a"}}},
		{in: `"a", W/"b" ,"c,d",`, want: IfMatch{Tags: []string{"a", "c,d"}}},
		{in: `W/"b"`},
		{in: "", bad: true}, {in: ",", bad: true}, {in: "a", bad: true}, {in: `"a" "b"`, bad: true}, {in: `"a"x`, bad: true},
		{in: `"a`, bad: true}, {in: `*, "a"`, bad: true}, {in: "W/", bad: true}, {in: strings.Repeat(`"a",`, MaxETag+1), bad: true},
	} {
		got, err := ParseIfMatch([]string{c.in})
		if (err != nil) != c.bad || err == nil && cmp.Diff(c.want, got) != "" {
			t.Errorf("%.40q: got %v, %v", c.in, got, err)
		}
	}
	if m := (IfMatch{Tags: []string{"a"}}); !m.Matches("a") || m.Matches("b") || !(IfMatch{Any: true}).Matches("b") {
		t.Error("a condition matches another tag, or not its own")
	}
}

// fragmentSeeds are valid and invalid fragments.
func fragmentSeeds() []string {
	return []string{
		// RFC 9725 section 4.3.2
		"a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n" +
			"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\na=end-of-candidates\r\n",
		"m=video 9 x 0\na=ice-ufrag:ysXw\na=candidate:1\na=mid:v\nm=audio 9 x 0\na=candidate:2", "a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\na=ice-options:trickle ice2\r\n",
		"a=candidate:1 1 udp 1 192.0.2.1 1 typ host\nm=video 9 RTP/AVP 0\na=candidate:2 1 udp 1 192.0.2.1 1 typ host\na=mid:v1\na=candidate:nonsense\n",
		"a=end-of-candidates", "", "m=audio 9 RTP/AVP 0\r\na=mid:0\r\n", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "a=ice-ufrag:abc", "a=ice-ufrag:ab\"cd",
		"a=ice-ufrag:aaaa\nm=audio 9 x 0\na=ice-ufrag:bbbb", "x", "a=\x01", "a=mid:a b", "a=mid:", "\r\r\n",
	}
}

func TestParseFragment(t *testing.T) {
	seeds := fragmentSeeds()
	f, err := ParseFragment(seeds[0])
	want := &Fragment{Ufrag: "EsAw", Pwd: "P2uYro0UCOQ4zxjKXaWCBui1", Kind: "audio", Mid: "0", End: true, Candidates: []Candidate{
		{"audio", "0", "candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1"},
	}}
	if err != nil || cmp.Diff(want, f) != "" {
		t.Errorf("got %v, %v", f, err)
	}
	f, err = ParseFragment(seeds[2])
	if err != nil || f.Ufrag != "ysXw" || f.Pwd != "vw5LmwG4y/e6dPP/zAP9Gp5k" || f.End {
		t.Errorf("got %v, %v", f, err)
	}
	f, err = ParseFragment(seeds[3])
	want = &Fragment{Candidates: []Candidate{
		{"", "", "candidate:1 1 udp 1 192.0.2.1 1 typ host"}, {"video", "v1", "candidate:2 1 udp 1 192.0.2.1 1 typ host"}, {"video", "v1", "candidate:nonsense"},
	}}
	if err != nil || cmp.Diff(want, f) != "" {
		t.Errorf("got %v, %v", f, err)
	}
	if f, err = ParseFragment(seeds[4]); err != nil || !f.End {
		t.Errorf("got %v, %v", f, err)
	}
	for _, bad := range append(seeds[5:], strings.Repeat("a=candidate:x\n", MaxCandidates+1), strings.Repeat("a=x\n", MaxFragment), "a="+strings.Repeat("x", signal.MaxCandidate)) {
		if f, err := ParseFragment(bad); err == nil {
			t.Errorf("%.40q: got %v, want an error", bad, f)
		}
	}
}

func TestProblem(t *testing.T) {
	w := httptest.NewRecorder()
	WriteProblem(w, http.StatusConflict, "bob is busy")
	if got := ReadProblem(w.Header().Get("Content-Type"), w.Body.Bytes()); got != "bob is busy" || w.Code != 409 {
		t.Errorf("got %q, %d", got, w.Code)
	}
	for _, c := range []struct{ kind, body, want string }{
		{"text/plain; charset=utf-8", " stream not found \nmore", "stream not found"},
		{"", "no", "no"},
		{"application/json", `{"status":"error","error":"path\u001b[31m is closed"}`, "path\ufffd[31m is closed"},
		{"application/json", `{"error":{"x":1},"title":"t"}`, "t"},
		{"application/problem+json", `[`, ""},
		{"text/html", "<h1>Not Found</h1>", ""},
		{"text/plain", strings.Repeat("x", 1<<20), strings.Repeat("x", signal.MaxText)},
	} {
		if got := ReadProblem(c.kind, []byte(c.body)); got != c.want {
			t.Errorf("%s %.30q: got %.60q, want %.60q", c.kind, c.body, got, c.want)
		}
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{"3": 3 * time.Second, "Thu, 01 Jan 2026 00:01:00 GMT": time.Minute, "Thu, 01 Jan 2025 00:01:00 GMT": 0, "-1": -1, "": -1, "99999999999": -1} {
		got, ok := ParseRetryAfter(http.Header{"Retry-After": {value}}, now)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %v, %v", value, got, ok)
		}
	}
}

// FuzzParseICEServers checks that servers that were read are the same after they are written.
func FuzzParseICEServers(f *testing.F) {
	for _, seed := range []string{
		`<stun:a>; rel="ice-server"`, `<turn:a?transport=udp>; rel=ice-server; username="u\"\\"; credential="c,d"`, `<a>;b;c=;`, `<`, `,,`, `<stun:a>;rel="ice-server`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		servers, err := ParseICEServers(http.Header{"Link": {field}})
		if err != nil {
			printable(t, err)
			return
		}
		var fields []string
		for _, s := range servers {
			fields = append(fields, FormatICEServer(s)...)
		}
		again, err := ParseICEServers(http.Header{"Link": fields})
		if size := len(strings.Join(fields, "")); size <= MaxLink && (err != nil || cmp.Diff(servers, again) != "") {
			t.Fatalf("got %v, then %v, %v by %q", servers, again, err, fields)
		}
	})
}

// FuzzParseFragment checks that a fragment that was read is the same after it is written.
func FuzzParseFragment(f *testing.F) {
	for _, seed := range fragmentSeeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		first, err := ParseFragment(text)
		if err != nil {
			printable(t, err)
			return
		}
		again, err := ParseFragment(first.String())
		if err != nil && len(first.String()) <= MaxFragment {
			t.Fatalf("%q is written as %q: %v", text, first.String(), err)
		}
		if err == nil && cmp.Diff(first, again) != "" {
			t.Fatalf("%q: got %v, then %v", text, first, again)
		}
	})
}

// FuzzTags checks entity tags, conditions, locations and endpoints against panics, and what is
// written.
func FuzzTags(f *testing.F) {
	for _, seed := range []string{`"a"`, `W/"b"`, "*", `"a", "b"`, "/x?y", "http://h/", "whip://a/b"} {
		f.Add(seed)
	}
	base := &url.URL{Scheme: "https", Host: "h", Path: "/whip"}
	f.Fuzz(func(t *testing.T, s string) {
		if tag, _, err := ParseETag(s); err == nil {
			if again, _, err := ParseETag(FormatETag(tag)); err != nil || again != tag {
				t.Fatalf("got %q, then %q, %v", tag, again, err)
			}
			if m, err := ParseIfMatch([]string{FormatETag(tag)}); err != nil || tag != "*" && !slices.Equal(m.Tags, []string{tag}) {
				t.Fatalf("%q: got %v, %v", tag, m, err)
			}
		} else {
			printable(t, err)
		}
		if _, err := ParseIfMatch([]string{s}); err != nil {
			printable(t, err)
		}
		if u, err := ResolveLocation(base, s); err != nil {
			printable(t, err)
		} else if Origin(u) != Origin(base) {
			t.Fatalf("%q leaves the origin: %s", s, u)
		}
		if _, err := ParseEndpoint(s); err != nil {
			printable(t, err)
		}
	})
}

// printable fails if an error is too long or has what a terminal should not get.
func printable(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > 4*signal.MaxText || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Fatalf("error %q", text)
	}
}
