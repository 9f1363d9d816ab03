package web_test

import (
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"parley/signal/web"
)

func get(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	web.Handler(web.AutoLoopback).ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPagesAndWhatTheyAskFor(t *testing.T) {
	seen := map[string]bool{}
	var visit func(path string)
	visit = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		r := get(t, "GET", path)
		text := body(t, r)
		if r.StatusCode != http.StatusOK || text == "" {
			t.Errorf("%s: %s, %d bytes", path, r.Status, len(text))
		}
		want := map[string]string{"": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg"}
		ending := path[strings.LastIndexAny(path, "./")+1:]
		if ending == "hello" {
			ending = ""
		}
		if ct := r.Header.Get("Content-Type"); !strings.HasPrefix(ct, want[ending]) || want[ending] == "" {
			t.Errorf("%s: Content-Type %q", path, ct)
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="([^"]+)"|from '\./([^']+)'`).FindAllStringSubmatch(text, -1) {
			link := m[1] + m[2]
			if strings.Contains(link, ":") {
				t.Errorf("%s loads %s from elsewhere", path, link)
			}
			if link != "./" {
				visit("/" + link)
			}
		}
	}
	visit("/")
	visit("/hello")
	if files, err := os.ReadDir("page"); err != nil || len(seen) != len(files) {
		t.Errorf("%d files are used of %d (%v)", len(seen), len(files), err)
	}
}

func TestHeaders(t *testing.T) {
	for _, path := range []string{"/", "/hello", "/app.js", "/style.css", "/missing"} {
		h := get(t, "GET", path).Header
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff",
			"Referrer-Policy":        "no-referrer",
		} {
			if h.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, h.Get(name), want)
			}
		}
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy %q lacks %s", path, policy, part)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
			t.Errorf("%s: the policy %q allows too much", path, policy)
		}
		if p := h.Get("Permissions-Policy"); !strings.Contains(p, "camera=(self), microphone=(self)") {
			t.Errorf("%s: Permissions-Policy %q", path, p)
		}
	}
}

func TestCache(t *testing.T) {
	first := get(t, "GET", "/app.js")
	etag := first.Header.Get("ETag")
	if etag == "" || first.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("ETag %q, Cache-Control %q", etag, first.Header.Get("Cache-Control"))
	}
	if r := get(t, "GET", "/app.js", "If-None-Match", etag); r.StatusCode != http.StatusNotModified {
		t.Errorf("the same file again: %s", r.Status)
	}
	if r := get(t, "GET", "/style.css", "If-None-Match", etag); r.StatusCode != http.StatusOK {
		t.Errorf("another file with that tag: %s", r.Status)
	}
	if r := get(t, "HEAD", "/"); r.StatusCode != http.StatusOK || body(t, r) != "" {
		t.Errorf("HEAD: %s", r.Status)
	}
}

// Only a navigation by the user or by a page of the same origin lets the page act without a click.
func TestAuto(t *testing.T) {
	const local, public = "localhost:9090", "call.example.org"
	site := func(values ...string) http.Header { return http.Header{"Sec-Fetch-Site": values} }
	for _, c := range []struct {
		name   string
		auto   web.Auto
		host   string
		header http.Header
		want   bool
	}{
		{"typed", web.AutoLoopback, local, site("none"), true},
		{"same origin", web.AutoLoopback, local, site("same-origin"), true},
		{"another port of localhost", web.AutoLoopback, local, site("same-site"), false},
		{"another site", web.AutoLoopback, local, site("cross-site"), false},
		{"no header", web.AutoLoopback, local, nil, false},
		{"empty header", web.AutoLoopback, local, site(""), false},
		{"unknown value", web.AutoLoopback, local, site("same-origin-ish"), false},
		{"other case", web.AutoLoopback, local, site("None"), false},
		{"list", web.AutoLoopback, local, site("none, cross-site"), false},
		{"two headers", web.AutoLoopback, local, site("none", "cross-site"), false},
		{"prerendered", web.AutoLoopback, local, http.Header{"Sec-Fetch-Site": {"none"}, "Sec-Purpose": {"prefetch;prerender"}}, false},
		{"prefetched", web.AutoAnyHost, local, http.Header{"Sec-Fetch-Site": {"none"}, "Sec-Purpose": {"prefetch"}}, false},

		{"IPv4", web.AutoLoopback, "127.8.9.1:80", site("none"), true},
		{"IPv6", web.AutoLoopback, "[::1]:9090", site("none"), true},
		{"IPv6 without port", web.AutoLoopback, "[::1]", site("none"), true},
		{"no port", web.AutoLoopback, "localhost", site("none"), true},
		{"a proxy", web.AutoLoopback, public, site("none"), false},
		{"a name that resolves to loopback", web.AutoLoopback, "localhost.example.org:9090", site("none"), false},
		{"private address", web.AutoLoopback, "192.168.0.7:9090", site("none"), false},
		{"no host", web.AutoLoopback, "", site("none"), false},

		{"any host, typed", web.AutoAnyHost, public, site("none"), true},
		{"any host, same origin", web.AutoAnyHost, public, site("same-origin"), true},
		{"any host, same site", web.AutoAnyHost, public, site("same-site"), false},
		{"any host, another site", web.AutoAnyHost, public, site("cross-site"), false},
		{"any host, no header", web.AutoAnyHost, public, nil, false},

		{"never, typed", web.AutoNever, local, site("none"), false},
		{"never, same origin", web.AutoNever, local, site("same-origin"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/", "/index.html", "/hello", "/hello.html"} {
				r := httptest.NewRequest("GET", path+"?as=tab&call=bob&answer=1&say=x&files=1", nil)
				r.Host, r.Header = c.host, c.header
				w := httptest.NewRecorder()
				web.Handler(c.auto).ServeHTTP(w, r)
				if got := strings.Contains(w.Body.String(), `<html data-auto lang="en">`); got != c.want {
					t.Errorf("%s: permitted %v, want %v: %.60q", path, got, c.want, w.Body)
				}
				if n := strings.Count(w.Body.String(), "data-auto"); !c.want && n > 0 {
					t.Errorf("%s: contains data-auto without a permission", path)
				}
				if vary := w.Header().Get("Vary"); vary != "Sec-Fetch-Site, Sec-Purpose" {
					t.Errorf("%s: Vary %q", path, vary)
				}
			}
		})
	}
}

