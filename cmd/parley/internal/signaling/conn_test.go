package signaling

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/peer"
	"parley/signal"
	"parley/signal/client"
	"parley/signal/signaltest"
)

// options returns options for a server, and a function that closes their reporter and returns the
// events.
func options(t *testing.T, server, name string) (Options, func() string) {
	t.Helper()
	var out bytes.Buffer
	report := event.NewReporter(event.Options{Out: &out, Err: io.Discard, NDJSON: true})
	close := func() string {
		if err := report.Close(); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	o := Options{Signaling: config.Signaling{Server: server, Name: name, Dialect: signal.DialectCall, Token: func() (string, error) { return "", nil }}, Report: report, Logger: slog.New(slog.DiscardHandler)}
	return o, close
}

// soon returns a context that ends before the test hangs.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// signedIn returns a connection that is signed in until the test ends.
func signedIn(t *testing.T, server, name string) *Conn {
	t.Helper()
	o, closeReport := options(t, server, name)
	l, err := SignIn(soon(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); closeReport() })
	return l
}

// recordingMiddleware notes what passes it, and drops messages of one type.
type recordingMiddleware struct {
	name string
	seen *[]string
	drop signal.Type
}

func (m recordingMiddleware) Send(ctx context.Context, message signal.Message, next SendFunc) error {
	*m.seen = append(*m.seen, m.name+" sends "+string(message.Type))
	if message.Type == m.drop {
		return nil
	}
	return next(ctx, message)
}

func (m recordingMiddleware) Deliver(message signal.Message, next DeliverFunc) {
	*m.seen = append(*m.seen, m.name+" delivers "+string(message.Type))
	if message.Type != m.drop {
		next(message)
	}
}

