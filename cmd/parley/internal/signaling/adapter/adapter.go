// Package adapter connects calls to other signaling systems by a program. The schema "adapter" of
// package event specifies the messages between the two, the topic adapters explains them.
package adapter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/signaling"
	"parley/cmd/parley/internal/stdio"
	"parley/signal"
)

// Options are the options of an Adapter.
type Options struct {
	Command string // that the shell runs
	Name    string // of this peer
	// Stderr gets the lines that the program writes to standard error, which are not trusted.
	Stderr func(line string)
	// Warn reports what the program does wrong.
	Warn   func(format string, a ...any)
	Logger *slog.Logger
}

const (
	// maxCalls bounds the calls that are open at once.
	maxCalls = 256
	// maxEnded bounds the IDs that are remembered, whose messages may have crossed the end of the
	// call.
	maxEnded = 64
	// maxInvalid is how many lines of a program may be wrong before it is ended.
	maxInvalid = 100
	// warnPause is the time between two warnings.
	warnPause = time.Second
	// maxEndless bounds a line that is skipped, in bytes.
	maxEndless = 256 << 20
	// maxRate bounds how many lines of a program are read in a second.
	maxRate = 1000
)

// Adapter is a running program that carries the messages of calls: a signaling.Transport.
type Adapter struct {
	options Options
	program *program
	in      chan signal.Message
	ready   chan struct{} // closed after the program was ready
	closing context.Context
	close   context.CancelFunc
	done    chan struct{} // closed when err is set
	err     error         // why no more is read
	work    sync.WaitGroup
	stop    sync.Once // the program

	// Of the goroutine of read:
	invalid int // lines
	warned  time.Time

	mu       sync.Mutex // guards the following
	ice      []signal.ICEServer
	trickle  bool
	calls    map[string]*state // by ID
	incoming map[string]string // ID of an offer that no call has taken, by peer
	ended    []string          // IDs, the latest last
}

// state is an open call.
type state struct {
	peer   string
	awaits bool // an offer of ours was sent and not answered
}

// FailedError is the error of a program that ended with a status other than 0.
type FailedError struct{ Status error }

func (e *FailedError) Error() string {
	return fmt.Sprintf("the signaling program failed: %v", e.Status)
}
func (e *FailedError) Unwrap() error { return e.Status }

// EndsCalls reports that calls which are connected end with the program.
func (e *FailedError) EndsCalls() bool { return true }

// Start runs the program and waits until it is ready. The caller closes the adapter.
func Start(ctx context.Context, o Options) (*Adapter, error) {
	p, err := startProgram(o.Command, o.Stderr)
	if err != nil {
		return nil, &exit.Error{Code: exit.Signaling, Err: err}
	}
	a := &Adapter{
		options: o, program: p, in: make(chan signal.Message, 256), ready: make(chan struct{}), done: make(chan struct{}),
		trickle: true, calls: map[string]*state{}, incoming: map[string]string{},
	}
	a.closing, a.close = context.WithCancel(context.Background())
	a.work.Go(a.read)
	line, err := message{Type: typeLogin, Version: Version, Name: o.Name}.line()
	if err == nil {
		err = a.write(ctx, line)
	}
	if err == nil {
		select {
		case <-a.ready:
			return a, nil
		case <-a.done:
			err = a.err
		case <-ctx.Done():
			err = context.Cause(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				err = exit.Errorf(exit.Signaling, "the signaling program did not write {\"type\":\"ready\"} in time; see parley help adapters: %w", err)
			}
		}
	}
	_ = a.Close() // err says more
	return nil, err
}

// write queues a line.
func (a *Adapter) write(ctx context.Context, line []byte) error {
	select {
	case a.program.queue <- line:
		return nil
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return exit.Errorf(exit.Signaling, "the signaling program does not read its standard input: %w", context.Cause(ctx))
	}
}

