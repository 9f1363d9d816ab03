package client_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/client"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// states collects the states that a client reports.
type states chan client.State

func (s states) next(t *testing.T) client.State {
	t.Helper()
	select {
	case st := <-s:
		return st
	case <-time.After(patience):
		t.Fatal("the client reports nothing")
	}
	panic("unreachable")
}

// returner is a client that comes back.
func returner(t *testing.T, url, name string, o client.Options) (*client.Client, states) {
	t.Helper()
	reports := make(states, 1000)
	o.Resume, o.NoPacing, o.OnState = true, true, func(s client.State) { reports <- s }
	c, err := client.Dial(wait(t), url, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(wait(t), name); err != nil {
		t.Fatal(err)
	}
	return c, reports
}

// parallelCalls is the number of calls that breakCalls makes at once.
const parallelCalls = 8

// breakCalls makes calls over networks that break, and returns how often they did.
func breakCalls(t *testing.T, first uint64) int {
	const messages = 150
	var total atomic.Int64
	t.Run("calls", func(t *testing.T) {
		for seed := first; seed < first+parallelCalls; seed++ {
			t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
				t.Parallel()
				dialect := []signal.Dialect{signal.DialectCall, signal.DialectRelay}[seed%2]
				server, url := signaltest.StartServer(t, &server.Options{Limits: server.NoLimits()})
				net, url := newCutter(t, url, seed)
				options := client.Options{Dialect: dialect, MaxElapsedTime: time.Minute, ReceiveQueue: 4, SendQueue: 8}
				alice, reports := returner(t, url, "alice", options)
				bob, _ := returner(t, url, "bob", options)
				send(t, alice, signal.Message{Type: signal.Offer, Peer: "bob", SDP: "v=0"})
				if m, err := bob.Receive(wait(t)); err != nil || m.Type != signal.Offer {
					t.Fatal(m, err)
				}
				net.set(6000, false)
				net.cutAll()
				ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
				defer cancel()
				errs := make(chan error, 4)
				go func() { errs <- sayAll(ctx, alice, "bob", messages) }()
				go func() { errs <- sayAll(ctx, bob, "alice", messages) }()
				go func() { errs <- hearAll(ctx, alice, messages) }()
				go func() { errs <- hearAll(ctx, bob, messages) }()
				for range 4 {
					if err := <-errs; err != nil {
						t.Error(err)
					}
				}
				net.set(0, false)
				net.mu.Lock()
				cuts := net.cuts
				net.mu.Unlock()
				if cuts < 5 || !reports.next(t).Lost || !reports.next(t).Resumed {
					t.Errorf("the network broke %d times, and alice did not report it", cuts)
				}
				if st := server.Stats(); st.Names != 2 || st.Calls != 1 {
					t.Errorf("in the end there are %+v", st)
				}
				total.Add(int64(cuts))
			})
		}
	})
	return int(total.Load())
}

func sayAll(ctx context.Context, c *client.Client, peer string, n int) error {
	for i := range n {
		m := signal.Message{Type: signal.ICECandidate, Peer: peer, Candidate: &signal.Candidate{Candidate: fmt.Sprintf("candidate:%d", i)}}
		if err := c.Send(ctx, m); err != nil {
			return fmt.Errorf("sending %d: %w", i, err)
		}
	}
	return nil
}

func hearAll(ctx context.Context, c *client.Client, n int) error {
	for i := range n {
		m, err := c.Receive(ctx)
		if err != nil {
			return fmt.Errorf("receiving %d: %w", i, err)
		}
		if want := fmt.Sprintf("candidate:%d", i); m.Candidate == nil || m.Candidate.Candidate != want {
			return fmt.Errorf("got %+v instead of %s", m, want)
		}
	}
	return nil
}

// TestServerRestarts loses the server; the next one knows nothing of us, so we sign in anew, and
// can make calls.
func TestServerRestarts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	first := server.New(nil)
	go func() { ran <- first.Run(ctx, l) }()
	alice, reports := returner(t, address, "alice", client.Options{})
	drained := make(chan error, 1)
	go func() { drained <- first.Drain(t.Context(), 0) }()
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
	var lost *client.LostError
	if s := reports.next(t); !s.Lost || !errors.As(s.Err, &lost) || lost.Code != websocket.CloseServiceRestart {
		t.Fatalf("reported %+v", s)
	}
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	second := server.New(nil)
	go func() { ran <- second.Run(ctx, l) }()
	if s := reports.next(t); s.Lost || s.Resumed {
		t.Fatalf("reported %+v", s)
	}
	send(t, alice, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "v=0"})
	receive(t, alice, signal.Message{Type: signal.Offer, Peer: "alice", SDP: "v=0"})
	_ = alice.Close()
	cancel()
	if err := <-ran; err != nil {
		t.Fatal(err)
	}
}

