//go:build !quick

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
	"parley/cmd/parley/internal/whiptest"
	"parley/signal/whip"
)

// endpoint returns the URL of an endpoint of a server with another scheme.
func endpoint(server, scheme, path string) string {
	return scheme + strings.TrimPrefix(server, "http") + path
}

// runHere runs parley in this process.
func runHere(t *testing.T, args ...string) (code exit.Code, out, err string) {
	t.Helper()
	var o, e bytes.Buffer
	code = cli.Run(context.Background(), stdio.Streams{In: strings.NewReader(""), Out: &o, Err: &e}, append([]string{"parley"}, args...))
	return code, o.String(), e.String()
}

// publish publishes a test video and a tone as cam. say sends a command to it, and stop hangs up
// and returns the exit code.
func publish(t *testing.T, url string, args ...string) (out *e2etest.Output, say func(string), stop func() exit.Code) {
	t.Helper()
	in, commands := io.Pipe()
	out = e2etest.NewOutput()
	code := make(chan exit.Code, 1)
	go func() {
		code <- cli.Run(context.Background(), stdio.Streams{In: in, Out: out, Err: out},
			append([]string{"parley", "call", url, "--stats-interval", "0", "--video", "test", "--audio", "tone:440", "--input", "ndjson", "--output", "ndjson"}, args...))
	}()
	say = func(command string) { fmt.Fprintln(commands, command) }
	stopped := false
	stop = func() exit.Code {
		if stopped {
			return exit.OK
		}
		stopped = true
		say(`{"command":"hangup"}`)
		defer commands.Close()
		return <-code
	}
	t.Cleanup(func() { stop() })
	return out, say, stop
}

// awaitTracks waits until a server has two tracks of cam.
func awaitTracks(t *testing.T, s *whiptest.Server) {
	t.Helper()
	s.Await(t, func() bool { return s.Publishes("cam", 2) })
}

// awaitOutput waits for a text in the output of a command.
func awaitOutput(t *testing.T, out *e2etest.Output, text string) {
	t.Helper()
	for timeout := time.After(30 * time.Second); ; {
		change := out.Change()
		if strings.Contains(out.String(), text) {
			return
		}
		select {
		case <-change:
		case <-timeout:
			t.Fatalf("no %s in %s", text, out.String())
		}
	}
}

func TestWHIP(t *testing.T) {
	for name, c := range map[string]struct {
		options  whiptest.Options
		publish  []string
		play     []string
		requests []string // that are among those of the publisher
		never    string
	}{
		"trickle":       {requests: []string{"POST /whip/cam 201", "PATCH /session/1 204", "PATCH /session/1 200", "DELETE /session/1 200"}},
		"no trickle":    {publish: []string{"--trickle", "no"}, play: []string{"--trickle", "no"}, requests: []string{"POST /whip/cam 201", "DELETE /session/1 200"}, never: "PATCH /session/1 204"},
		"gather after":  {publish: []string{"--gather", "after", "--trickle", "no"}, play: []string{"--gather", "after"}, requests: []string{"POST /whip/cam 201"}},
		"no PATCH":      {options: whiptest.Options{NoPatch: true}, requests: []string{"PATCH /session/1 405"}},
		"counter-offer": {options: whiptest.Options{CounterOffer: true}, requests: []string{"POST /whep/cam 406", "PATCH /session/2 204"}},
		"token":         {options: whiptest.Options{Token: "secret"}, publish: []string{"--token", "secret"}, play: []string{"--token", "secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := whiptest.New(t, c.options)
			out, say, stop := publish(t, endpoint(s.URL, "whip", "/whip/cam"), c.publish...)
			awaitTracks(t, s)
			file := filepath.Join(t.TempDir(), "cam.webm")
			code, _, said := runHere(t, append([]string{"call", endpoint(s.URL, "whep", "/whep/cam"), "--expect", "video.frames>=5", "--expect", "audio.tone=440", "--record", file, "--timeout", "30s"}, c.play...)...)
			if info, err := os.Stat(file); code != exit.OK || err != nil || info.Size() == 0 {
				t.Fatalf("got %d, %v: %s\n%v", code, err, said, s.Requests())
			}
			say(`{"id":"r","command":"restart-ice"}`)
			awaitOutput(t, out, `"event":"reply"`)
			if !c.options.NoPatch && len(c.publish) == 0 {
				s.Await(t, func() bool { return slices.Contains(s.Requests(), "PATCH /session/1 200") })
				code, _, said := runHere(t, append([]string{"call", endpoint(s.URL, "http", "/whep/cam"), "--expect", "video.frames>=5", "--timeout", "30s"}, c.play...)...)
				if code != exit.OK {
					t.Fatalf("after a restart: got %d: %s\n%v", code, said, s.Requests())
				}
			}
			if code := stop(); code != exit.OK {
				t.Errorf("the publisher ended with %d: %s", code, out.String())
			}
			if n := s.Sessions(); n != 0 {
				t.Errorf("%d sessions are not deleted: %v", n, s.Requests())
			}
			requests := s.Requests()
			for _, want := range c.requests {
				if !slices.Contains(requests, want) {
					t.Errorf("no %s among %v", want, requests)
				}
			}
			if c.never != "" && slices.Contains(requests, c.never) {
				t.Errorf("%s among %v", c.never, requests)
			}
		})
	}
}