// read reads what the program writes until it ends, and sets err.
func (a *Adapter) read() {
	defer close(a.done)
	number, window, count := 0, time.Now(), 0
	var broken error
	out := &lineReader{r: a.program.out}
	_ = stdio.EachLine(out, maxLine, func(line []byte, tooLong bool) bool {
		number++
		if count++; count > maxRate {
			if !a.slowDown(time.Until(window.Add(time.Second))) {
				return false
			}
			window, count = time.Now(), 0
		} else if time.Since(window) > time.Second {
			window, count = time.Now(), 1
		}
		broken = a.handle(line, tooLong, number)
		return broken == nil && a.closing.Err() == nil
	})
	if out.length > maxEndless {
		broken = exit.Errorf(exit.Signaling, "the signaling program wrote more than %d bytes without a line end", maxEndless)
	}
	a.err = a.endOf(broken)
}

// lineReader reads until a line is longer than maxEndless.
type lineReader struct {
	r      io.Reader
	length int // of the current line so far
}

// Read implements io.Reader.
func (l *lineReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if end := bytes.LastIndexByte(p[:n], '\n'); end >= 0 {
		l.length = n - end - 1
	} else {
		l.length += n
	}
	if l.length > maxEndless && err == nil {
		err = io.EOF
	}
	return n, err
}

// slowDown waits, because lines come too fast. It reports whether to go on.
func (a *Adapter) slowDown(pause time.Duration) bool {
	if pause <= 0 {
		return true
	}
	a.warn("writes more than %d lines a second; the others are read later", maxRate)
	select {
	case <-time.After(pause):
		return true
	case <-a.closing.Done():
		return false
	}
}

// warn reports what the program does wrong, at most once in warnPause.
func (a *Adapter) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.options.Logger.Debug("the signaling program is wrong", "reason", text)
	if time.Since(a.warned) >= warnPause {
		a.warned = time.Now()
		a.options.Warn("the signaling program %s", sanitize.Text(text))
	}
}

// endOf returns why the program carries no more messages: what it wrote, or how it ended.
func (a *Adapter) endOf(broken error) error {
	if broken != nil {
		return broken
	}
	if a.closing.Err() != nil {
		return exit.Errorf(exit.Signaling, "the signaling program is closed")
	}
	select {
	case <-a.program.exited:
	case <-time.After(2 * grace):
		return exit.Errorf(exit.Signaling, "the signaling program has closed its standard output and runs on")
	}
	if failed := a.program.err(); failed != nil {
		return &exit.Error{Code: exit.Signaling, Err: &FailedError{failed}}
	}
	return exit.Errorf(exit.Signaling, "the signaling program ended")
}

// handle handles a line of the program. An error ends it.
func (a *Adapter) handle(line []byte, tooLong bool, number int) error {
	if tooLong {
		return a.reject("", number, fmt.Errorf("longer than %d bytes", maxLine))
	}
	if len(trimLine(line)) == 0 {
		return nil
	}
	m, err := decode(line)
	if err != nil {
		return a.reject(m.Call, number, err)
	}
	select {
	case <-a.ready:
	default:
		return a.handleFirst(m, number)
	}
	switch {
	case m.Type == typeReady:
		a.setReady(m)
		return nil
	case m.Type == typeError && m.Call == "":
		a.options.Warn("the signaling program says: %s", sanitize.Text(signal.Printable(m.Text)))
		return nil
	}
	r, err := a.receive(m)
	if err != nil {
		return a.reject(m.Call, number, err)
	}
	if r != nil {
		select {
		case a.in <- *r:
		case <-a.closing.Done():
		}
	}
	return nil
}

// handleFirst handles a message of a program that is not ready.
func (a *Adapter) handleFirst(m message, number int) error {
	switch m.Type {
	case typeReady:
		a.setReady(m)
		close(a.ready)
		return nil
	case typeError:
		code := exit.Signaling
		if m.Code == codeUnauthorized {
			code = exit.Login
		}
		return exit.Errorf(code, "the signaling program refused the login as %s: %s", sanitize.Text(a.options.Name), sanitize.Text(signal.Printable(m.Text)))
	}
	return a.reject("", number, fmt.Errorf("got %s before ready", m.Type))
}

func (a *Adapter) setReady(m message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ice = m.ICEServers
	if m.Trickle != nil {
		a.trickle = *m.Trickle
	}
}

