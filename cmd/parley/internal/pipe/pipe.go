// Package pipe connects the data channels of a call to stdin and stdout, programs and TCP.
package pipe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/peer/datachannel"
)

// Call is a call whose data channels are connected.
type Call interface {
	// Peer returns the name of the peer.
	Peer() string
	// PeerIsParley reports whether the peer is this program.
	PeerIsParley() bool
	// Context returns a context that ends with the call.
	Context() context.Context
	// Aborted returns a channel that is closed when a signal ends the call.
	Aborted() <-chan struct{}
	// Go runs a function on a goroutine that the call waits for.
	Go(func())
	OpenChannel(context.Context, datachannel.Options) (*datachannel.Channel, error)
	Hangup()
	// Fail hangs up because of an error of this peer.
	Fail(error)
	Emit(event.Event)
	Reporter() *event.Reporter
	Logger() *slog.Logger
}

// Options configure a Pipe.
type Options struct {
	Streams   stdio.Streams
	Exec      string              // command line of a program in place of stdin and stdout
	Text      bool                // a line is a message
	ExitOnEOF bool                // hang up when the input has ended and arrived
	Linger    time.Duration       // wait before that
	Channel   datachannel.Options // default label: pipe
}

// Pipe carries bytes between a call and stdin and stdout, or a program, as a channel application.
type Pipe struct {
	Options
	call    Call
	started chan struct{}

	mu    sync.Mutex // guards the following
	begun bool
	err   error
}

// New returns a pipe for a call.
func New(c Call, o Options) *Pipe {
	return &Pipe{Options: o, call: c, started: make(chan struct{})}
}

// Channels returns the channel that a caller opens.
func (p *Pipe) Channels() []datachannel.Options {
	o := p.Channel
	if o.Label == "" {
		o.Label = "pipe"
	}
	if o.Protocol == "" && !p.Text {
		o.Protocol = datachannel.StreamProtocol
	}
	o.Detached = true
	return []datachannel.Options{o}
}

// othersGrace is how long a page has to open a channel of its own, once ours is
// open: the original text page reads no other.
const othersGrace = 250 * time.Millisecond

// Opened takes the first channel that the peer reads.
func (p *Pipe) Opened(ch *datachannel.Channel) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.begun:
	case ch.OpenedByPeer():
		if want := p.Channel.Label; want == "" || want == ch.Label() {
			ch.Detach()
			p.begin(ch)
		}
	case p.call.PeerIsParley() || p.Channel.Negotiated:
		p.begin(ch)
	default:
		p.call.Go(func() { p.beginLater(ch) })
	}
}

// begin runs the pipe on a channel. The caller holds mu.
func (p *Pipe) begin(ch *datachannel.Channel) {
	p.begun = true
	close(p.started)
	p.call.Go(func() { p.pipeChannel(ch) })
}

// beginLater runs the pipe on our channel, unless the peer opens one.
func (p *Pipe) beginLater(ch *datachannel.Channel) {
	select {
	case <-time.After(othersGrace):
	case <-p.started:
		return
	case <-p.call.Context().Done():
		return
	}
	p.mu.Lock()
	if p.begun {
		p.mu.Unlock()
		return
	}
	p.begun = true
	close(p.started)
	p.mu.Unlock()
	p.pipeChannel(ch)
}

// pipeChannel runs the pipe and hangs up.
func (p *Pipe) pipeChannel(ch *datachannel.Channel) {
	err := p.run(ch)
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	p.call.Hangup()
}

// Ready returns a channel that is closed once there is a data channel.
func (p *Pipe) Ready() <-chan struct{} { return p.started }

// Result returns how the pipe ended, after the call.
func (p *Pipe) Result() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		return exit.Errorf(exit.Failure, "%s hung up before a data channel was open; does it take any", sanitize.Text(p.call.Peer()))
	}
	return p.err
}

// run moves the bytes until both directions have ended.
func (p *Pipe) run(ch *datachannel.Channel) error {
	e, err := p.ends()
	if err != nil {
		return err
	}
	f := &flow{Pipe: p, ends: e, sent: make(chan error, 1), got: make(chan error, 1)}
	stop := e.stop
	e.stop = sync.OnceFunc(func() {
		f.stopped.Store(true)
		stop()
	})
	defer f.stop()
	defer context.AfterFunc(p.call.Context(), f.stop)()
	if f.stream, err = datachannel.NewStream(p.call.Context(), ch); err != nil {
		_ = e.done(true, p.call.Aborted())
		return p.explain(err)
	}
	err = p.explain(f.run())
	return errors.Join(err, e.done(err != nil, p.call.Aborted()))
}

func (p *Pipe) ends() (*ends, error) {
	if p.Exec != "" {
		return program(p.Exec, p.call.Peer(), p.Streams.Err)
	}
	if !p.Text {
		enlargePipes(p.Streams.In, p.Streams.Out)
	}
	return standard(p.Streams)
}

// explain says what an error of the stream means here.
func (p *Pipe) explain(err error) error {
	name := sanitize.Text(p.call.Peer())
	var out *outError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &out):
		return exit.Errorf(exit.Device, "failed to write to stdout: %w", out.err)
	case errors.As(err, new(*os.PathError)):
		return &exit.Error{Code: exit.Device, Err: err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return exit.Errorf(exit.Failure, "%s hung up, or closed the channel, before the end of its data", name)
	case errors.Is(err, datachannel.ErrClosed):
		return exit.Errorf(exit.Failure, "%s hung up, or closed the channel, before everything was sent", name)
	}
	return err
}

