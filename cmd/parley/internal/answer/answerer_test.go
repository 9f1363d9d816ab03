package answer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/signaling"
	"parley/signal"
	"parley/signal/client"
	"parley/signal/signaltest"
)

// silentProgram is a source that sends nothing.
const silentProgram = "exec:exec /bin/sleep 600"

// running runs an answerer with the name bob until the test ends or stop is called, which returns
// its error.
func running(t *testing.T, server string, change func(*Answerer)) (a *Answerer, stop func() error) {
	t.Helper()
	o := &session.Options{Signaling: config.Signaling{Server: server, Name: "bob", Dialect: signal.DialectCall, Token: func() (string, error) { return "", nil }}}
	report := event.NewReporter(event.Options{Out: io.Discard, Err: io.Discard})
	a = New(o, resources.New(report, slog.New(slog.DiscardHandler), strings.NewReader("")))
	ready := make(chan struct{})
	a.Ready = func() { close(ready) }
	change(a)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		err := <-ended
		if closeErr := report.Close(); closeErr != nil {
			t.Error(closeErr)
		}
		return err
	})
	t.Cleanup(func() { _ = stop() })
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	return a, stop
}

// caller is a client that only exchanges messages.
type caller struct {
	t *testing.T
	*client.Client
}

func newCaller(t *testing.T, server, name string) caller {
	t.Helper()
	c, err := client.Dial(soon(t), server, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(soon(t), name); err != nil {
		t.Fatal(err)
	}
	return caller{t, c}
}

// soon returns a context that ends before the test hangs.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (c caller) send(kind signal.Type, sdp string) {
	c.t.Helper()
	if err := c.Send(soon(c.t), signal.Message{Type: kind, Peer: "bob", SDP: sdp}); err != nil {
		c.t.Fatal(err)
	}
}

// receives waits for a message of a type.
func (c caller) receives(want signal.Type) signal.Message {
	c.t.Helper()
	m, err := c.Receive(soon(c.t))
	if err != nil || m.Type != want {
		c.t.Fatalf("got %+v, %v; want %s", m, err, want)
	}
	return m
}

// newOffer returns an offer of a data channel.
func newOffer(t *testing.T) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.GracefulClose() //nolint:errcheck // it was not connected
	if _, err := pc.CreateDataChannel("data", nil); err != nil {
		t.Fatal(err)
	}
	d, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return d.SDP
}

// asked is a user who is asked about each call and does not answer before the caller hangs up.
type asked struct {
	names chan string
	left  chan string
}

func (u asked) Start(context.Context) (func(), error) { return func() {}, nil }
func (u asked) Accept(ctx context.Context, name string) (bool, error) {
	u.names <- name
	<-ctx.Done()
	return false, context.Cause(ctx)
}
func (u asked) Left(name string)                               { u.left <- name }
func (u asked) Failed(string, error)                           {}
func (u asked) Begun(*session.Session)                         {}
func (u asked) Ended(context.Context, *session.Session, error) {}