// TestNameTakenMeanwhile reconnects too late and finds its name taken, maybe by a session of its
// own that the server has not found dead yet. It tries again until the name is free, or for
// MaxElapsedTime.
func TestNameTakenMeanwhile(t *testing.T) {
	for name, tc := range map[string]struct {
		maxElapsedTime time.Duration
		free           bool
	}{
		"the name becomes free": {time.Minute, true},
		"the name stays taken":  {time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, direct := signaltest.StartServer(t, &server.Options{Resume: time.Millisecond})
			net, url := newCutter(t, direct, 1)
			var refused atomic.Int32
			log := slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
				if strings.Contains(string(p), "is taken") {
					refused.Add(1)
				}
				return len(p), nil
			}), &slog.HandlerOptions{Level: slog.LevelDebug}))
			alice, reports := returner(t, url, "alice", client.Options{MaxElapsedTime: tc.maxElapsedTime, Logger: log})
			net.set(0, true)
			net.cutAll()
			if s := reports.next(t); !s.Lost {
				t.Fatalf("reported %+v", s)
			}
			eventually(t, "the name is free", func() bool { return srv.Stats().Names == 0 })
			holder := systems()["our server, call"].join(t, direct, "alice")
			net.set(0, false)
			if tc.free {
				eventually(t, "alice was refused", func() bool { return refused.Load() > 0 })
				_ = holder.Close()
				if s := reports.next(t); s.Lost || s.Resumed {
					t.Fatalf("reported %+v", s)
				}
				return
			}
			var login *client.LoginError
			if _, err := alice.Receive(wait(t)); !errors.As(err, &login) || login.Code != signal.CodeTaken || !client.Final(err) {
				t.Errorf("got %v", err)
			}
			if refused.Load() < 2 {
				t.Error("the client tried only once")
			}
		})
	}
}

// writerFunc is an io.Writer that is a function.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestGivesUp finds no server for MaxElapsedTime.
func TestGivesUp(t *testing.T) {
	net, url := newCutter(t, signalURL(t), 1)
	alice, reports := returner(t, url, "alice", client.Options{MaxElapsedTime: 300 * time.Millisecond})
	net.set(0, true)
	net.cutAll()
	if s := reports.next(t); !s.Lost {
		t.Fatalf("reported %+v", s)
	}
	_, err := alice.Receive(wait(t))
	var lost *client.LostError
	if !errors.As(err, &lost) || lost.Retry == nil || !strings.Contains(err.Error(), "did not come back") {
		t.Errorf("got %v", err)
	}
	if err := alice.Send(wait(t), signal.Message{Type: signal.Leave, Peer: "bob"}); !errors.As(err, &lost) {
		t.Errorf("sending afterwards: %v", err)
	}
}

// TestCloseWhileAway does not wait for the server to be back.
func TestCloseWhileAway(t *testing.T) {
	net, url := newCutter(t, signalURL(t), 1)
	alice, reports := returner(t, url, "alice", client.Options{MaxElapsedTime: time.Hour})
	net.set(0, true)
	net.cutAll()
	if s := reports.next(t); !s.Lost {
		t.Fatalf("reported %+v", s)
	}
	if err := alice.Close(); err != nil {
		t.Error(err)
	}
	if _, err := alice.Receive(wait(t)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// TestFinal ends connections with codes that are final, and with one that is not: only then the
// client comes back.
func TestFinal(t *testing.T) {
	for _, code := range []int{1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4409} {
		if !client.Final(&client.LostError{Code: code}) {
			t.Errorf("%d is not final", code)
		}
	}
	for _, code := range []int{1001, 1006, 1011, 1012, 1013, 4408, 4429, 4503} {
		if client.Final(&client.LostError{Code: code}) {
			t.Errorf("%d is final", code)
		}
	}
	url := puppet(t, func(ws *websocket.Conn) {
		_, _, _ = ws.ReadMessage()
		say(t, ws, `{"type":"login","success":true,"resume":"ticket","resumeFor":20000}`)
		_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4401, "no more"), time.Now().Add(patience))
		_, _, _ = ws.ReadMessage()
	})
	alice, reports := returner(t, url, "alice", client.Options{})
	var lost *client.LostError
	if _, err := alice.Receive(wait(t)); !errors.As(err, &lost) || lost.Code != 4401 {
		t.Errorf("got %v", err)
	}
	if len(reports) != 0 {
		t.Errorf("the client tried to come back: %+v", <-reports)
	}
}

