package manual

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/cmd/parley/internal/exit"
	"parley/signal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// person is who pastes lines.
type person struct {
	*Exchange
	paste *io.PipeWriter
	shown chan string

	mu       sync.Mutex // guards warnings
	warnings []string
}

func (p *person) warned() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.warnings...)
}

func newPerson(t *testing.T, caller, interactive bool) *person {
	t.Helper()
	in, paste := io.Pipe()
	p := &person{paste: paste, shown: make(chan string, 1)}
	p.Exchange = New(Options{
		Name: "alice", Caller: caller, In: in, CloseIn: func() { _ = in.Close() }, Interactive: interactive,
		Show: func(_ Line, text string) { p.shown <- text },
		Ask:  func(signal.Type) {},
		Warn: func(format string, a ...any) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.warnings = append(p.warnings, fmt.Sprintf(format, a...))
		},
	})
	t.Cleanup(func() { _ = p.Close() })
	return p
}

const sdp = "v=0\r\nm=application 9 x 0\r\na=ice-ufrag:a\r\n"

// describe sends a description with a candidate, and returns the line.
func (p *person) describe(t *testing.T, typ signal.Type) string {
	t.Helper()
	c := p.To("bob")
	for _, m := range []signal.Message{{Type: typ, SDP: sdp}, {Type: signal.ICECandidate, Candidate: &signal.Candidate{Candidate: "candidate:1"}}} {
		if err := c.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	c.GatheringComplete()
	if err := c.Send(t.Context(), signal.Message{Type: signal.Offer, SDP: sdp}); err == nil {
		t.Error("a second offer was sent")
	}
	return <-p.shown
}

func (p *person) receive(t *testing.T) (signal.Message, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return p.Receive(ctx)
}

// TestExchange exchanges an offer and an answer, wrapped.
func TestExchange(t *testing.T) {
	caller, callee := newPerson(t, true, false), newPerson(t, false, false)
	line := caller.describe(t, signal.Offer)
	fmt.Fprintf(callee.paste, "here: %s\n\n%s\n", line[:60], line[60:])
	offer, err := callee.receive(t)
	if err != nil || offer.Type != signal.Offer || offer.Peer != "alice" || offer.SDP != sdp+"a=candidate:1\r\na=end-of-candidates\r\n" {
		t.Fatalf("got %v, %v", offer, err)
	}
	fmt.Fprintln(caller.paste, callee.describe(t, signal.Answer))
	if answer, err := caller.receive(t); err != nil || answer.Type != signal.Answer || answer.SDP != offer.SDP {
		t.Fatalf("got %v, %v", answer, err)
	}
}

// TestWrongPaste pastes wrong lines in a terminal, where each is reported once and the right one is
// taken after it, and into a pipe, where it ends the exchange.
func TestWrongPaste(t *testing.T) {
	other := text(t, Line{Type: signal.Answer, ID: "other", SDP: "v=0"})
	for name, test := range map[string]struct {
		paste, want string
		code        exit.Code
	}{
		"junk":              {"hello", "no line of parley", exit.Negotiation},
		"truncated":         {other[:60], "incomplete: got 60 of", exit.Negotiation},
		"damaged":           {other[:40] + "A" + other[41:], "damaged", exit.Negotiation},
		"own offer":         {"", "your own offer", exit.Negotiation},
		"another's offer":   {text(t, offer), "got an offer, want an answer", exit.Negotiation},
		"another's answer":  {other, "answer to another offer", exit.Negotiation},
		"10 MiB":            {strings.Repeat(strings.Repeat("x", 1000)+"\n", 10<<10), "longer than", exit.Negotiation},
		"10 MiB in a line":  {strings.Repeat("y", 10<<20), "longer than", exit.Negotiation},
		"another's version": {strings.Replace(other, "-1.", "-9.", 1), "version 9", exit.Negotiation},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t, true, true)
			line := p.describe(t, signal.Offer)
			if test.paste == "" {
				test.paste = line
			}
			fmt.Fprintln(p.paste, test.paste)
			for deadline := time.Now().Add(20 * time.Second); len(p.warned()) == 0 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			}
			if all := p.warned(); len(all) != 1 || !strings.Contains(all[0], test.want) {
				t.Errorf("got the warnings %q, want one with %q", all, test.want)
			}
			fmt.Fprintln(p.paste, text(t, Line{Type: signal.Answer, ID: p.id, SDP: "v=0"}))
			if m, err := p.receive(t); err != nil || m.SDP != "v=0" {
				t.Errorf("after a wrong line: got %v, %v", m, err)
			}

			piped := newPerson(t, true, false)
			if line := piped.describe(t, signal.Offer); name == "own offer" {
				test.paste = line
			}
			go func() {
				fmt.Fprintln(piped.paste, test.paste)
				_ = piped.paste.Close()
			}()
			if _, err := piped.receive(t); err == nil || !strings.Contains(err.Error(), test.want) || exit.CodeOf(err) != test.code {
				t.Errorf("got error %v with code %d, want %q", err, exit.CodeOf(err), test.want)
			}
		})
	}
}

// TestEndOfInput ends the input before a line.
func TestEndOfInput(t *testing.T) {
	p := newPerson(t, false, false)
	_ = p.paste.Close()
	if _, err := p.receive(t); err == nil || !strings.Contains(err.Error(), "ended before the line with the offer") || exit.CodeOf(err) != exit.Signaling {
		t.Errorf("got error %v with code %d", err, exit.CodeOf(err))
	}
}