// flow is the two directions of a pipe.
type flow struct {
	*Pipe
	*ends
	stream    *datachannel.Stream
	stopped   atomic.Bool // stop was called
	ending    atomic.Bool // all was sent, and the end is being sent
	endSent   atomic.Bool // the end is sent
	sent, got chan error  // room for one each
}

func (f *flow) run() error {
	go func() { f.sent <- f.send() }()
	go func() { f.got <- f.receive() }()
	sent, got := f.sent, f.got
	var enough <-chan time.Time // --exit-on-eof
	left := make(chan struct{}) // closed when the peer has closed the channel
	for sent != nil || got != nil {
		gone := left
		if f.ending.Load() {
			gone = nil // it has read our end, or is about to
		}
		select {
		case err := <-sent:
			if sent = nil; err != nil {
				return f.sendFailed(err, got)
			}
			enough = f.lingering()
		case err := <-got:
			if got = nil; err != nil {
				return err
			}
			go func() {
				defer close(left)
				_ = f.stream.Drain()
			}()
		case <-gone:
			if f.ending.Load() {
				continue
			}
			f.stop()
			if f.stream.Channel().Sent() > 0 { // who knows how much of it was read
				return datachannel.ErrClosed
			}
			return nil
		case <-enough:
			return f.finishEarly(got, left)
		case <-f.call.Aborted():
			return nil
		}
	}
	if err := f.stream.Close(); err != nil {
		f.call.Logger().Debug("data channel not closed", "error", err)
	}
	select {
	case <-left:
	case <-f.call.Aborted():
	}
	return nil
}

// lingering is the time that --exit-on-eof has left.
func (f *flow) lingering() <-chan time.Time {
	if !f.ExitOnEOF {
		return nil
	}
	return time.After(f.Linger)
}

// sendFailed ends a pipe whose sending failed. If the peer has sent everything and hung up, that is
// still written. A peer that closes the channel after its own end reads first what was sent to it,
// so the acknowledgement that --exit-on-eof waits for is not needed then.
func (f *flow) sendFailed(err error, got chan error) error {
	if !errors.Is(err, datachannel.ErrClosed) {
		return err
	}
	if got != nil {
		if gotErr := f.wait(got); gotErr != nil {
			return gotErr
		}
	}
	if f.endSent.Load() {
		return nil
	}
	return err
}

// finishEarly ends a pipe whose input has ended and has arrived at the peer. left is closed when
// the peer has closed the channel, if got is nil.
func (f *flow) finishEarly(got chan error, left <-chan struct{}) error {
	f.stop()
	// The peer reads what was sent, and closes the channel then.
	if err := f.stream.Close(); err != nil {
		f.call.Logger().Debug("data channel not closed", "error", err)
	}
	if got == nil {
		select {
		case <-left:
		case <-f.call.Aborted():
		}
		return nil
	}
	if err := f.wait(got); !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return nil
}

// wait waits for a goroutine, unless a signal ends the call: then it may be
// stuck in a stdout that nobody reads.
func (f *flow) wait(done chan error) error {
	select {
	case err := <-done:
		return err
	case <-f.call.Aborted():
		return nil
	}
}

func (f *flow) send() error {
	var err error
	if f.Text {
		err = f.sendLines()
	} else {
		_, err = f.stream.ReadFrom(f.in)
	}
	if f.stopped.Load() {
		return errStopped
	}
	if err != nil {
		return err
	}
	f.ending.Store(true)
	if err := f.stream.CloseWrite(); err != nil || !f.ExitOnEOF {
		return err
	}
	f.endSent.Store(true)
	return f.stream.Channel().Flush(f.call.Context())
}

// errStopped is the reason of a direction that was ended from here, and may not
// be complete.
var errStopped = errors.New("stopped")

// sendLines sends each line as a text message.
func (f *flow) sendLines() error {
	lines := bufio.NewScanner(f.in)
	lines.Buffer(make([]byte, 0, 64<<10), f.stream.Channel().MaxMessage()+1)
	for lines.Scan() {
		if err := f.stream.Channel().Write(f.call.Context(), bytes.ToValidUTF8(lines.Bytes(), []byte("\ufffd")), true); err != nil {
			return err
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return exit.Errorf(exit.Failure, "a line is longer than the %d bytes that %s takes in a message; without --text any length is possible",
			f.stream.Channel().MaxMessage(), sanitize.Text(f.call.Peer()))
	}
	return lines.Err()
}

func (f *flow) receive() error {
	var err error
	if f.Text {
		err = f.receiveLines()
	} else {
		_, err = f.stream.WriteTo(f.out)
	}
	if err != nil {
		return err
	}
	return f.full()
}

// receiveLines writes each text message as a line.
func (f *flow) receiveLines() error {
	for {
		data, text, err := f.stream.Channel().Receive(f.call.Context())
		switch {
		case err == io.EOF || err == nil && len(data) == 0 && !text:
			return nil
		case err != nil:
			return err
		case text:
			data = append(data, '\n')
		}
		if _, err := f.out.Write(data); err != nil {
			return err
		}
	}
}