// TestWHIPSimulcast publishes three sizes, which the server takes apart by their RIDs.
func TestWHIPSimulcast(t *testing.T) {
	s := whiptest.New(t, whiptest.Options{})
	out, _, stop := publish(t, endpoint(s.URL, "whip", "/whip/cam"), "--simulcast", "--video-size", "640x480@15")
	s.Await(t, func() bool { return slices.Equal(s.Layers("cam"), []string{"f", "h", "q"}) })
	if code := stop(); code != exit.OK {
		t.Errorf("got %d: %s", code, out.String())
	}
}

// TestWHIPOutage restarts ICE when the path is silent, and goes on.
func TestWHIPOutage(t *testing.T) {
	s := whiptest.New(t, whiptest.Options{})
	out, _, stop := publish(t, endpoint(s.URL, "whip", "/whip/cam"), "--impair", "outage=11s@2s")
	awaitTracks(t, s)
	s.Await(t, func() bool { return slices.Contains(s.Requests(), "PATCH /session/1 200") })
	awaitOutput(t, out, `"connection":"disconnected"`)
	before := strings.Count(out.String(), `"connection":"connected"`)
	for timeout := time.After(60 * time.Second); strings.Count(out.String(), `"connection":"connected"`) == before; {
		select {
		case <-out.Change():
		case <-timeout:
			t.Fatalf("no connection after the outage: %s", out.String())
		}
	}
	if code := stop(); code != exit.OK {
		t.Errorf("got %d: %s", code, out.String())
	}
}

// TestWHIPSnapshot saves a frame of what is published.
func TestWHIPSnapshot(t *testing.T) {
	s := whiptest.New(t, whiptest.Options{})
	publish(t, endpoint(s.URL, "whip", "/whip/cam"))
	awaitTracks(t, s)
	file := filepath.Join(t.TempDir(), "cam.png")
	code, _, said := runHere(t, "snapshot", endpoint(s.URL, "whep", "/whep/cam"), file, "--after", "10ms")
	if info, err := os.Stat(file); code != exit.OK || err != nil || info.Size() == 0 {
		t.Errorf("got %d, %v: %s", code, err, said)
	}
}

// TestWHIPDoctor checks a URL in both directions.
func TestWHIPDoctor(t *testing.T) {
	s := whiptest.New(t, whiptest.Options{})
	publish(t, endpoint(s.URL, "whip", "/whip/cam"))
	awaitTracks(t, s)
	for _, url := range []string{endpoint(s.URL, "whep", "/whep/cam"), endpoint(s.URL, "whip", "/whip/other")} {
		code, out, said := runHere(t, "doctor", url)
		if code != exit.OK || !strings.Contains(out, "connected to "+url) || !strings.Contains(out, "audio that both can: opus") || strings.Contains(out, "signed in") {
			t.Errorf("%s: got %d: %s%s", url, code, out, said)
		}
	}
	if code, out, _ := runHere(t, "doctor", endpoint(s.URL, "whep", "/whep/nobody")); code != exit.Absent || !strings.Contains(out, "409 Conflict: nobody publishes nobody") {
		t.Errorf("got %d: %s", code, out)
	}
	if code, out, _ := runHere(t, "doctor", "whep://127.0.0.1:1/x"); code != exit.Signaling || !strings.Contains(out, "failed to reach the server") {
		t.Errorf("got %d: %s", code, out)
	}
}