// TestUncountableFrames numbers its messages, and sends one whose number the client cannot know or
// accept. The server would send it again to a client that resumes, so the session ends, with the
// close code that says why.
func TestUncountableFrames(t *testing.T) {
	for name, tc := range map[string]struct {
		typ   int
		frame string
		code  int
		text  string
	}{
		"too long":         {websocket.TextMessage, `{"type":"leave","x":"` + strings.Repeat("x", 200<<10) + `","seq":1,"ack":0}`, 1009, "131072 bytes"},
		"much too long":    {websocket.TextMessage, strings.Repeat("x", 16<<20+1), 1009, "16777216 bytes"},
		"binary":           {websocket.BinaryMessage, `{"type":"leave","seq":1,"ack":0}`, 1003, "binary"},
		"not UTF-8":        {websocket.TextMessage, `{"type":"leave","x":"` + "\xff" + `","seq":1,"ack":0}`, 1007, "UTF-8"},
		"a skipped number": {websocket.TextMessage, `{"type":"leave","seq":2,"ack":0}`, 4400, "a message is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			closed := make(chan error, 100)
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ws, err := new(websocket.Upgrader).Upgrade(w, r, http.Header{signal.ServerHeader: {"1"}})
				if err != nil {
					t.Error(err)
					return
				}
				defer ws.Close()
				_, login, _ := ws.ReadMessage()
				reply := `{"type":"login","success":true,"resume":"token","resumeFor":20000}`
				if strings.Contains(string(login), `"resume":"token"`) {
					reply = `{"type":"login","success":true,"ack":0}`
				}
				_ = ws.WriteMessage(websocket.TextMessage, []byte(reply))
				_ = ws.WriteMessage(tc.typ, []byte(tc.frame))
				_, _, err = ws.ReadMessage()
				closed <- err
			}))
			t.Cleanup(web.Close)
			alice, states := returner(t, web.URL, "alice", client.Options{})
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			_, err := alice.Receive(ctx)
			var lost *client.LostError
			if !errors.As(err, &lost) || lost.Code != tc.code || !client.Final(err) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v", err)
			}
			if err := <-closed; !websocket.IsCloseError(err, tc.code) {
				t.Errorf("the server sees %v, want the close code %d", err, tc.code)
			}
			_ = alice.Close()
			if len(states) != 0 || len(closed) != 0 {
				t.Errorf("the client reconnected: %d states, %d more connections", len(states), len(closed))
			}
		})
	}
}

// TestForwardedFrameTooLong has a server without limits forward a message that the client does not
// accept.
func TestForwardedFrameTooLong(t *testing.T) {
	url := signaltest.Start(t, &server.Options{Limits: server.NoLimits(), MaxQueue: 1 << 20})
	bob, reports := returner(t, url, "bob", client.Options{})
	alice, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	say(t, alice, `{"type":"login","name":"alice"}`,
		`{"type":"offer","name":"bob","offer":{"type":"offer","sdp":"`+strings.Repeat("x", 200<<10)+`"}}`)
	_, err = bob.Receive(wait(t))
	var lost *client.LostError
	if !errors.As(err, &lost) || lost.Code != websocket.CloseMessageTooBig || !client.Final(err) {
		t.Errorf("got %v", err)
	}
	if len(reports) != 0 {
		t.Errorf("the client reconnected: %+v", <-reports)
	}
}