// A browser that has kept a page with the permission does not use it after a link from another
// site.
func TestAutoIsNotCached(t *testing.T) {
	for _, path := range []string{"/", "/hello"} {
		load := func(site, etag string) (status int, tag, text string) {
			r := httptest.NewRequest("GET", "http://localhost"+path, nil)
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("If-None-Match", etag)
			w := httptest.NewRecorder()
			web.Handler(web.AutoLoopback).ServeHTTP(w, r)
			if w.Header().Get("Cache-Control") != "no-cache" {
				t.Errorf("%s: Cache-Control %q", path, w.Header().Get("Cache-Control"))
			}
			return w.Code, w.Header().Get("ETag"), w.Body.String()
		}
		_, typed, _ := load("none", "")
		_, linked, _ := load("cross-site", "")
		if status, _, text := load("cross-site", typed); status != http.StatusOK || strings.Contains(text, "data-auto") {
			t.Errorf("%s after a link, with the tag of the permission: %d %.40q", path, status, text)
		}
		if status, _, text := load("none", linked); status != http.StatusOK || !strings.Contains(text, "data-auto") {
			t.Errorf("%s typed, with the tag of the page without the permission: %d %.40q", path, status, text)
		}
		if status, _, _ := load("none", typed); status != http.StatusNotModified {
			t.Errorf("%s typed again: %d, want 304", path, status)
		}
		if status, _, _ := load("cross-site", linked); status != http.StatusNotModified {
			t.Errorf("%s by a link again: %d, want 304", path, status)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/nothing", 404}, {"GET", "/page/app.js", 404}, {"GET", "/../web.go", 404}, {"GET", "//", 404},
		{"POST", "/", 405}, {"DELETE", "/app.js", 405}, {"POST", "/nothing", 404},
	} {
		if r := get(t, c.method, c.path); r.StatusCode != c.want {
			t.Errorf("%s %s: %s, want %d", c.method, c.path, r.Status, c.want)
		}
	}
}

// The ids are those of the original pages: scripts that drive one drive the other.
func TestIDs(t *testing.T) {
	page := body(t, get(t, "GET", "/"))
	for _, id := range strings.Fields("loginPage usernameInput loginBtn callPage localVideo remoteVideo callToUsernameInput callBtn hangUpBtn chatarea msgInput sendMsgBtn") {
		if n := strings.Count(page, `id="`+id+`"`); n != 1 {
			t.Errorf("id %s: %d times", id, n)
		}
	}
	for _, inline := range []string{` style="`, " onclick=", " onload=", "<style", "<script>", "javascript:"} {
		if strings.Contains(page, inline) {
			t.Errorf("the page has %q in it", inline)
		}
	}
}

// Only tests know the server: in the binary it meets the pages in cmd.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		seen++
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil || strings.Contains(strings.Split(path, "/")[0], ".") || strings.HasPrefix(path, "parley/") {
				t.Errorf("%s imports %s: the pages need the standard library alone", name, path)
			}
		}
	}
	if seen == 0 {
		t.Error("no file of the package was read")
	}
}