// TestSignaler: messages of a call reach the peer through the middleware, the first of which is
// next to the call, with all that they consist of.
func TestSignaler(t *testing.T) {
	server := signaltest.Start(t, nil)
	alice, bob := signedIn(t, server, "alice"), signedIn(t, server, "bob")
	var seen []string
	all := []Middleware{recordingMiddleware{"inner", &seen, signal.ICECandidate}, recordingMiddleware{"outer", &seen, ""}}
	to := alice.To("bob")
	to.Intercept(all)
	described := peer.SessionDescription{SDP: "v=0\r\n", Extension: &peer.Extension{Number: 3, Processed: 2}}
	mid := "0"
	for _, err := range []error{
		to.Offer(t.Context(), described), to.Candidate(t.Context(), webrtc.ICECandidateInit{Candidate: "candidate:1", SDPMid: &mid}), to.Leave(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	m, err := bob.Receive(soon(t))
	if err != nil || m.Type != signal.Offer || m.Peer != "alice" || !reflect.DeepEqual(Description(m), described) {
		t.Errorf("the offer came as %+v, %v", m, err)
	}
	if m, err := bob.Receive(soon(t)); err != nil || m.Type != signal.Leave {
		t.Errorf("after the offer came %+v, %v; want the leave, without the candidate that was dropped", m, err)
	}
	delivered := 0
	DeliverBy(all, func(signal.Message) { delivered++ })(signal.Message{Type: signal.Answer})
	DeliverBy(all, func(signal.Message) { delivered++ })(signal.Message{Type: signal.ICECandidate})
	want := []string{
		"inner sends offer", "outer sends offer", "inner sends candidate", "inner sends leave", "outer sends leave",
		"outer delivers answer", "inner delivers answer", "outer delivers candidate", "inner delivers candidate",
	}
	if !slices.Equal(seen, want) || delivered != 1 {
		t.Errorf("%d were delivered, and seen were\n%s\nwant\n%s", delivered, strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
}

// TestDescription: the wire has all members of an extension.
func TestDescription(t *testing.T) {
	want := peer.SessionDescription{SDP: "v=0", Extension: &peer.Extension{Number: 3, Processed: 2, Browser: true, Rejected: "no", AnswerRejected: "why"}}
	got := Description(signal.Message{SDP: want.SDP, Extension: wireExtension(want.Extension)})
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got.Extension, want.Extension)
	}
	if wireExtension(nil) != nil || Description(signal.Message{}).Extension != nil {
		t.Error("an original client has no extension")
	}
}

// TestCandidateInit: the end of candidates has no candidate on the wire.
func TestCandidateInit(t *testing.T) {
	if c := CandidateInit(nil); !reflect.DeepEqual(c, webrtc.ICECandidateInit{}) {
		t.Errorf("the end is %+v", c)
	}
	index, ufrag := uint16(1), "abcd"
	if c := CandidateInit(&signal.Candidate{Candidate: "candidate:1", SDPMLineIndex: &index, UsernameFragment: &ufrag}); c.Candidate != "candidate:1" || *c.SDPMLineIndex != 1 || *c.UsernameFragment != "abcd" || c.SDPMid != nil {
		t.Errorf("a candidate is %+v", c)
	}
}

// TestRejectBusy: an offer of another caller is answered by a leave, and nothing else is.
func TestRejectBusy(t *testing.T) {
	server := signaltest.Start(t, nil)
	alice, bob := signedIn(t, server, "alice"), signedIn(t, server, "bob")
	bob.RejectBusy(t.Context(), signal.Message{Type: signal.ICECandidate, Peer: "alice"})
	if err := alice.To("bob").Offer(t.Context(), peer.SessionDescription{SDP: "v=0\r\n"}); err != nil {
		t.Fatal(err)
	}
	m, err := bob.Receive(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	bob.RejectBusy(t.Context(), m)
	if err := bob.To("alice").Offer(t.Context(), peer.SessionDescription{SDP: "v=0\r\n"}); err != nil { // shows that there was one leave
		t.Fatal(err)
	}
	for _, want := range []signal.Type{signal.Leave, signal.Offer} {
		if m, err := alice.Receive(soon(t)); err != nil || m.Type != want || m.Peer != "bob" {
			t.Errorf("got %+v, %v; want %s", m, err, want)
		}
	}
}

// TestTakenName: a name that a connected client has is final without --timeout; with it the login
// is repeated until that client has left.
func TestTakenName(t *testing.T) {
	server := signaltest.Start(t, nil)
	o, closeFirst := options(t, server, "bob")
	holder, err := SignIn(soon(t), o)
	if err != nil {
		t.Fatal(err)
	}
	second, closeSecond := options(t, server, "bob")
	if _, err := SignIn(soon(t), second); exit.CodeOf(err) != exit.Login || !strings.Contains(err.Error(), "or wait for it with --timeout") {
		t.Errorf("a name that is taken: %v", err)
	}
	if events := closeSecond(); !strings.Contains(events, `"event":"login","name":"bob","success":false`) {
		t.Errorf("the events are %s", events)
	}
	third, closeThird := options(t, server, "bob")
	third.RetryTaken = true
	waits := make(chan struct{})
	third.Report.Intercept = func(e event.Event) bool {
		if e.Name == event.Warning && strings.Contains(e.Message, "trying again until --timeout") {
			close(waits)
		}
		return false
	}
	tried := make(chan error, 1)
	go func() {
		l, err := SignIn(soon(t), third)
		if err == nil {
			l.Close()
		}
		tried <- err
	}()
	select {
	case <-waits:
		holder.Close()
		err = <-tried
	case err = <-tried:
		t.Error("the login ended while the name was taken")
		holder.Close()
	}
	closeFirst()
	if err != nil {
		t.Errorf("a name that has become free: %v", err)
	}
	if events := closeThird(); !strings.Contains(events, `"event":"login","name":"bob","success":true`) {
		t.Errorf("the events are %s", events)
	}
}

// TestNameStaysTaken: with --timeout, the login is repeated until then, and its error is still that
// the name is taken.
func TestNameStaysTaken(t *testing.T) {
	server := signaltest.Start(t, nil)
	signedIn(t, server, "bob")
	o, closeReport := options(t, server, "bob")
	o.RetryTaken = true
	ctx, cancel := context.WithTimeout(t.Context(), 3*takenPause)
	defer cancel()
	if _, err := SignIn(ctx, o); exit.CodeOf(err) != exit.Login || !isTaken(err) || ctx.Err() == nil {
		t.Errorf("got %v with code %d; is --timeout over: %t", err, exit.CodeOf(err), ctx.Err() != nil)
	}
	if events := closeReport(); strings.Count(events, `"event":"login","name":"bob","success":false`) != 1 {
		t.Errorf("the events are %s", events)
	}
}

// TestServerDoesNotAnswer: the errors distinguish a server that is not there, one that is silent
// within --timeout, and a signal.
func TestServerDoesNotAnswer(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	interrupted, interrupt := context.WithCancelCause(t.Context())
	interrupt(&exit.SignalError{})
	for name, test := range map[string]struct {
		ctx    context.Context
		server string
		code   exit.Code
	}{
		"not there":   {soon(t), "ws://127.0.0.1:1", exit.Signaling},
		"silent":      {short, "ws://" + silent.Addr().String(), exit.Timeout},
		"interrupted": {interrupted, "ws://" + silent.Addr().String(), exit.Interrupted},
	} {
		o, closeReport := options(t, test.server, "bob")
		if _, err := SignIn(test.ctx, o); exit.CodeOf(err) != test.code {
			t.Errorf("%s: %v has code %d, want %d", name, err, exit.CodeOf(err), test.code)
		}
		if events := closeReport(); strings.Contains(events, "connected") {
			t.Errorf("%s: the events are %s", name, events)
		}
	}
}

// TestSessionLost: the calls are notified only if the server is back without them, and the end is
// reported once.
func TestSessionLost(t *testing.T) {
	o, closeReport := options(t, "ws://signal.example", "bob")
	l := &Conn{Options: o}
	var forgotten atomic.Int32
	l.OnSessionLost(func() { forgotten.Add(1) })
	broken := client.State{Lost: true, Err: errors.New("broken")}
	l.changed(broken)
	if !l.IsDisconnected() {
		t.Error("a lost server is not disconnected")
	}
	l.changed(client.State{Resumed: true})
	if l.IsDisconnected() || forgotten.Load() != 0 {
		t.Errorf("after resuming: disconnected %v, %d notifications", l.IsDisconnected(), forgotten.Load())
	}
	l.changed(broken)
	l.changed(client.State{})
	if l.IsDisconnected() || forgotten.Load() != 1 {
		t.Errorf("after a new login: disconnected %v, %d notifications", l.IsDisconnected(), forgotten.Load())
	}
	l.Lost(errors.New("gone"))
	l.Lost(errors.New("gone"))
	events := closeReport()
	if !l.IsDisconnected() || strings.Count(events, `"error":"gone"`) != 1 || strings.Count(events, `"error":"broken"`) != 2 || strings.Count(events, `"resumed":true`) != 1 {
		t.Errorf("the events are %s", events)
	}
}

// listedServers is a transport that hands out ICE servers.
type listedServers struct {
	Transport
	servers []signal.ICEServer
}

func (l listedServers) ICEServers() []signal.ICEServer { return l.servers }

// TestICEServers: what Pion would refuse is left out, and a call through a relay alone needs one.
func TestICEServers(t *testing.T) {
	l := &Conn{transport: listedServers{servers: []signal.ICEServer{
		{URLs: []string{"stun:a.example", "nonsense"}},
		{URLs: []string{"turn:b.example"}},                                       // without a password
		{URLs: []string{"turn:b.example"}, Username: "u"},                        // the same
		{URLs: []string{"http://c.example"}, Username: "u", Credential: "p"},     // another scheme
		{URLs: []string{"stuns:d.example:5349"}, Username: "u", Credential: "p"}, // needs none
	}}}
	l.RelayOnly = true
	var urls []string
	for _, s := range l.HandedOut() {
		urls = append(urls, s.URLs...)
	}
	if want := []string{"stun:a.example", "stuns:d.example:5349"}; !slices.Equal(urls, want) {
		t.Errorf("usable are %q, want %q", urls, want)
	}
	if _, err := l.AllICEServers(); exit.CodeOf(err) != exit.Connection || !strings.Contains(err.Error(), "no TURN server") {
		t.Errorf("relay only without a TURN server: %v", err)
	}
	l.ICEServers = []webrtc.ICEServer{{URLs: []string{"TURNS:own.example"}, Username: "u", Credential: "p"}}
	servers, err := l.AllICEServers()
	if err != nil || len(servers) != 3 || servers[0].URLs[0] != "TURNS:own.example" {
		t.Errorf("with one of --ice-server: %v, %v", servers, err)
	}
	l.RelayOnly, l.ICEServers = false, nil
	if _, err := l.AllICEServers(); err != nil {
		t.Errorf("any path: %v", err)
	}
}
