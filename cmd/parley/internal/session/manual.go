package session

import (
	"bytes"
	"fmt"
	"os"
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

// showLine prints a line for the peer, on a terminal with its QR code.
func showLine(report *event.Reporter, l manual.Line, text string) {
	lacks := ""
	if report.Interactive() && stdio.WantsColor(os.Stderr) {
		if columns, rows, err := term.GetSize(int(os.Stderr.Fd())); err == nil {
			var code []byte
			code, lacks = drawCode(text, columns, rows)
			report.Draw(os.Stderr, code)
		}
	}
	if l.Type == signal.Offer {
		report.Infof("send this line to the peer, and paste the line that it answers with:")
	} else {
		report.Infof("send this line back to the caller, who pastes it:")
	}
	report.Report(event.Event{Name: "manual", Fields: event.Fields("type", string(l.Type), "line", text), Output: text})
	if lacks != "" {
		report.Infof("%s", lacks) // below the line, which may fill the screen
	}
}

// drawCode returns the QR code of a line as rows of half blocks, black on white in terminals of any
// colors, or why there is none. The line and three others fit below it.
func drawCode(text string, columns, rows int) (drawing []byte, lacks string) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, "the line is too long for a QR code"
	}
	const quiet = 4 // modules around it (ISO/IEC 18004)
	width := code.Size + 2*quiet
	columns, fits := max(columns, width), columns >= width
	height := (width+1)/2 + (len(text)+columns-1)/columns + 3
	if !fits || height > rows {
		return nil, fmt.Sprintf("this terminal is too small for a QR code of the line, which needs %d columns and %d rows", width, height)
	}
	var b bytes.Buffer
	colors := map[bool]int{true: 16, false: 231} // black and white of the 256 colors
	for y := -quiet; y < code.Size+quiet; y += 2 {
		for x := -quiet; x < code.Size+quiet; x++ {
			// The background fills a cell where the half block of a font leaves a gap below.
			fmt.Fprintf(&b, "\x1b[38;5;%d;48;5;%dm▀", colors[code.Black(x, y)], colors[code.Black(x, y+1)])
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.Bytes(), ""
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
