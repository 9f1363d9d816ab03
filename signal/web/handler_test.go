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
	web.Handler().ServeHTTP(w, r)
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
