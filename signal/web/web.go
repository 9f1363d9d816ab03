// Package web serves the pages: one for calls at / (dialect "call"), and the hello-world page at
// /hello (dialect "relay"). They are plain HTML, CSS and JavaScript modules in the binary, load
// nothing from other hosts, and connect by WebSocket to the address they came from.
//
// The module page/address.js lists what the address of the page for calls can request. Without a
// click the page does that only if the server permits it: see Auto.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
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

// Auto is the permission of the pages to do without a click what their address asks for: to call,
// to answer, to send text and to take files. It never covers a navigation from another site.
type Auto int

const (
	AutoNever    Auto = iota // never
	AutoLoopback             // if the page is requested by localhost or a loopback address
	AutoAnyHost              // by any host
)

// permits reports whether the page that r loads may act without a click. The user or a page of the
// same origin must have navigated to it: Sec-Fetch-Site "none" or "same-origin" (W3C Fetch
// Metadata, section 2.3). Browsers set that header, no script can, and its value covers all
// redirects. A missing one permits nothing: browsers leave it out where a link from another site
// would be without it too, namely for hosts other than localhost without TLS. A page that is loaded
// before the user has chosen its address (Sec-Purpose) is not permitted either.
func (a Auto) permits(r *http.Request) bool {
	if a == AutoNever || a == AutoLoopback && !isLoopback(r.Host) || len(r.Header.Values("Sec-Purpose")) > 0 {
		return false
	}
	site := r.Header.Values("Sec-Fetch-Site")
	return len(site) == 1 && (site[0] == "none" || site[0] == "same-origin")
}

// isLoopback reports whether host, with or without a port, is localhost or a loopback address.
func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")).IsLoopback()
}

// file is one embedded file, ready to be served.
type file struct {
	body        []byte
	contentType string
	etag        string
	auto        *file // the page with its permission to act without a click; nil for other files
}

// Handler serves the pages. A page that may act without a click, by auto, has the attribute
// data-auto on its root element.
func Handler(auto Auto) http.Handler {
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
		case f.auto == nil:
			f.serve(w, r)
		default:
			// The two variants have an ETag each, so that none is used in place of the other.
			w.Header().Set("Vary", "Sec-Fetch-Site, Sec-Purpose")
			if auto.permits(r) {
				f = f.auto
			}
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
		f := newFile(e.Name(), body)
		if path.Ext(e.Name()) == ".html" {
			f.auto = newFile(e.Name(), withAuto(e.Name(), body))
		}
		files["/"+e.Name()] = f
	}
	files["/"] = files["/index.html"]
	files["/hello"] = files["/hello.html"]
	return files
}

func newFile(name string, body []byte) *file {
	sum := sha256.Sum256(body)
	return &file{body: body, contentType: contentType(name), etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
}

// withAuto returns the page name with the attribute data-auto on its root element. Neither the
// content security policy nor Trusted Types restrict that.
func withAuto(name string, body []byte) []byte {
	head, tail, ok := bytes.Cut(body, []byte("<html "))
	if !ok {
		panic(fmt.Sprintf("%s has no root element with attributes", name)) // it is in the binary
	}
	return slices.Concat(head, []byte("<html data-auto "), tail)
}
