package doctor

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/exit"
	"parley/peer"
	"parley/signal"
)

// conn is a signaling server on which the peer does not answer, or is absent.
type conn struct {
	node   string
	absent bool
	sent   chan struct{} // gets a value for each offer
	closed bool
}

func (c *conn) TLS() string                                              { return "TLS 1.3" }
func (c *conn) Node() string                                             { return c.node }
func (c *conn) ICEServers() []webrtc.ICEServer                           { return nil }
func (c *conn) Signaler(string) peer.Signaler                            { return c }
func (c *conn) Deliver(*peer.Call, signal.Message)                       {}
func (c *conn) Close()                                                   { c.closed = true }
func (c *conn) Leave(context.Context) error                              { return nil }
func (c *conn) Candidate(context.Context, webrtc.ICECandidateInit) error { return nil }
func (c *conn) Answer(context.Context, peer.SessionDescription) error    { return nil }

func (c *conn) Offer(context.Context, peer.SessionDescription) error {
	c.sent <- struct{}{}
	return nil
}

func (c *conn) Receive(ctx context.Context) (signal.Message, error) {
	if c.absent {
		select {
		case <-c.sent:
			return signal.Message{Type: signal.Error, Code: signal.CodeAbsent, Peer: "bob"}, nil
		case <-ctx.Done():
		}
	}
	<-ctx.Done()
	return signal.Message{}, ctx.Err()
}

// TestRun checks exit codes and findings, without an ICE server.
func TestRun(t *testing.T) {
	refused := exit.Errorf(exit.Login, "the login was refused\x1b")
	for _, c := range []struct {
		name    string
		conn    *conn
		set     func(*Options)
		code    exit.Code
		finding string
	}{
		{"no peer", &conn{}, func(*Options) {}, exit.OK, "ok signaling ws://server reached over TLS 1.3, signed in as alice"},
		{"node of a cluster", &conn{node: "a/01\x1b"}, func(*Options) {}, exit.OK, "ok signaling ws://server reached over TLS 1.3, node a/01\\x1b, signed in as alice"},
		{"program", &conn{}, func(o *Options) { o.Program = true }, exit.OK, "ok signaling ws://server reached by a program, transport unknown, signed in as alice"},
		{"login refused", nil, func(o *Options) { o.Peer = "bob" }, exit.Login, `bad signaling the login was refused\x1b`},
		{"peer absent", &conn{absent: true}, func(o *Options) { o.Peer = "bob" }, exit.Absent, "bad call bob is not signed in at ws://server"},
		{"no answer", &conn{}, func(o *Options) { o.Peer, o.Timeout = "bob", 50*time.Millisecond }, exit.Timeout, "bad call bob did not answer within 50ms"},
		{"relay only", &conn{}, func(o *Options) { o.Peer, o.Call.ICE.RelayOnly = "bob", true }, exit.Connection, "bad call --ice-policy relay: there is no TURN server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var findings []string
			o := Options{
				Server: "ws://server", As: "alice", Call: peer.Config{ICE: peer.ICEConfig{Loopback: true}, Logger: slog.New(slog.DiscardHandler)},
				SignIn: func(context.Context) (Conn, error) {
					if c.conn == nil {
						return nil, refused
					}
					c.conn.sent = make(chan struct{}, 10)
					return c.conn, nil
				},
				Report: func(f Finding) { findings = append(findings, f.Result+" "+f.Check+" "+f.Text) },
			}
			c.set(&o)
			err := Run(t.Context(), o)
			if exit.CodeOf(err) != c.code {
				t.Errorf("got code %d, %v, want %d", exit.CodeOf(err), err, c.code)
			}
			if !slices.ContainsFunc(findings, func(f string) bool { return strings.HasPrefix(f, c.finding) }) {
				t.Errorf("got findings %q, want %q", findings, c.finding)
			}
			if c.conn != nil && !c.conn.closed {
				t.Error("the connection was not closed")
			}
		})
	}
}

// TestRunInterrupted checks that a signal ends a test call.
func TestRunInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancelCause(t.Context())
	c := &conn{sent: make(chan struct{}, 10)}
	go func() {
		<-c.sent
		interrupt(&exit.SignalError{})
	}()
	err := Run(ctx, Options{
		Server: "ws://server", As: "alice", Peer: "bob", Call: peer.Config{ICE: peer.ICEConfig{Loopback: true}, Logger: slog.New(slog.DiscardHandler)},
		SignIn: func(context.Context) (Conn, error) { return c, nil }, Report: func(Finding) {},
	})
	var reported *exit.ReportedError
	if !errors.As(err, &reported) {
		t.Errorf("got %v, want the signal", err)
	}
}

// TestCodecsIn checks the codecs of an answer. An answer comes from the peer, and may be anything.
func TestCodecsIn(t *testing.T) {
	const session = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
	const sections = "m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:13 CN/8000\r\n" +
		"m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:x\r\n"
	want := map[string][]string{"audio": {"opus", "PCMU"}, "video": {}}
	if got := codecsIn(session + sections); !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
	for _, invalid := range []string{"", "m=\r\n", session + "m=\r\n", session + "m=video\r\n", sections} {
		if got := codecsIn(invalid); len(got) > 0 {
			t.Errorf("%q: got %v, want none", invalid, got)
		}
	}
}

// TestCheckHealth checks the exit code and the finding for each state of a server.
func TestCheckHealth(t *testing.T) {
	states := map[string]int{"/readyz": http.StatusOK, "/drained": http.StatusServiceUnavailable}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(states[r.URL.Path])
		_, _ = io.WriteString(w, "state\x1b[2J of "+r.URL.Path+strings.Repeat("x", 1<<10))
	}))
	closed := httptest.NewServer(nil)
	closed.Close()
	defer server.Close()
	for _, c := range []struct {
		url, result, text string
		code              exit.Code
	}{
		{server.URL, OK, `state\x1b[2J of /readyz`, exit.OK},
		{server.URL + "/readyz", OK, `state\x1b[2J of /readyz`, exit.OK},
		{server.URL + "/drained", Bad, `503 Service Unavailable: state\x1b[2J of /drained`, exit.Signaling},
		{closed.URL, Bad, "refused", exit.Signaling},
		{"127.0.0.1:9091", "", "", exit.Usage},
		{"ftp://127.0.0.1/", "", "", exit.Usage},
	} {
		var found Finding
		err := CheckHealth(t.Context(), c.url, func(f Finding) { found = f })
		if exit.CodeOf(err) != c.code || found.Result != c.result || !strings.Contains(found.Text, c.text) || len(found.Text) > 512 {
			t.Errorf("%s: got code %d, %+v, want code %d, %s %s", c.url, exit.CodeOf(err), found, c.code, c.result, c.text)
		}
	}
}
