// Package web is the browser's side: a page for calls at / (dialect "call") and
// the hello-world page at /hello (dialect "relay"). The pages are in the binary;
// they are plain HTML, CSS and JavaScript modules as served, load nothing from
// elsewhere, and speak with the WebSocket on the address they came from.
//
// What the address of the page for calls may ask for (?as= &call= &answer=1
// &say= &video=0 &audio=0) stands in page/app.js.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed page
var pages embed.FS

// contentType by ending: those of the machine's MIME table may differ or be absent,
// and with nosniff a wrong one means that the browser refuses the file.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

// policy allows what the pages do and nothing else. 'self' in connect-src covers ws and wss to the
// same host (CSP level 3, section 6.7.2.8). Trusted Types make the browser refuse
// every assignment of markup, so that no text can become any.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; trusted-types 'none'; require-trusted-types-for 'script'"

// file is one embedded file, ready to be served.
type file struct {
	body        []byte
	contentType string
	etag        string
}

// Handler serves the pages.
func Handler() http.Handler {
	files := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		f, ok := files[r.URL.Path]
		switch {
		case !ok:
			http.Error(w, "no such page; there are / and /hello", http.StatusNotFound)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "pages can only be read", http.StatusMethodNotAllowed)
		default:
			f.serve(w, r)
		}
	})
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("ETag", f.etag)
	// Kept, but asked about each time: a new binary shows at the next load.
	h.Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(self), microphone=(self), geolocation=(), payment=(), usb=()")
}

// load reads the embedded files by the path they are served under.
func load() map[string]*file {
	files := map[string]*file{}
	entries, err := fs.ReadDir(pages, "page")
	if err != nil {
		panic(err) // the folder is in the binary
	}
	for _, e := range entries {
		body, err := pages.ReadFile("page/" + e.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(body)
		files["/"+e.Name()] = &file{body, contentType(e.Name()), `"` + hex.EncodeToString(sum[:12]) + `"`}
	}
	files["/"] = files["/index.html"]
	files["/hello"] = files["/hello.html"]
	return files
}
