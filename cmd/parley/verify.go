package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
)

// verifying is what a call's configuration gets of --verify and --identity.
func (s *settings) verifying(conf *peer.Config) {
	conf.Verification.Certificate = s.identity
	conf.Verification.Required = s.Verify == config.VerifyAsk
	if !conf.Verification.Required {
		conf.Verification.Code = s.Verify
	}
}

// reportCode reports the verification code and, with --verify ask, asks whether the
// peer sees the same.
func (c *session) reportCode(e peer.VerificationCode) {
	ev := event.Event{Name: "code", Peer: c.name, Fields: event.Fields("code", e.Code, "verified", e.Verified),
		Message: "verification code " + e.Code}
	if e.Verified {
		ev.Message += ", as it should be"
	}
	c.emit(ev)
	if e.Verified || c.Verify != config.VerifyAsk {
		return
	}
	c.work.Go(func() {
		c.report.ClearStatus() // waits for the line with the code
		same, err := c.asker.ask(c.ctx, c.name, fmt.Sprintf("does %s see %s too? [y/N] ", sanitize.Text(c.name), e.Code))
		switch {
		case c.ctx.Err() != nil: // the call is over
		case err != nil:
			c.fail(exit.Errorf(exit.Device, "--verify ask: %w", err))
		case same:
			c.call.Confirm()
		default:
			c.call.Decline()
		}
	})
}

// asker asks one question after the other, for several calls may have one.
type asker struct {
	mu      sync.Mutex // held while a question is open
	instead asking     // in place of the terminal, nil for that
}

// asking asks a question about a peer.
type asking func(ctx context.Context, peer, question string) (bool, error)

// ask asks a question at the terminal itself, because stdin may carry data.
func (a *asker) ask(ctx context.Context, peer, question string) (bool, error) {
	if a.instead != nil {
		return a.instead(ctx, peer, question)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	in, _ := console()
	tty, err := os.OpenFile(in, os.O_RDONLY, 0)
	if err != nil {
		return false, fmt.Errorf("there is no terminal to ask at: %w", err)
	}
	defer tty.Close()
	// The end of the call ends the wait for an answer.
	defer context.AfterFunc(ctx, func() { _ = tty.Close() })()
	if err := writeTerminal(question); err != nil {
		return false, err
	}
	line, err := bufio.NewReader(tty).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("the terminal gave no answer: %w", err)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}

// console names the terminal of this process, whatever stdin and stdout are.
func console() (in, out string) {
	if runtime.GOOS == "windows" {
		return "CONIN$", "CONOUT$"
	}
	return "/dev/tty", "/dev/tty"
}

// writeTerminal writes to the terminal.
func writeTerminal(text string) error {
	_, out := console()
	f, err := os.OpenFile(out, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("there is no terminal to ask at: %w", err)
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
