package pipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer/datachannel"
)

// forwardProtocol is the channel that a call is made with for forwarding; the
// connections have channels of their own, see datachannel.Conn.
const forwardProtocol = "parley.forward"

const (
	// maxForwarded is how many connections a peer may have at a time.
	maxForwarded = 1024
	// maxOpening is how many channels are opened at a time, see datachannel.Conn.Accepted.
	maxOpening = 8
	// connectTimeout bounds reaching a target.
	connectTimeout = 10 * time.Second
)

// Listen is one value of --listen.
type Listen struct {
	Address string
	Target  string // "" for the peer's first
}

// ParseListen parses values of --listen, tcp:[HOST:]PORT[,tcp:HOST:PORT].
func ParseListen(values []string) ([]Listen, error) {
	var all []Listen
	for _, v := range values {
		at, target, chosen := strings.Cut(v, ",")
		address, ok := strings.CutPrefix(at, "tcp:")
		if !strings.Contains(address, ":") {
			address = "localhost:" + address
		}
		if !ok || checkAddress(address, true) != nil {
			return nil, exit.Usagef("invalid --listen %q: want tcp:PORT or tcp:HOST:PORT, such as tcp:8080", sanitize.Text(v))
		}
		l := Listen{Address: address}
		if chosen {
			targets, err := ParseTargets([]string{target})
			if err != nil {
				return nil, exit.Usagef("invalid --listen %q: want the target tcp:HOST:PORT that --connect of the peer names", sanitize.Text(v))
			}
			l.Target = targets[0]
		}
		all = append(all, l)
	}
	return all, nil
}

// ParseTargets parses values of --connect, tcp:HOST:PORT.
func ParseTargets(values []string) ([]string, error) {
	var all []string
	for _, v := range values {
		address, ok := strings.CutPrefix(v, "tcp:")
		if !ok || checkAddress(address, false) != nil {
			return nil, exit.Usagef("invalid --connect %q: want tcp:HOST:PORT, such as tcp:localhost:80", sanitize.Text(v))
		}
		all = append(all, address)
	}
	return all, nil
}

func checkAddress(address string, listen bool) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	if !listen && (host == "" || n == 0) {
		return errors.New("a target has a host and a port")
	}
	return nil
}

// Entry accepts connections for a target of the peer.
type Entry struct {
	net.Listener
	Target string
}

// Forwarder carries TCP connections over a call, as a channel application.
type Forwarder struct {
	call    Call
	entries []Entry
	targets []string
	up      chan struct{}
	once    sync.Once
	opening chan struct{} // holds a token for each channel that is being opened

	mu   sync.Mutex // guards the following
	open int        // connections for the peer
}

// NewForwarder returns a forwarder of the connections of entries to the peer, and of those that the
// peer requests to targets. It closes the entries with the call.
func NewForwarder(c Call, entries []Entry, targets []string) *Forwarder {
	return &Forwarder{call: c, entries: entries, targets: targets, up: make(chan struct{}), opening: make(chan struct{}, maxOpening)}
}

// Channels returns the channel that a caller opens.
func (f *Forwarder) Channels() []datachannel.Options {
	return []datachannel.Options{{Label: "forward", Protocol: forwardProtocol, Detached: true}}
}

// Ready returns a channel that is closed once connections are forwarded.
func (f *Forwarder) Ready() <-chan struct{} { return f.up }

// Result returns an error if no data channel was open in the call.
func (f *Forwarder) Result() error {
	select {
	case <-f.up:
		return nil
	default:
		return exit.Errorf(exit.Failure, "%s hung up before a data channel was open; does it take any", sanitize.Text(f.call.Peer()))
	}
}

// Opened takes the channels of forwarding.
func (f *Forwarder) Opened(ch *datachannel.Channel) {
	switch ch.Protocol() {
	case forwardProtocol:
		if ch.OpenedByPeer() {
			ch.Detach()
		}
		f.once.Do(func() {
			close(f.up)
			for _, e := range f.entries {
				f.call.Go(func() { f.accept(e) })
			}
		})
	case datachannel.ConnProtocol:
		if ch.OpenedByPeer() {
			ch.Detach()
			f.call.Go(func() { f.connect(ch) })
		}
	}
}