// TestWHIPProbe checks an endpoint, and the report.
func TestWHIPProbe(t *testing.T) {
	s := whiptest.New(t, whiptest.Options{})
	url := endpoint(s.URL, "whip", "/whip/cam")
	code, out, said := runHere(t, "probe", url, "created", "session-unguessable", "--format", "tap")
	if code != exit.Expectation || !strings.Contains(out, "ok 1 - created") || !strings.Contains(out, "not ok 2 - session-unguessable") {
		t.Errorf("got %d: %s%s", code, out, said)
	}
	if code, out, said := runHere(t, "probe", url, "created", "delete"); code != exit.OK || !strings.Contains(out, "2 passed, 0 failed") {
		t.Errorf("got %d: %s%s", code, out, said)
	}
	if code, out, _ := runHere(t, "probe", url, "--list"); code != exit.OK || !strings.Contains(out, "two-videos") {
		t.Errorf("got %d: %s", code, out)
	}
	for text, args := range map[string][]string{
		"there is no check nothing":      {url, "nothing"},
		"want whip, whips, whep or whep": {s.URL + "/whip/cam"},
		"--suite is for a NAME":          {url, "--suite", "core"},
		"invalid --format":               {url, "--format", "x"},
	} {
		if code, _, said := runHere(t, append([]string{"probe"}, args...)...); code != exit.Usage || !strings.Contains(said, text) {
			t.Errorf("got %d %q, want %q", code, said, text)
		}
	}
	if code, _, said := runHere(t, "probe", endpoint(s.URL, "whep", "/whep/nobody")); code != exit.Absent || !strings.Contains(said, "nobody publishes") {
		t.Errorf("got %d %q", code, said)
	}
	if n := s.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// TestWHIPErrors checks exit codes and messages.
func TestWHIPErrors(t *testing.T) {
	s := whiptest.New(t, whiptest.Options{Token: "secret"})
	answers := func(status int, header ...string) string {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			if status >= 400 {
				whip.WriteProblem(w, status, "no \x1b[31m luck")
				return
			}
			w.WriteHeader(status)
		}))
		t.Cleanup(other.Close)
		return other.URL
	}
	for name, c := range map[string]struct {
		args []string
		code exit.Code
		text string
	}{
		"unreachable":     {[]string{"call", "whep://127.0.0.1:1/x"}, exit.Signaling, "failed to reach the server"},
		"TLS":             {[]string{"call", "wheps" + strings.TrimPrefix(s.URL, "http") + "/whep/cam"}, exit.Signaling, "failed to reach the server"},
		"500":             {[]string{"call", endpoint(answers(500), "whep", "/x")}, exit.Signaling, "500 Internal Server Error: no \ufffd[31m luck"},
		"401":             {[]string{"call", endpoint(s.URL, "whep", "/whep/cam"), "--token", "other"}, exit.Login, "401 Unauthorized: invalid token"},
		"403":             {[]string{"call", endpoint(answers(403), "whep", "/x")}, exit.Login, "403 Forbidden"},
		"409":             {[]string{"call", endpoint(s.URL, "whep", "/whep/cam"), "--token", "secret"}, exit.Absent, "409 Conflict: nobody publishes cam"},
		"404":             {[]string{"call", endpoint(answers(404), "whep", "/x")}, exit.Absent, "404 Not Found"},
		"406":             {[]string{"call", endpoint(answers(406), "whip", "/x"), "--video", "test"}, exit.Negotiation, "406 Not Acceptable"},
		"200":             {[]string{"call", endpoint(answers(200), "whep", "/x")}, exit.Negotiation, "want 201 Created"},
		"no Location":     {[]string{"call", endpoint(answers(201, "Content-Type", whip.TypeSDP), "whep", "/x")}, exit.Negotiation, "has no Location"},
		"redirect loop":   {[]string{"call", endpoint(answers(307, "Location", "/x"), "whep", "/x")}, exit.Negotiation, "redirects more than 5 times"},
		"retry":           {[]string{"call", endpoint(s.URL, "whep", "/whep/cam"), "--token", "secret", "--retry", "1500ms"}, exit.Absent, "409 Conflict"},
		"snapshot":        {[]string{"snapshot", endpoint(answers(404), "whep", "/x"), "x.png"}, exit.Absent, "404 Not Found"},
		"nothing to send": {[]string{"call", "whip://127.0.0.1/x"}, exit.Usage, "nothing to send"},
		"sends to WHEP":   {[]string{"call", "whep://127.0.0.1/x", "--video", "test"}, exit.Usage, "whep plays"},
		"--say":           {[]string{"call", "whep://127.0.0.1/x", "--say", "x"}, exit.Usage, "--say"},
		"--channel":       {[]string{"call", "whep://127.0.0.1/x", "--channel", "x"}, exit.Usage, "--channel"},
		"--wait":          {[]string{"call", "whep://127.0.0.1/x", "--wait", "1s"}, exit.Usage, "--wait"},
		"send":            {[]string{"send", "go.mod", "whip://127.0.0.1/x"}, exit.Usage, "takes a name and no URL"},
		"pipe":            {[]string{"pipe", "whip://127.0.0.1/x"}, exit.Usage, "takes a name and no URL"},
		"chat":            {[]string{"chat", "whip://127.0.0.1/x"}, exit.Usage, "takes a name and no URL"},
		"--retry":         {[]string{"call", "bob", "--retry", "1s"}, exit.Usage, "with a URL only"},
		"--trickle":       {[]string{"call", "whep://127.0.0.1/x", "--trickle", "yes"}, exit.Usage, "want auto or no"},
		"--gather":        {[]string{"call", "whep://127.0.0.1/x", "--gather", "never"}, exit.Usage, "want before or after"},
		"user":            {[]string{"call", "whep://u:p@127.0.0.1/x"}, exit.Usage, "--token"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, said := runHere(t, append(c.args, "--timeout", "20s")...)
			if code != c.code || !strings.Contains(said, c.text) || strings.Contains(out+said, "\x1b") {
				t.Errorf("got %d %q, want %d with %q", code, said, c.code, c.text)
			}
			if n := strings.Count(said, "parley: "); n != 1 {
				t.Errorf("want one error, got %q", said)
			}
		})
	}
	if n := s.Sessions(); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
}
