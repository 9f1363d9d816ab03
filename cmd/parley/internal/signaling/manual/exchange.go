// Package manual exchanges the offer and the answer of one call as lines that people copy and
// paste.
package manual

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/signaling"
	"parley/signal"
)

// Options are the options of an Exchange.
type Options struct {
	Name   string // of this peer
	Caller bool
	// In is read until the line of the peer is complete. Its reads end when the exchange is closed,
	// see CloseIn.
	In      io.Reader
	CloseIn func()
	// Interactive has a wrong line asked for again, as of a person at a terminal. Otherwise it ends
	// the exchange.
	Interactive bool
	Show        func(Line, string)            // shows a line of ours with its text
	Ask         func(want signal.Type)        // asks for the line of the peer
	Warn        func(format string, a ...any) // reports a wrong line
}

// pause is how long after its latest text an incomplete line of a terminal is reported.
const pause = time.Second

// Exchange is the signaling of one call: a signaling.Transport.
type Exchange struct {
	options  Options
	id       string // of the offer; set before the line of the peer is read or our answer made
	gatherer signaling.Gatherer
	sent     bool          // our line; used by the goroutine of the call
	asked    chan struct{} // closed when the line of the peer is to be read
	line     chan signal.Message
	failed   chan error
	closing  context.Context
	cancel   context.CancelFunc
	work     sync.WaitGroup
}

// New returns an exchange. The caller closes it.
func New(o Options) *Exchange {
	e := &Exchange{options: o, asked: make(chan struct{}), line: make(chan signal.Message, 1), failed: make(chan error, 2)}
	e.closing, e.cancel = context.WithCancel(context.Background())
	e.gatherer.Send = e.show
	if o.Caller {
		e.id = rand.Text()[:12]
	} else {
		close(e.asked)
	}
	e.work.Go(func() {
		select {
		case <-e.asked:
			e.read()
		case <-e.closing.Done():
		}
	})
	return e
}

// show shows the line of ours.
func (e *Exchange) show(m signal.Message) {
	l := Line{Type: m.Type, ID: e.id, Name: e.options.Name, SDP: m.SDP}
	text, err := l.String()
	if err != nil {
		e.failed <- exit.Errorf(exit.Negotiation, "--manual: %w", err)
		return
	}
	e.options.Show(l, text)
	if e.options.Caller {
		close(e.asked)
	}
}

// wanted is the type of the line of the peer.
func (e *Exchange) wanted() signal.Type {
	if e.options.Caller {
		return signal.Answer
	}
	return signal.Offer
}

// read reads until there is the line of the peer.
func (e *Exchange) read() {
	e.options.Ask(e.wanted())
	texts := make(chan string)
	e.work.Go(func() {
		defer close(texts)
		in := bufio.NewReaderSize(e.options.In, MaxLine)
		for {
			text, err := in.ReadSlice('\n') // a part of a line that is longer
			if len(text) > 0 {
				select {
				case texts <- string(text):
				case <-e.closing.Done():
					return
				}
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	})
	l, err := e.collect(texts)
	if err != nil {
		e.failed <- err
		return
	}
	e.id = l.ID
	e.line <- signal.Message{Type: l.Type, Peer: peerName(l, e.options.Caller), SDP: l.SDP}
}

// peerName returns the name of the caller in an offer. An answer is of the peer that was called.
func peerName(l Line, caller bool) string {
	switch {
	case caller:
		return ""
	case l.Name == "":
		return "peer"
	}
	return l.Name
}

// collect returns the line that some texts make.
func (e *Exchange) collect(texts <-chan string) (Line, error) {
	var text string
	var wrong error // of the latest text; nil if there is none
	tooLong := false
	waiting := time.NewTimer(time.Hour)
	defer waiting.Stop()
	for {
		select {
		case <-e.closing.Done():
			return Line{}, e.closing.Err()
		case <-waiting.C:
			if wrong != nil {
				e.options.Warn("%v", wrong)
			}
			continue
		case more, ok := <-texts:
			switch {
			case !ok && wrong == nil:
				return Line{}, exit.Errorf(exit.Signaling, "standard input ended before the line with the %s of the peer", e.wanted())
			case !ok:
				return Line{}, exit.Errorf(exit.Negotiation, "--manual: %w", wrong)
			case strings.TrimSpace(more) == "", tooLong && text == "" && !strings.Contains(more, "parley-"):
				continue
			}
			text += more
		}
		l, err := e.parse(text)
		var incomplete *IncompleteError
		switch {
		case err == nil:
			return l, nil
		case len(text) > MaxLine:
			err, text = fmt.Errorf("the text is longer than %d characters, and has no line of parley", MaxLine), ""
			if !e.options.Interactive {
				return Line{}, exit.Errorf(exit.Negotiation, "--manual: %w", err)
			}
			if !tooLong {
				e.options.Warn("%v", err)
			}
			wrong, tooLong = err, true
		case errors.As(err, &incomplete), errors.Is(err, errNoLine):
			wrong = err // the rest may come
			if e.options.Interactive {
				waiting.Reset(pause)
			}
		case e.options.Interactive:
			e.options.Warn("%v", err)
			text, wrong = "", err
			waiting.Stop()
		default:
			return Line{}, exit.Errorf(exit.Negotiation, "--manual: %w", err)
		}
	}
}

// parse returns the line in a text if it is the one of the peer.
func (e *Exchange) parse(text string) (Line, error) {
	l, err := Parse(text)
	switch {
	case err != nil:
		return l, err
	case l.ID == e.id && l.Type == signal.Offer:
		return l, errors.New("this is your own offer; send it to the peer, and paste the answer that it makes")
	case l.Type != e.wanted():
		return l, fmt.Errorf("got an %s, want an %s; %s", l.Type, e.wanted(),
			map[signal.Type]string{signal.Offer: "one peer has to call and one to answer", signal.Answer: "paste the line of the caller"}[l.Type])
	case l.Type == signal.Answer && l.ID != e.id:
		return l, errors.New("this is the answer to another offer; send the peer the line above, and paste its answer")
	}
	return l, nil
}

// Receive implements signaling.Transport. After the line of the peer nothing comes.
func (e *Exchange) Receive(ctx context.Context) (signal.Message, error) {
	select {
	case m := <-e.line:
		return m, nil
	case err := <-e.failed:
		return signal.Message{}, err
	case <-ctx.Done():
		return signal.Message{}, context.Cause(ctx)
	}
}

// ICEServers implements signaling.Transport.
func (e *Exchange) ICEServers() []signal.ICEServer { return nil }

// Close implements signaling.Transport.
func (e *Exchange) Close() error {
	e.cancel()
	e.options.CloseIn()
	e.work.Wait()
	return nil
}

// To implements signaling.Transport.
func (e *Exchange) To(string) signaling.CallTransport { return call{e} }

// call is the only call of an exchange.
type call struct{ *Exchange }

// Send implements signaling.CallTransport. A leave goes by the connection of the call alone.
func (c call) Send(_ context.Context, m signal.Message) error {
	switch m.Type {
	case signal.Leave:
		return nil
	case signal.Offer, signal.Answer:
		if c.sent {
			return errors.New("a call with --manual has one offer and one answer")
		}
		c.sent = true
	}
	if !c.gatherer.Add(m) { // as a description without ICE
		c.show(m)
	}
	return nil
}

// GatheringComplete implements signaling.CallTransport.
func (c call) GatheringComplete() { c.gatherer.Complete() }

// End implements signaling.CallTransport.
func (c call) End() { c.gatherer.Stop() }