// reject reports a line that is wrong to the user and to the program. The error ends a program that
// was never ready, or has written too many of them.
func (a *Adapter) reject(call string, number int, why error) error {
	a.invalid++
	text := fmt.Sprintf("wrote an invalid line %d: %v", number, why)
	select {
	case <-a.ready:
	default:
		return exit.Errorf(exit.Signaling, "the signaling program %s; see parley help adapters", sanitize.Text(text))
	}
	if a.invalid >= maxInvalid {
		return exit.Errorf(exit.Signaling, "the signaling program wrote %d invalid lines; the last, line %d: %s", maxInvalid, number, sanitize.Text(why.Error()))
	}
	a.warn("%s", text)
	if checkID(call) != nil {
		call = ""
	}
	if line, err := (message{Type: typeError, Call: call, Code: "invalid", Text: signal.Printable(text)}).line(); err == nil {
		select {
		case a.program.queue <- line:
		default: // it does not read
		}
	}
	return nil
}

// receive returns what a call gets by a message, nil for nothing.
func (a *Adapter) receive(m message) (*signal.Message, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.calls[m.Call]
	switch {
	case s == nil && slices.Contains(a.ended, m.Call) && m.Type != typeOffer:
		return nil, nil // it crossed the end of the call
	case s == nil && slices.Contains(a.ended, m.Call):
		return nil, fmt.Errorf("call %s has ended; want a new ID", m.Call)
	case s == nil && m.Type != typeOffer:
		return nil, fmt.Errorf("there is no call %s to %s", m.Call, map[bool]string{true: "answer", false: "change"}[m.Type == typeAnswer])
	case s == nil && len(a.calls) >= maxCalls:
		return nil, fmt.Errorf("there are %d calls already", maxCalls)
	case s == nil:
		if old := a.incoming[m.Peer]; old != "" {
			a.remove(old)
		}
		s = &state{peer: m.Peer}
		a.calls[m.Call], a.incoming[m.Peer] = s, m.Call
	case m.Type == typeOffer && m.Peer != s.peer:
		return nil, fmt.Errorf("call %s is with %s", m.Call, signal.Printable(s.peer))
	}
	if crossed := a.incoming[s.peer]; crossed != "" && crossed != m.Call && (m.Type == typeOffer || m.Type == typeAnswer) {
		a.remove(crossed) // the peer goes on with our call
	}
	switch m.Type {
	case typeAnswer:
		if !s.awaits {
			return nil, fmt.Errorf("call %s has no offer to answer", m.Call)
		}
		s.awaits = false
	case typeLeave:
		a.remove(m.Call)
	case typeError:
		if m.Code == codeDeclined {
			a.remove(m.Call)
			m.Type = typeLeave
		}
	}
	r := m.received(s.peer)
	return &r, nil
}

// remove removes an open call. The caller holds mu.
func (a *Adapter) remove(id string) {
	s := a.calls[id]
	if s == nil {
		return
	}
	delete(a.calls, id)
	if a.incoming[s.peer] == id {
		delete(a.incoming, s.peer)
	}
	a.ended = append(a.ended[max(0, len(a.ended)+1-maxEnded):], id)
}

// Receive implements signaling.Transport.
func (a *Adapter) Receive(ctx context.Context) (signal.Message, error) {
	select {
	case m := <-a.in:
		return m, nil
	default:
	}
	select {
	case m := <-a.in:
		return m, nil
	case <-a.done:
		return signal.Message{}, a.err
	case <-ctx.Done():
		return signal.Message{}, context.Cause(ctx)
	}
}

// ICEServers implements signaling.Transport.
func (a *Adapter) ICEServers() []signal.ICEServer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.ice)
}

// Close ends the calls and the program, and waits for it.
func (a *Adapter) Close() error {
	a.mu.Lock()
	open := make([]*call, 0, len(a.calls))
	for id, s := range a.calls {
		open = append(open, &call{adapter: a, peer: s.peer, id: id})
	}
	a.mu.Unlock()
	for _, c := range open {
		c.End()
	}
	a.close()
	a.stop.Do(a.program.stop)
	a.work.Wait()
	return nil
}

// To implements signaling.Transport.
func (a *Adapter) To(peer string) signaling.CallTransport {
	c := &call{adapter: a, peer: peer}
	c.gatherer.Send = func(m signal.Message) { c.queue(m) }
	return c
}
