package webtest_test

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"parley/signal/web/webtest"
)

var browsers webtest.Pool

func TestMain(m *testing.M) { goleak.VerifyTestMain(browsers.Around(m)) }

// each runs a test in both browsers.
func each(t *testing.T, o *webtest.Options, test func(t *testing.T, b *webtest.Browser)) {
	t.Run("chromium", func(t *testing.T) { test(t, browsers.Chromium(t, o)) })
	t.Run("firefox", func(t *testing.T) { test(t, browsers.Firefox(t, o)) })
}

//go:embed testdata/loop.html
var loopPage string

const formPage = `<!doctype html><title>form</title>
<input id=field value=old><button id=go disabled>Go</button><p id=said></p><div id=cover></div>
<script>
  go.onclick = () => { said.textContent = 'clicked ' + field.value; };
  go.ondblclick = e => { said.textContent += ' ' + e.detail + ' times'; };
  field.onkeydown = e => { if (e.key === 'Enter') said.textContent = 'entered ' + field.value; };
  field.oninput = () => { go.disabled = false; };
</script>`

func serve(t *testing.T) string {
	mux := http.NewServeMux()
	page := func(path, policy, body string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			if policy != "" {
				w.Header().Set("Content-Security-Policy", policy)
			}
			_, _ = w.Write([]byte(body))
		})
	}
	page("/form", "", formPage)
	page("/loop", "", loopPage)
	page("/throws", "", `<!doctype html><script>throw new Error('on purpose')</script>`)
	page("/rejects", "", `<!doctype html><script>Promise.reject(new Error('on purpose'))</script>`)
	page("/policy", "script-src 'none'; img-src 'none'", `<!doctype html><script>document.title = 'ran'</script><body>`)
	page("/alert", "", `<!doctype html><script>setTimeout(() => { alert('on purpose'); document.title = 'after'; }, 0)</script>`)
	page("/fine", "script-src 'self'", `<!doctype html><title>fine</title>`)
	mux.HandleFunc("GET /favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// spy is a testing.TB that keeps failures to itself.
type spy struct {
	testing.TB
	errors []string
}

func (s *spy) Helper() {}
func (s *spy) Errorf(format string, args ...any) {
	s.errors = append(s.errors, fmt.Sprintf(format, args...))
}
func (s *spy) Fatal(args ...any) {
	s.errors = append(s.errors, fmt.Sprint(args...))
	runtime.Goexit()
}
func (s *spy) Fatalf(format string, args ...any) {
	s.Errorf(format, args...)
	runtime.Goexit()
}

// run ends when what it runs ends or fails.
func (s *spy) run(what func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		what()
	}()
	<-ended
}
