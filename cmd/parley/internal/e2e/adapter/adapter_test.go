//go:build unix

package adapter

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// by returns the flag that has a call signaled by a program of the topic.
func by(t *testing.T, program string, args ...string) []string {
	t.Helper()
	path, err := filepath.Abs("../../../docs/adapters/" + program)
	if err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Abs("testdata/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--signaling", "exec:NODE_PATH='" + modules + "' exec '" + path + "' " + strings.Join(args, " ")}
}

// freePort returns a port on which nothing listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// awaitPort waits until a server listens.
func awaitPort(t *testing.T, port int) {
	t.Helper()
	for deadline := time.Now().Add(e2etest.Patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// startNode runs a server of testdata and returns the port that it prints.
func startNode(t *testing.T, script string) string {
	t.Helper()
	path, err := filepath.Abs("testdata/" + script)
	if err != nil {
		t.Fatal(err)
	}
	p := e2etest.Launch(t, exec.Command("node", path), []string{script})
	p.Says(t, `[0-9]+\n`)
	return strings.TrimSpace(p.Out.String())
}

// openPage opens a page of testdata in Chromium.
func openPage(t *testing.T, page string, query url.Values) *webtest.Tab {
	t.Helper()
	files := httptest.NewServer(http.FileServer(http.Dir("testdata")))
	t.Cleanup(files.Close)
	tab := e2etest.Browsers().Chromium(t, nil).Open(files.URL + "/" + page + "?" + query.Encode())
	tab.Wait(`seen.ready || seen.error`)
	return tab
}

// all is what parley sends, and expects of a page. It hangs up once it has that.
var all = []string{"--video", "test", "--audio", "test", "--say", "ping", "--expect", "text=pong", "--expect", "video.frames>=5", "--linger", "1s", "--timeout", "40s"}

// sawAll waits until a page has received text and video of parley.
func sawAll(tab *webtest.Tab) {
	tab.Wait(`seen.error || seen.text === 'ping' && seen.width === 320`)
	tab.Wait(`!seen.error`)
}

// callPage calls the page that is open, and hangs up.
func callPage(t *testing.T, tab *webtest.Tab, flags []string) {
	t.Helper()
	p := e2etest.Start(t, append(append([]string{"call", "page", "--as", "terminal"}, all...), flags...)...)
	sawAll(tab)
	p.Ends(t, 0)
	tab.Wait(`seen.left`)
}

// answerPage answers the page that open opens.
func answerPage(t *testing.T, open func() *webtest.Tab, flags []string) {
	t.Helper()
	p := e2etest.Start(t, append(append([]string{"answer", "--once", "--as", "terminal", "--output", "ndjson"}, all...), flags...)...)
	p.Says(t, `"event":"login"`)
	sawAll(open())
	p.Ends(t, 0)
}

func TestMQTT(t *testing.T) {
	port := freePort(t)
	config := filepath.Join(t.TempDir(), "mosquitto.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, "listener %d 127.0.0.1\nallow_anonymous true\n", port), 0o600); err != nil {
		t.Fatal(err)
	}
	e2etest.Launch(t, exec.Command("/usr/sbin/mosquitto", "-c", config), []string{"mosquitto"})
	awaitPort(t, port)
	flags := by(t, "mqtt.py", "127.0.0.1", fmt.Sprint(port))
	both := append([]string{"--video", "test", "--expect", "video.frames>=5", "--linger", "2s", "--timeout", "40s"}, flags...)
	bob := e2etest.Start(t, append([]string{"answer", "--once", "--as", "bob/+ #", "--say", "pong", "--expect", "text=ping", "--output", "ndjson"}, both...)...)
	bob.Says(t, `"event":"login"`)
	alice := e2etest.Start(t, append([]string{"call", "bob/+ #", "--say", "ping", "--expect", "text=pong"}, both...)...)
	alice.Ends(t, 0)
	bob.Ends(t, 0)
}

// events passes messages on to streams of Server-Sent Events, by the last part of the path.
type events struct {
	mu      sync.Mutex // guards streams
	streams map[string]chan string
}

func (s *events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	name := r.URL.Path
	if r.Method == http.MethodPost {
		text, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		stream := s.streams[name]
		s.mu.Unlock()
		if stream == nil || !json.Valid(text) {
			http.NotFound(w, r)
			return
		}
		stream <- string(text)
		return
	}
	stream := make(chan string, 100)
	s.mu.Lock()
	s.streams[name] = stream
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		_ = http.NewResponseController(w).Flush()
		select {
		case text := <-stream:
			fmt.Fprintf(w, "data: %s\n\n", text)
		case <-r.Context().Done():
			return
		}
	}
}

func TestServerSentEvents(t *testing.T) {
	server := httptest.NewServer(&events{streams: map[string]chan string{}})
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	flags := by(t, "sse.py", server.URL)
	callPage(t, openPage(t, "sse.html", url.Values{"server": {server.URL}}), flags)
	answerPage(t, func() *webtest.Tab {
		return openPage(t, "sse.html", url.Values{"server": {server.URL}, "call": {"terminal"}})
	}, flags)
	absent := e2etest.Start(t, append([]string{"call", "nobody"}, flags...)...)
	absent.Ends(t, 12)
	if got, want := absent.Err.String(), "parley: nobody is not signed in at exec:"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSocketIO(t *testing.T) {
	server := "http://127.0.0.1:" + startNode(t, "socketio_server.js")
	flags := by(t, "socketio.js", server)
	e2etest.Start(t, append([]string{"call", "page"}, flags...)...).Ends(t, 12)
	callPage(t, openPage(t, "socketio.html", url.Values{"server": {server}}), flags)
	answerPage(t, func() *webtest.Tab {
		return openPage(t, "socketio.html", url.Values{"server": {server}, "call": {"terminal"}})
	}, flags)
}

func TestSimplePeer(t *testing.T) {
	server := "ws://127.0.0.1:" + startNode(t, "rooms_server.js")
	callPage(t, openPage(t, "simplepeer.html", url.Values{"server": {server + "/1"}}), by(t, "simplepeer.py", server+"/1"))
	answerPage(t, func() *webtest.Tab {
		return openPage(t, "simplepeer.html", url.Values{"server": {server + "/2"}, "call": {""}})
	}, by(t, "simplepeer.py", server+"/2"))
}

func TestPeerJS(t *testing.T) {
	port := freePort(t)
	script, err := filepath.Abs("testdata/node_modules/peer/dist/bin/peerjs.js")
	if err != nil {
		t.Fatal(err)
	}
	e2etest.Launch(t, exec.Command("node", script, "--port", fmt.Sprint(port), "--host", "127.0.0.1", "--path", "/"), []string{"peerjs"})
	awaitPort(t, port)
	flags := by(t, "peerjs.js", fmt.Sprintf("ws://127.0.0.1:%d/peerjs", port))
	open := func(t *testing.T, query url.Values) *webtest.Tab {
		query.Set("port", fmt.Sprint(port))
		return openPage(t, "peerjs.html", query)
	}
	t.Run("media to the page", func(t *testing.T) {
		tab := open(t, url.Values{})
		p := e2etest.Start(t, append([]string{"call", "page", "--as", "terminal", "--video", "test", "--audio", "test", "--expect", "video.frames>=5", "--expect", "audio.packets>=20", "--linger", "1s"}, flags...)...)
		tab.Wait(`seen.error || seen.width === 320`)
		p.Ends(t, 0)
		tab.Wait(`seen.left`)
	})
	t.Run("data to the page", func(t *testing.T) {
		tab := open(t, url.Values{})
		p := e2etest.Start(t, append([]string{"call", "page", "--as", "terminal", "--say", "ping", "--expect", "text=pong"}, flags...)...)
		p.Ends(t, 0)
		tab.Wait(`seen.text === 'ping' && seen.left`)
	})
	t.Run("both from the page", func(t *testing.T) {
		p := e2etest.Start(t, append([]string{"answer", "--as", "terminal", "--video", "test", "--say", "ping", "--output", "ndjson"}, flags...)...)
		p.Says(t, `"event":"login"`)
		sawAll(open(t, url.Values{"call": {"terminal"}}))
		p.ReceivesFrames(t, "kind", "video", 5)
		p.Says(t, `"event":"text","peer":"page/data","label":"[^"]+","direction":"in","text":"pong"`)
		e2etest.Interrupt(t, p)
	})
}
