package chat

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/cmd/parley/internal/chat/tui"
	"parley/cmd/parley/internal/event"
)

// patience bounds the wait for an event.
const patience = 10 * time.Second

// fakeCall is a call that keeps what is said.
type fakeCall struct {
	Call
	peer string
	said chan string
}

func (c *fakeCall) Peer() string             { return c.peer }
func (c *fakeCall) IsCaller() bool           { return true }
func (c *fakeCall) Say(text string)          { c.said <- text }
func (c *fakeCall) Context() context.Context { return context.Background() }

// fakeAnswerer has a call with a peer once begin is called.
type fakeAnswerer struct {
	user   *Chat
	cancel context.CancelCauseFunc
	placed chan string
	ready  chan struct{} // closed once the chat has started

	mu    sync.Mutex // guards calls
	calls map[string]*fakeCall
}

func (a *fakeAnswerer) Run(ctx context.Context) error {
	ctx, a.cancel = context.WithCancelCause(ctx)
	defer a.cancel(nil)
	stop, err := a.user.Start(ctx)
	if err != nil {
		return err
	}
	close(a.ready)
	<-ctx.Done()
	stop()
	return context.Cause(ctx)
}

func (a *fakeAnswerer) Stop(cause error)   { a.cancel(cause) }
func (a *fakeAnswerer) End(err error)      { a.cancel(err) }
func (a *fakeAnswerer) Disconnected() bool { return false }

func (a *fakeAnswerer) Call(_ context.Context, name string, _ time.Duration) (func(), error) {
	a.placed <- name
	return func() { a.user.Failed(name, nil) }, nil
}

func (a *fakeAnswerer) Get(name string) Call {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.calls[name]; c != nil {
		return c
	}
	return nil
}

// begin begins the call with a peer.
func (a *fakeAnswerer) begin(name string) *fakeCall {
	c := &fakeCall{peer: name, said: make(chan string, 10)}
	a.mu.Lock()
	a.calls[name] = c
	a.mu.Unlock()
	a.user.Begun(c)
	return c
}

// start runs a chat that reads lines from in. end waits for its result, and returns what it has
// reported.
func start(t *testing.T, o Options) (a *fakeAnswerer, in io.Writer, end func() (string, error)) {
	t.Helper()
	var out bytes.Buffer
	r, w := io.Pipe()
	o.Reporter = event.NewReporter(event.Options{Out: io.Discard, Err: &out})
	o.Name, o.In = "bob", r
	a = &fakeAnswerer{placed: make(chan string, 10), ready: make(chan struct{}), calls: map[string]*fakeCall{}}
	a.user = New(o, a)
	result := make(chan error, 1)
	go func() { result <- a.user.Run(t.Context()) }()
	<-a.ready
	return a, w, func() (string, error) {
		t.Helper()
		defer w.Close()
		select {
		case err := <-result:
			if err := o.Reporter.Close(); err != nil {
				t.Error(err)
			}
			return out.String(), err
		case <-time.After(patience):
			t.Fatal("the chat does not end")
			return "", nil
		}
	}
}

func receive[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatal("nothing happens")
	}
	return v
}

// What is said while the sources of a call are opened is said once it begins, in order, before what
// is said later.
func TestSaidBeforeACallBegins(t *testing.T) {
	a, in, end := start(t, Options{With: "alice"})
	if got := receive(t, a.placed); got != "alice" {
		t.Errorf("got a call to %s, want alice", got)
	}
	for _, line := range []string{"one", "two"} {
		if _, err := io.WriteString(in, line+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	asked := make(chan bool, 1)
	go func() { // another call is asked about meanwhile
		yes, err := a.user.Accept(t.Context(), "carol")
		asked <- yes && err == nil
	}()
	if _, err := io.WriteString(in, "/help\n"); err != nil {
		t.Fatal(err)
	}
	for accepted := false; !accepted; {
		if _, err := io.WriteString(in, "/accept carol\n/to alice\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case accepted = <-asked:
		default:
		}
	}
	c := a.begin("alice")
	for _, want := range []string{"one", "two"} {
		if got := receive(t, c.said); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if _, err := io.WriteString(in, "three\n"); err != nil {
		t.Fatal(err)
	}
	if got := receive(t, c.said); got != "three" {
		t.Errorf("got %q, want three", got)
	}
	if _, err := io.WriteString(in, "/quit\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := end(); err != nil {
		t.Error(err)
	}
}

// A call that is hung up before it begins is canceled, and a script's chat that has lost a line
// fails.
func TestHangUpBeforeACallBegins(t *testing.T) {
	a, in, end := start(t, Options{})
	if _, err := io.WriteString(in, "/call alice\nlost\n/hangup alice\n/quit\n"); err != nil {
		t.Fatal(err)
	}
	receive(t, a.placed)
	out, err := end()
	if err == nil || !strings.Contains(err.Error(), "not all lines were sent") {
		t.Errorf("got %v, want that not all lines were sent", err)
	}
	if !strings.Contains(out, "alice did not get the last line") {
		t.Errorf("got %q, want that the line is reported", out)
	}
}

// A question ends with its answer, or with its context.
func TestQuestions(t *testing.T) {
	posted := make(chan any, 10)
	q := questions{post: func(item any) { posted <- item }}
	answers := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ask := func(want bool) {
		yes, err := q.ask(ctx, "alice", "really? [y/N] ")
		if err == nil && yes != want {
			err = errors.New("the answer is another one")
		}
		answers <- err
	}
	for _, want := range []bool{true, false} {
		go ask(want)
		asked := receive(t, posted).(tui.Asked)
		if asked.Text != "really?" || asked.Peer != "alice" {
			t.Errorf("got %+v", asked)
		}
		q.answer(asked.ID, want)
		if err := receive(t, answers); err != nil {
			t.Error(err)
		}
	}
	go ask(true)
	asked := receive(t, posted).(tui.Asked)
	cancel()
	if err := receive(t, answers); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if got := receive(t, posted); got != any(tui.Settled{ID: asked.ID}) {
		t.Errorf("got %+v, want that the question is settled", got)
	}
	q.answer(asked.ID, true) // nobody waits for it
}

// Texts of a peer that floods an inbox are dropped and counted, and nothing else is.
func TestInbox(t *testing.T) {
	b := newInbox()
	for range maxInbox + 5 {
		b.post(tui.Said{Peer: "alice"})
	}
	b.post(tui.Said{Peer: "alice", Mine: true})
	b.post(tui.Moved{Peer: "alice"})
	items := b.take()
	if len(items) != maxInbox+3 {
		t.Errorf("got %d items, want %d", len(items), maxInbox+3)
	}
	want := tui.Noted{Text: "5 lines came too fast, and are not shown", Alert: true}
	if !slices.Contains(items, any(want)) {
		t.Errorf("got %+v, want %+v", items[len(items)-1], want)
	}
	if items := b.take(); len(items) != 0 {
		t.Errorf("got %d items of an empty inbox", len(items))
	}
}
