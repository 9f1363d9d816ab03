//go:build !quick

package main

import (
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/media"
	"parley/media/device"
	"parley/signal/server"
	"parley/signal/signaltest"
	"parley/signal/web"
)

// TestScripts runs testdata/script/*.txtar: what a user would type, and see.
// Each has a signaling server of its own at $PARLEY_SERVER, its page at $PAGE.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Deadline:            time.Now().Add(20 * time.Minute), // for all of them; what hangs is ended, and says where
		Setup: func(e *testscript.Env) error {
			t := e.T().(testing.TB)
			server := signaltest.Start(t, &server.Options{Pages: web.Handler(web.AutoLoopback)})
			e.Setenv("PARLEY_SERVER", server)
			e.Setenv("PAGE", "http"+strings.TrimPrefix(server, "ws"))
			e.Setenv("NO_COLOR", "1")
			e.Values["t"] = t
			e.Values["running"] = map[string]*e2etest.Process{}
			return nil
		},
		// [H264] and the like: this build encodes it.
		Condition: func(name string) (bool, error) { return encodes(name), nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "start": start, "write": writeProcess, "serving": servingScript, "get": get, "certificate": certificate, "finish": finish, "interrupt": interrupt, "await": await,
			"original": originalServer, "deaf": deaf, "free": free, "secure": secure, "ports": udpPort, "sample": sample, "image": imageFile, "probe": ffprobe, "json": jsonHas, "impostor": impostor, "code": codeOfCall,
		},
	})
}

func encodes(codec string) bool {
	return slices.ContainsFunc(device.Codecs(), func(mime string) bool { return media.CodecName(mime) == codec })
}

// exits CODE parley ARGS... runs parley and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE parley ARGS...")
	}
	code := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// originalServer, as `original DIALECT`, sets $PARLEY_SERVER to a server that behaves as the
// original of that dialect does, flaws included.
func originalServer(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv("PARLEY_SERVER", signaltest.Original(ts.Value("t").(testing.TB), args[0]))
}

// deaf sets $DEAF to the address of a TCP server that never says a word.
func deaf(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv("DEAF", "ws://"+l.Addr().String())
}

// free VARIABLE sets it to an address of this machine that nobody listens on.
func free(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ts.Check(l.Close())
}

// secure VARIABLE makes a wss:// address of a ws:// one.
func secure(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], strings.Replace(ts.Getenv(args[0]), "ws://", "wss://", 1))
}

// udpPort, as `ports ADDRESS`, sets $UDP to the port of an address.
func udpPort(ts *testscript.TestScript, _ bool, args []string) {
	_, port, err := net.SplitHostPort(args[0])
	ts.Check(err)
	ts.Setenv("UDP", port)
}

// sample FILE makes a media file with ffmpeg: three seconds, by its name.
func sample(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(e2etest.MakeSample(ts.MkAbs(args[0])))
}

// image FILE FORMAT SIZE decodes an image.
func imageFile(ts *testscript.TestScript, _ bool, args []string) {
	c, format, err := image.DecodeConfig(strings.NewReader(ts.ReadFile(args[0])))
	ts.Check(err)
	if format != args[1] || fmt.Sprintf("%dx%d", c.Width, c.Height) != args[2] {
		ts.Fatalf("%s is a %s of %s", args[0], format, fmt.Sprintf("%dx%d", c.Width, c.Height))
	}
}

// probe FILE KEY=VALUE... checks a media file with ffprobe.
func ffprobe(ts *testscript.TestScript, _ bool, args []string) {
	got, err := e2etest.FFprobe(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, want := range args[1:] {
		if !strings.Contains(got, want+"\n") {
			ts.Fatalf("%s: no %s in\n%s", filepath.Base(args[0]), want, got)
		}
	}
}

// json FILE KEY=VALUE... looks for an event with all of these in a file of
// NDJSON; every line of it must be an event.
func jsonHas(ts *testscript.TestScript, neg bool, args []string) {
	events, err := e2etest.ReadEvents(ts.ReadFile(args[0]))
	ts.Check(err)
	for _, e := range events {
		if e.Has(args[1:]) {
			if neg {
				ts.Fatalf("there is an event with %v", args[1:])
			}
			return
		}
	}
	if !neg {
		ts.Fatalf("no event with %v in\n%s", args[1:], ts.ReadFile(args[0]))
	}
}
