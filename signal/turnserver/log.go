package turnserver

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// libraryLog passes on what pion/turn says. All of it counts as detail: what matters to an operator the Server says itself, and every
// stranger's packet can make the library complain.
type libraryLog struct{ log *slog.Logger }

// NewLogger implements logging.LoggerFactory.
func (l libraryLog) NewLogger(string) logging.LeveledLogger { return l }

func (l libraryLog) say(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("turn: " + fmt.Sprintf(format, args...))
	}
}

func (libraryLog) Trace(string)                {}
func (libraryLog) Tracef(string, ...any)       {}
func (libraryLog) Debug(string)                {} // one for each packet
func (libraryLog) Debugf(string, ...any)       {}
func (l libraryLog) Info(m string)             { l.say("%s", m) }
func (l libraryLog) Infof(f string, a ...any)  { l.say(f, a...) }
func (l libraryLog) Warn(m string)             { l.say("%s", m) }
func (l libraryLog) Warnf(f string, a ...any)  { l.say(f, a...) }
func (l libraryLog) Error(m string)            { l.say("%s", m) }
func (l libraryLog) Errorf(f string, a ...any) { l.say(f, a...) }
