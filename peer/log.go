package peer

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/pion/logging"
)

// pionLog hands Pion's log lines to slog, at debug level: what Pion calls an
// error is seldom one for the user. The last warning is kept, because some
// reasons (a refused DTLS handshake) are told nowhere else.
type pionLog struct {
	log *slog.Logger

	mu   sync.Mutex // protects following
	last string

	reading sync.Mutex // held while Pion makes a report; protects following
	closes  bool       // Pion is about to close the connection by itself
}

// closesItself is Pion's line before it closes a connection on a goroutine of its own, on the other side's
// close_notify. Close writes a field that GetStats reads with no lock held, so a report that is being made is waited
// for here, and no other is made.
const closesItself = "Closing PeerConnection from DTLS CloseNotify"

func (p *pionLog) noReports() {
	p.reading.Lock()
	defer p.reading.Unlock()
	p.closes = true
}

// NewLogger implements logging.LoggerFactory.
func (p *pionLog) NewLogger(scope string) logging.LeveledLogger {
	return &scopeLog{p, scope}
}

// lastWarning is the newest warning of the connection, "" without one.
func (p *pionLog) lastWarning() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

type scopeLog struct {
	*pionLog
	scope string
}

func (s *scopeLog) line(level slog.Level, text string) {
	s.log.Log(context.Background(), level, text, "scope", s.scope)
}

func (s *scopeLog) warn(text string) {
	if s.scope == "pc" || s.scope == "dtls" {
		s.mu.Lock()
		s.last = text
		s.mu.Unlock()
	}
	s.line(slog.LevelDebug, text)
}

// levelTrace is below slog's debug: a line for every packet.
const levelTrace = slog.LevelDebug - 4

func (s *scopeLog) Trace(m string) { s.line(levelTrace, m) }
func (s *scopeLog) Debug(m string) { s.line(levelTrace, m) }
func (s *scopeLog) Warn(m string)  { s.warn(m) }
func (s *scopeLog) Error(m string) { s.warn(m) }
func (s *scopeLog) Info(m string) {
	if m == closesItself {
		s.noReports()
	}
	s.line(slog.LevelDebug, m)
}
func (s *scopeLog) Tracef(f string, a ...any) {
	if s.log.Enabled(context.Background(), levelTrace) {
		s.line(levelTrace, fmt.Sprintf(f, a...))
	}
}
func (s *scopeLog) Debugf(f string, a ...any) { s.Tracef(f, a...) }
func (s *scopeLog) Infof(f string, a ...any)  { s.Info(fmt.Sprintf(f, a...)) }
func (s *scopeLog) Warnf(f string, a ...any)  { s.warn(fmt.Sprintf(f, a...)) }
func (s *scopeLog) Errorf(f string, a ...any) { s.warn(fmt.Sprintf(f, a...)) }