// TestTakenName: with --timeout, an answerer whose name is taken signs in once the holder has left.
func TestTakenName(t *testing.T) {
	server := signaltest.Start(t, nil)
	holder := newCaller(t, server, "bob")
	_, stop := running(t, server, func(a *Answerer) {
		a.options.Timeout, a.options.RetryTaken = 30*time.Second, true
		a.resources.Report.Intercept = func(e event.Event) bool {
			if e.Name == event.Warning && strings.Contains(e.Message, "the name \"bob\" is taken") {
				_ = holder.Close() // it has not sent anything that could be lost
			}
			return false
		}
	})
	alice := newCaller(t, server, "alice")
	alice.send(signal.Offer, newOffer(t))
	alice.receives(signal.Answer)
	if err := stop(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestBusy: with --once, a caller that comes while another call is being opened is rejected, and
// the first one is still there.
func TestBusy(t *testing.T) {
	server := signaltest.Start(t, nil)
	a, stop := running(t, server, func(a *Answerer) {
		a.Once = true
		a.options.Video = silentProgram
	})
	alice, carol := newCaller(t, server, "alice"), newCaller(t, server, "carol")
	alice.send(signal.Offer, newOffer(t))
	for !a.busy() {
		runtime.Gosched()
	}
	carol.send(signal.Offer, newOffer(t))
	carol.receives(signal.Leave)
	if err := stop(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	alice.receives(signal.Leave)
}

// wire is a transport that does nothing by itself: unlike a server, it sends no leave for a peer
// that is gone.
type wire struct {
	in   chan signal.Message
	sent chan signal.Message
}

func (w wire) To(peer string) signaling.CallTransport { return wireCall{w.sent, peer} }
func (w wire) ICEServers() []signal.ICEServer         { return nil }
func (w wire) Close() error                           { return nil }
func (w wire) Receive(ctx context.Context) (signal.Message, error) {
	select {
	case m := <-w.in:
		return m, nil
	case <-ctx.Done():
		return signal.Message{}, ctx.Err()
	}
}

type wireCall struct {
	sent chan signal.Message
	peer string
}

func (c wireCall) Send(_ context.Context, m signal.Message) error {
	c.sent <- m
	return nil
}
func (wireCall) GatheringComplete() {}
func (wireCall) End()               {}

// TestLeaveAtShutdown: an answerer that ends leaves a call that is being opened, and one that it
// has answered.
func TestLeaveAtShutdown(t *testing.T) {
	for name, answered := range map[string]bool{"being opened": false, "answered": true} {
		t.Run(name, func(t *testing.T) {
			w := wire{make(chan signal.Message, 1), make(chan signal.Message, 100)}
			a, stop := running(t, "ws://signal.example", func(a *Answerer) {
				if !answered {
					a.options.Video = silentProgram
				}
				a.Once = true
				a.signIn = func(ctx context.Context, o *session.Options, r *resources.Resources) (*signaling.Conn, error) {
					options := session.SignalingOptions(o, r)
					options.Open = func(context.Context) (signaling.Transport, error) { return w, nil }
					return signaling.SignIn(ctx, options)
				}
			})
			w.in <- signal.Message{Type: signal.Offer, Peer: "alice", SDP: newOffer(t)}
			if answered {
				for m := range w.sent {
					if m.Type == signal.Answer {
						break
					}
				}
			} else {
				for !a.busy() {
					runtime.Gosched()
				}
			}
			if err := stop(); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			close(w.sent)
			leaves := 0
			for m := range w.sent {
				if m.Type == signal.Leave && m.Peer == "alice" {
					leaves++
				}
			}
			if leaves != 1 {
				t.Errorf("%d leaves were sent, want 1", leaves)
			}
		})
	}
}

// TestSourceTimeout: a caller whose source sends nothing is rejected with the reason in time, and
// the next one is asked about all the same.
func TestSourceTimeout(t *testing.T) {
	server := signaltest.Start(t, nil)
	running(t, server, func(a *Answerer) {
		a.sourceTimeout = 20 * time.Millisecond
		a.options.Audio = silentProgram
	})
	for _, name := range []string{"alice", "carol"} {
		c := newCaller(t, server, name)
		if err := c.Send(soon(t), signal.Message{Type: signal.Offer, Peer: "bob", SDP: newOffer(t), Extension: &signal.Extension{Version: signal.ExtensionVersion, Number: 1}}); err != nil {
			t.Fatal(err)
		}
		if m := c.receives(signal.Answer); m.Extension == nil || !strings.Contains(m.Extension.Rejected, "the source sent no media within 20ms") {
			t.Errorf("%s got %+v, %+v", name, m, m.Extension)
		}
		c.receives(signal.Leave)
	}
}

// TestInvalidOffer: an offer that is none is answered by a leave and ends nothing.
func TestInvalidOffer(t *testing.T) {
	server := signaltest.Start(t, nil)
	running(t, server, func(*Answerer) {})
	alice := newCaller(t, server, "alice")
	for _, sdp := range []string{"nonsense", "v=0\r\nm=audio\r\n"} {
		alice.send(signal.Offer, sdp)
		alice.receives(signal.Leave)
	}
}

// TestAsked: the user is asked about as many calls as fit a list, in any order, and is notified of
// callers that hang up.
func TestAsked(t *testing.T) {
	server := signaltest.Start(t, nil)
	user := asked{make(chan string, 2*maxAsking), make(chan string, 2*maxAsking)}
	running(t, server, func(a *Answerer) { a.User = user })
	var callers []caller
	for i := range maxAsking {
		c := newCaller(t, server, fmt.Sprintf("caller%d", i))
		c.send(signal.Offer, newOffer(t))
		if name := <-user.names; name != fmt.Sprintf("caller%d", i) {
			t.Fatalf("the user is asked about %s", name)
		}
		callers = append(callers, c)
	}
	late := newCaller(t, server, "late")
	late.send(signal.Offer, newOffer(t))
	late.receives(signal.Leave)
	callers[3].send(signal.Leave, "")
	if name := <-user.left; name != "caller3" {
		t.Errorf("%s has left", name)
	}
	late.send(signal.Offer, newOffer(t))
	if name := <-user.names; name != "late" {
		t.Errorf("after a caller has left the user is asked about %s", name)
	}
}

// TestAdmits: a user who may not call is rejected.
func TestAdmits(t *testing.T) {
	server := signaltest.Start(t, nil)
	user := asked{make(chan string, 2), make(chan string, 2)}
	running(t, server, func(a *Answerer) {
		a.User = user
		a.Admits = func(name string) bool { return name == "alice" }
	})
	carol := newCaller(t, server, "carol")
	carol.send(signal.Offer, newOffer(t))
	carol.receives(signal.Leave)
	newCaller(t, server, "alice").send(signal.Offer, newOffer(t))
	if name := <-user.names; name != "alice" {
		t.Errorf("the user is asked about %s", name)
	}
}

// TestCallInProgress: there is one call with a peer at a time, and one that is canceled is over.
func TestCallInProgress(t *testing.T) {
	server := signaltest.Start(t, nil)
	user := asked{make(chan string, 1), make(chan string, 1)}
	a, _ := running(t, server, func(a *Answerer) {
		a.User = user
		a.options.Video = silentProgram
	})
	cancel, err := a.Call(t.Context(), "alice", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Call(t.Context(), "alice", 0); err == nil {
		t.Error("a second call to the same peer begins")
	}
	if _, err := a.Call(t.Context(), "carol", 0); err != nil {
		t.Errorf("a call to another peer: %v", err)
	}
	cancel()
}

// TestOpeningIsBounded: a peer whose call is being opened cannot fill the memory.
func TestOpeningIsBounded(t *testing.T) {
	var many, large openingCall
	for range 2 * maxOpeningMessages {
		many.add(signal.Message{Type: signal.ICECandidate, Candidate: &signal.Candidate{Candidate: "c"}})
		large.add(signal.Message{Type: signal.ICECandidate, Candidate: &signal.Candidate{Candidate: strings.Repeat("c", maxOpeningBytes/10)}})
	}
	if len(many.messages) != maxOpeningMessages || len(large.messages) != 10 {
		t.Errorf("%d small and %d large messages are kept", len(many.messages), len(large.messages))
	}
	if large.add(signal.Message{Type: signal.Answer, SDP: "v=0\r\n"}); len(large.messages) != 10 {
		t.Error("a description does not count")
	}
}

// TestResult: the cause of the end of an answerer is its error.
func TestResult(t *testing.T) {
	check, err := event.ParseCheck("connected", map[string]event.Kind{"connected": event.Text})
	if err != nil {
		t.Fatal(err)
	}
	lost := errors.New("lost")
	for name, test := range map[string]struct {
		cause  error
		checks []event.Check
		code   exit.Code
	}{
		"timeout":            {session.ErrTimeout, nil, exit.Timeout},
		"timeout of a check": {session.ErrTimeout, []event.Check{check}, exit.Expectation},
		"last call":          {&CallEnded{nil}, nil, exit.OK},
		"failed call":        {&CallEnded{exit.Errorf(exit.Device, "no camera")}, nil, exit.Device},
		"signal":             {&exit.SignalError{}, nil, exit.Interrupted},
		"lost server":        {lost, nil, exit.CodeOf(lost)},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(test.cause)
		a := New(&session.Options{Call: config.Call{Checks: test.checks, Timeout: time.Second}}, nil)
		if code := exit.CodeOf(a.result(ctx)); code != test.code {
			t.Errorf("%s: exit code %d, want %d", name, code, test.code)
		}
	}
}