// TestICEServers takes what a server hands out, as far as it is of use.
func TestICEServers(t *testing.T) {
	for _, dialect := range []signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		url := signaltest.Start(t, &server.Options{ICEServers: func(name string, _ time.Duration) []signal.ICEServer {
			return []signal.ICEServer{{URLs: []string{"stun:a:3478"}}, {URLs: []string{"turn:b?transport=tcp", "turns:b"}, Username: "1:" + name, Credential: `"\`}}
		}})
		c, err := client.Dial(wait(t), url, &client.Options{Dialect: dialect})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Login(wait(t), "alice"); err != nil {
			t.Fatal(err)
		}
		want := `[{[stun:a:3478]  } {[turn:b?transport=tcp turns:b] 1:alice "\}]`
		if got := fmt.Sprint(c.ICEServers()); got != want {
			t.Errorf("%s: got %s, want %s", dialect, got, want)
		}
	}
	hostile := puppet(t, func(ws *websocket.Conn) {
		_, _, _ = ws.ReadMessage()
		say(t, ws, `{"type":"login","success":true,"iceServers":[{"urls":"stun:`+strings.Repeat("x", 600)+`"},{"urls":["file:/etc/passwd"]},{"urls":[]},
			{"urls":"turn:a\u202e"},{"urls":["turn:ok"],"username":"`+strings.Repeat("u", 600)+`"},7,[],{"urls":5},{"urls":["stun:a","stun:a","stun:a","stun:a","stun:a","stun:a","stun:a","stun:a","stun:a"]},
			`+strings.Repeat(`{"urls":"stun:good"},`, 40)+`{}]}`)
		_, _, _ = ws.ReadMessage()
	})
	c, err := client.Dial(wait(t), hostile, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(wait(t), "alice"); err != nil {
		t.Fatal(err)
	}
	if got := c.ICEServers(); len(got) != 16 || got[0].URLs[0] != "stun:good" {
		t.Errorf("got %v", got)
	}
}

// TestClientToken brings its token, and learns that it is refused.
func TestClientToken(t *testing.T) {
	for _, dialect := range []signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		url := signaltest.Start(t, &server.Options{Auth: tokenAuth{}})
		for token, code := range map[string]string{"open": "", "wrong": signal.CodeUnauthorized, "": signal.CodeUnauthorized} {
			c, err := client.Dial(wait(t), url, &client.Options{Dialect: dialect, Token: func() (string, error) { return token, nil }})
			if err != nil {
				t.Fatal(err)
			}
			err = c.Login(wait(t), "alice")
			var refused *client.LoginError
			if code == "" && err != nil || code != "" && (!errors.As(err, &refused) || refused.Code != code || !client.Final(err)) {
				t.Errorf("%s, %q: %v", dialect, token, err)
			}
			_ = c.Close()
		}
	}
}

// TestRefusedUpgrade: a client tries again only after refusals that can pass.
func TestRefusedUpgrade(t *testing.T) {
	for status, final := range map[int]bool{401: true, 403: true, 429: false, 502: false, 503: false} {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		_, err := client.Dial(wait(t), web.URL, nil)
		if !errors.Is(err, client.ErrUnreachable) || client.Final(err) != final {
			t.Errorf("%d: final is %v: %v", status, client.Final(err), err)
		}
		web.Close()
	}
}

// TestKeepsTrying goes on for as long as it is asked to.
func TestKeepsTrying(t *testing.T) {
	net, url := newCutter(t, signalURL(t), 1)
	rounds := make(chan struct{}, 8)
	left := 3
	alice, reports := returner(t, url, "alice", client.Options{MaxElapsedTime: 50 * time.Millisecond, ShouldRetry: func() bool {
		left--
		rounds <- struct{}{}
		return left > 0
	}})
	net.set(0, true)
	net.cutAll()
	if s := reports.next(t); !s.Lost {
		t.Fatalf("reported %+v", s)
	}
	for i := range 3 {
		select {
		case <-rounds:
		case <-wait(t).Done():
			t.Fatalf("it was asked %d times whether to go on, want 3", i)
		}
	}
	var lost *client.LostError
	if _, err := alice.Receive(wait(t)); !errors.As(err, &lost) || lost.Retry == nil {
		t.Errorf("got %v", err)
	}
}

// TestClientRenewsICEServers signs in once, and has fresh ICE servers ever after, with numbered
// messages and without.
func TestClientRenewsICEServers(t *testing.T) {
	for name, options := range map[string]client.Options{
		"call": {}, "relay": {Dialect: signal.DialectRelay}, "call, may come back": {Resume: true},
		"relay, may come back": {Dialect: signal.DialectRelay, Resume: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n atomic.Int64
			counting := func(name string, _ time.Duration) []signal.ICEServer {
				return []signal.ICEServer{{URLs: []string{"turn:a"}, Username: fmt.Sprint(n.Add(1), ":", name), Credential: "c"}}
			}
			url := signaltest.Start(t, &server.Options{ICEServers: counting, ICEServersFor: 200 * time.Millisecond})
			c, err := client.Dial(wait(t), url, &options)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Login(wait(t), "alice"); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"2:alice", "3:alice"} {
				eventually(t, "there is a user "+want, func() bool { s := c.ICEServers(); return len(s) == 1 && s[0].Username == want })
			}
		})
	}
}

// tokenAuth accepts the token "open".
type tokenAuth struct{}

func (tokenAuth) Authorize(_ context.Context, l signal.LoginRequest) (signal.Identity, error) {
	if l.Token != "open" {
		return signal.Identity{}, &signal.Denied{Reason: "not with that token"}
	}
	return signal.Identity{}, nil
}