// accept takes connections until the call is over.
func (f *Forwarder) accept(e Entry) {
	ctx := f.call.Context()
	defer context.AfterFunc(ctx, func() { _ = e.Close() })()
	f.call.Emit(event.Event{Name: "forward", Peer: f.call.Peer(), Fields: event.Fields("listen", e.Addr().String(), "target", e.Target),
		Message: fmt.Sprintf("connections to %s go to %s", e.Addr(), sanitize.Text(f.call.Peer()))})
	for {
		tcp, err := e.Accept()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.call.Fail(exit.Errorf(exit.Failure, "failed to accept connections on %s: %w", e.Addr(), err))
			return
		}
		f.call.Go(func() { f.send(tcp, e.Target) })
	}
}

// send forwards a connection to the peer.
func (f *Forwarder) send(tcp net.Conn, target string) {
	defer tcp.Close()
	ctx := f.call.Context()
	conn, err := f.dial(ctx, target)
	if err != nil {
		if ctx.Err() == nil {
			f.call.Reporter().Warnf("a connection from %s was not forwarded: %v", tcp.RemoteAddr(), err)
		}
		return
	}
	err = join(ctx, tcp, conn)
	var refused *datachannel.RefusedError
	if errors.As(err, &refused) {
		f.call.Reporter().Warnf("%s did not connect us: %s", sanitize.Text(f.call.Peer()), sanitize.Text(refused.Reason))
	} else if err != nil && ctx.Err() == nil {
		f.call.Logger().Debug("a forwarded connection broke", "from", tcp.RemoteAddr(), "error", err)
	}
}

// dial opens a channel for a connection, not too many at a time.
func (f *Forwarder) dial(ctx context.Context, target string) (*datachannel.Conn, error) {
	select {
	case f.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-f.opening }()
	ch, err := f.call.OpenChannel(ctx, datachannel.Options{Label: target, Protocol: datachannel.ConnProtocol})
	if err != nil {
		return nil, err
	}
	conn := datachannel.NewConn(ctx, ch)
	<-conn.Accepted()
	return conn, nil
}

// connect connects the peer to a target of --connect.
func (f *Forwarder) connect(ch *datachannel.Channel) {
	ctx := f.call.Context()
	conn := datachannel.NewConn(ctx, ch)
	target, err := f.target(ch.Label())
	if err == nil {
		defer f.release()
		var tcp net.Conn
		dial := net.Dialer{Timeout: connectTimeout}
		if tcp, err = dial.DialContext(ctx, "tcp", target); err == nil {
			defer tcp.Close()
			if err := join(ctx, tcp, conn); err != nil && ctx.Err() == nil {
				f.call.Logger().Debug("a forwarded connection broke", "to", target, "error", err)
			}
			return
		}
		f.call.Reporter().Warnf("%s was not connected: %v", sanitize.Text(f.call.Peer()), err)
		err = fmt.Errorf("%s cannot be reached", target)
	}
	_ = conn.Refuse(err.Error()) // an error is of a call that is over
	conn.Wait()
}

// target returns the target that a label names, if --connect has it. The caller calls release for
// it.
func (f *Forwarder) target(label string) (string, error) {
	if len(f.targets) == 0 {
		return "", errors.New("the peer connects to nothing; it was not started with --connect")
	}
	chosen := ""
	for _, t := range f.targets {
		if label == "" || label == t {
			chosen = t
			break
		}
	}
	if chosen == "" {
		f.call.Reporter().Warnf("%s wants to be connected to %s, and was refused: no --connect names it",
			sanitize.Text(f.call.Peer()), sanitize.Text(label))
		return "", errors.New("no --connect of the peer names that target")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open >= maxForwarded {
		return "", fmt.Errorf("%d connections are open, and there may be no more", f.open)
	}
	f.open++
	return chosen, nil
}

func (f *Forwarder) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open--
}

// join moves bytes both ways until both have ended, or one breaks.
func join(ctx context.Context, tcp net.Conn, conn *datachannel.Conn) error {
	defer context.AfterFunc(ctx, func() { _ = tcp.Close() })()
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, tcp)
		if err == nil {
			err = conn.CloseWrite()
		}
		if err != nil {
			_ = conn.Close() // cut off, which ends the other direction too
		}
		sent <- err
	}()
	_, err := io.Copy(tcp, conn)
	if half, ok := tcp.(interface{ CloseWrite() error }); ok && err == nil {
		err = half.CloseWrite()
	}
	if err != nil {
		if t, ok := tcp.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // the other end sees that it broke
		}
		_ = tcp.Close()
	}
	err = errors.Join(err, <-sent)
	_ = conn.Close()
	conn.Wait()
	return err
}
