package session

import (
	"os"
	"strings"
	"time"

	"golang.org/x/term"
	"rsc.io/qr"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/signaling"
	"parley/cmd/parley/internal/signaling/manual"
	"parley/cmd/parley/internal/stdio"
	"parley/signal"
)

const (
	// manualPatience is how long the peer of a call with --manual may take to use its line.
	manualPatience = time.Hour
	// manualSilence is how long nothing may come from it once the call is connected.
	manualSilence = 35 * time.Second
)

// newExchange returns the transport of --manual.
func newExchange(o *Options, r *resources.Resources) (signaling.Transport, error) {
	restore := stdio.UnlimitLines(r.Stdin)
	in, stop, err := stdio.NewCancelReader(r.Stdin)
	if err != nil {
		restore()
		return nil, exit.Errorf(exit.Failure, "--manual: %w", err)
	}
	file, isFile := r.Stdin.(*os.File)
	return manual.New(manual.Options{
		Name: o.Name, Caller: o.ManualCaller, In: in, CloseIn: func() { stop(); restore() },
		Interactive: isFile && term.IsTerminal(int(file.Fd())),
		Show:        func(l manual.Line, text string) { showLine(r.Report, l, text) },
		Ask: func(want signal.Type) {
			if want == signal.Offer {
				r.Report.Infof("paste the line of the caller, which begins with parley-offer-1:")
			}
		},
		Warn: r.Report.Warnf,
	}), nil
}

// showLine prints a line for the peer, on a terminal with its QR code if that fits.
func showLine(report *event.Reporter, l manual.Line, text string) {
	if report.Interactive() {
		if columns, rows, err := term.GetSize(int(os.Stderr.Fd())); err == nil {
			if code := drawCode(text, columns, rows-4); code != "" {
				report.Infof("%s", code)
			}
		}
	}
	if l.Type == signal.Offer {
		report.Infof("send this line to the peer, and paste the line that it answers with:")
	} else {
		report.Infof("send this line back to the caller, who pastes it:")
	}
	report.Report(event.Event{Name: "manual", Fields: event.Fields("type", string(l.Type), "line", text), Output: text})
}

// drawCode returns the QR code of a text as rows of half blocks, dark on light, or "" if it does
// not fit.
func drawCode(text string, columns, rows int) string {
	code, err := qr.Encode(text, qr.L)
	const quiet = 4 // modules around it (ISO/IEC 18004)
	if err != nil || code.Size+2*quiet > columns || (code.Size+2*quiet+1)/2 > rows {
		return ""
	}
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			b.WriteString(map[[2]bool]string{{false, false}: "█", {false, true}: "▀", {true, false}: "▄", {true, true}: " "}[[2]bool{code.Black(x, y), code.Black(x, y+1)}])
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// watchSilence ends a call with --manual, whose connection fails late, when nothing has come for a
// while.
func (c *Session) watchSilence(disconnected bool) {
	if !c.options.Manual {
		return
	}
	if c.silence != nil {
		c.silence.Stop()
		c.silence = nil
	}
	if disconnected {
		c.silence = time.AfterFunc(manualSilence, func() {
			c.Fail(exit.Errorf(exit.Connection, "the call with %s failed: nothing has come for %s", sanitize.Text(c.peer), manualSilence))
		})
	}
}
