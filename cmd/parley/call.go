package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/peer"
	"parley/signal"
)

func callCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "call",
		Usage:     "log in and call NAME",
		ArgsUsage: "NAME",
		Description: `Calls NAME and stays in the call until somebody hangs up, --duration is over or
all expectations hold. It receives whatever NAME sends; it sends what --video,
--audio and --say name.

   parley call tab --video test --audio test
   parley call tab --say ping --expect text=pong --timeout 10s
   parley call tab --record %p.webm --duration 30s
   parley call tab --video film.mkv --audio film.mkv
   parley call tab --audio 'exec:espeak-ng --stdout "The build is broken."'
   parley call tab --input ndjson <<< '{"id":1,"command":"say","text":"hi"}'
   parley call tab --expect video.size=640x480 --expect video.frames>=30 -q

In the relay dialect the hello-world page's names are the default:
   parley call --dialect relay --server ws://localhost:8000 --say 'hello world!'`,
		Flags:        slices.Concat(config.MediaOutFlags(), config.CallFlags(45*time.Second), config.SignalingFlags(""), config.SecurityFlags(), config.InputFlags(), config.CaptureFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			s, err := readSettings(cmd, std)
			if err != nil {
				return err
			}
			defer s.report.CloseInto(&err)
			defaultName := ""
			if s.Dialect == signal.DialectRelay {
				defaultName = "Saruman"
			}
			name, err := config.Peer(cmd, defaultName)
			if err != nil {
				return err
			}
			if s.Name == "" {
				s.Name = ownName(s.Dialect, "Gandalf", "caller-"+randomHex(3))
			}
			return call(ctx, s, name)
		},
	}
}

// ownName is the default of --as: the hello-world page's partner in the relay
// dialect.
func ownName(d signal.Dialect, relay, otherwise string) string {
	if d == signal.DialectRelay {
		return relay
	}
	return otherwise
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

// call logs in and calls name.
func call(ctx context.Context, s *settings, name string) error {
	release, err := s.openShared()
	if err != nil {
		return err
	}
	defer release()
	leave, err := s.openShow()
	if err != nil {
		return err
	}
	defer leave()
	l := &signalingConn{settings: s}
	c, err := openSession(ctx, s, name, true, false, nil)
	if err != nil {
		return exit.OrInterruption(ctx, err)
	}
	begin := time.Now()
	if err := s.signInWithin(ctx, l); err != nil {
		c.closeMedia()
		return err
	}
	defer l.close()
	if err := c.place(l.to(name)); err != nil {
		return err
	}
	if s.Timeout > 0 {
		s.timeLeft = max(s.Timeout-time.Since(begin), time.Millisecond)
	}
	l.onSessionLost.Store(c.call.SignalingRestored)
	var routing sync.WaitGroup
	defer routing.Wait()
	route, stop := context.WithCancel(ctx)
	defer stop()
	routing.Go(func() { l.routeTo(route, c) })
	stopInput, err := s.commands(only(c))
	if err != nil {
		c.closeMedia()
		return err
	}
	defer stopInput()
	return c.run(ctx)
}

// signInWithin signs in within --timeout. With expectations, a server that
// does not answer is one that did not hold.
func (s *settings) signInWithin(ctx context.Context, l *signalingConn) error {
	signing, cancel := ctx, context.CancelFunc(func() {})
	if s.Timeout > 0 {
		signing, cancel = context.WithTimeout(ctx, s.Timeout)
	}
	defer cancel()
	err := l.signIn(signing)
	if exit.CodeOf(err) == exit.Timeout && len(s.Checks) > 0 {
		return &exit.Error{Code: exit.Expectation, Err: fmt.Errorf("an expectation did not hold: %w", err)}
	}
	return err
}

// routeTo hands the messages of the server to one call.
func (l *signalingConn) routeTo(ctx context.Context, c *session) {
	for {
		m, err := l.client.Receive(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.lost(err)
			c.signalingLost(err)
			return
		case m.Peer != "" && m.Peer != c.name:
			l.rejectBusy(ctx, m)
		default:
			c.deliver(m)
		}
	}
}

// rejectBusy rejects a caller: we are busy.
func (l *signalingConn) rejectBusy(ctx context.Context, m signal.Message) {
	if m.Type != signal.Offer {
		return
	}
	l.report.Infof("%s calls, and is rejected: we are busy", sanitize.Text(m.Peer))
	if err := l.to(m.Peer).Leave(ctx); err != nil {
		l.logger.Debug("the rejection was not sent", "error", err)
	}
}

// deliver hands a message of the peer to the call.
func (c *session) deliver(m signal.Message) {
	deliverBy(c.middleware, c.pass)(m)
}

// pass hands a message of the peer to the call.
func (c *session) pass(m signal.Message) {
	switch m.Type {
	case signal.Offer:
		c.call.DeliverOffer(description(m))
	case signal.Answer:
		c.call.DeliverAnswer(description(m))
	case signal.ICECandidate:
		c.call.DeliverCandidate(candidateInit(m.Candidate))
	case signal.Leave:
		c.left(m)
	case signal.Error:
		c.complained(m)
	}
}

// left takes a hang-up, or what the server takes for one.
func (c *session) left(m signal.Message) {
	if !m.Lost || !c.isConnected() {
		c.call.DeliverLeave()
		return
	}
	c.report.Infof("%s has lost the signaling server; the call goes on as long as something comes", sanitize.Text(c.name))
	c.call.DeliverUnreachable()
}

// absentRetryDelay is how long after the server did not know the peer of a call
// that is up it is asked again.
const absentRetryDelay = 3 * time.Second

// codeNoCall is the server's error for a message of a call that is over.
const codeNoCall = "no_call"

// complained takes an error of the server.
func (c *session) complained(m signal.Message) {
	if m.Code == signal.CodeAbsent && !c.isConnected() {
		c.notThere()
		return
	}
	if m.Code == signal.CodeAbsent { // say because it comes back to the server after us
		time.AfterFunc(absentRetryDelay, c.call.SignalingRestored)
		return
	}
	if m.Code == codeNoCall { // messages crossed a hang-up
		c.logger.Debug("the signaling server says", "text", m.Text)
		return
	}
	c.report.Warnf("the signaling server says: %s", sanitize.Text(m.Text))
}

// signalingLost ends a call that is not up yet. One that is goes on.
func (c *session) signalingLost(err error) {
	if c.isConnected() {
		c.report.Warnf("%v; the call with %s goes on", err, sanitize.Text(c.name))
		return
	}
	c.fail(err)
}

// continues reports whether an offer belongs to this call.
func (c *session) continues(sdp string) bool {
	d, err := peer.ParseDescription(sdp)
	return err != nil || c.call.Continues(d)
}
