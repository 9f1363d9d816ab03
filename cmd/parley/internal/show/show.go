// Package show draws the received video in a terminal.
package show

import (
	"bytes"
	"fmt"
	"image"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/stdio"
	"parley/media/decoder"
	"parley/media/pixel"
	draw "parley/media/terminal"
)

const (
	showEvery  = time.Second / 15 // between two frames; more is a strain on a terminal
	queryTime  = time.Second      // for a terminal to say what it can do
	textShare  = 4                // of the rows of the terminal are for text: one in
	leastLines = 3                // of text
)

// showModes are what --show takes.
func showModes() []string { return []string{"auto", "kitty", "sixel", "blocks", "256", "window"} }

// WithValue gives --show, which may stand alone, its value.
func WithValue(args []string) []string {
	args = slices.Clone(args)
	for i, a := range args {
		if a == "--" {
			break
		}
		if a == "--show" && (i+1 == len(args) || !slices.Contains(showModes(), args[i+1])) {
			args[i] = "--show=auto"
		}
	}
	return args
}

// Open makes the watcher that --show asks for; release gives the terminal
// back.
func Open(s *session.Options, r *resources.Resources) (release func(), err error) {
	release = func() {}
	switch {
	case s.Show == "":
		return release, nil
	case !slices.Contains(showModes(), s.Show):
		return release, exit.Usagef("invalid --show %q: want %s", sanitize.Text(s.Show), strings.Join(showModes(), ", "))
	case s.Show == "window":
		if runtime.GOOS == "linux" && os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return release, exit.Usagef("--show window: there is no desktop to open a window on: neither $DISPLAY nor $WAYLAND_DISPLAY is set")
		}
		r.Watcher = &windowWatcher{r.Report}
		return release, nil
	}
	out, ok := r.Report.Err.(*os.File)
	if !ok || !stdio.IsTerminal(out) {
		out, ok = r.Report.Out.(*os.File)
	}
	if !ok || !stdio.IsTerminal(out) {
		return release, exit.Usagef("--show draws in a terminal, and there is none; --show window opens a window, --record writes a file")
	}
	v := &screen{report: r.Report, out: out}
	if v.mode, ok = draw.Parse(s.Show); !ok {
		if v.mode, ok = draw.Choose(askTerminal(), os.Getenv("TERM"), os.Getenv("COLORTERM")); !ok {
			return release, exit.Usagef("--show: the terminal %q shows no video; --show window opens a window", sanitize.Text(os.Getenv("TERM")))
		}
	}
	s.PreferDecodable()
	r.Watcher = v
	stop := onResize(v.resized)
	return func() { stop(); v.close() }, nil
}

// askTerminal asks the terminal what it can do, "" if it does not say.
func askTerminal() string {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return ""
	}
	defer tty.Close()
	conn, err := tty.SyscallConn()
	if err != nil || tty.SetReadDeadline(time.Now().Add(queryTime)) != nil {
		return ""
	}
	var state *term.State
	if conn.Control(func(fd uintptr) { state, err = term.MakeRaw(int(fd)) }) != nil || err != nil {
		return ""
	}
	defer func() { _ = conn.Control(func(fd uintptr) { _ = term.Restore(int(fd), state) }) }()
	if _, err := tty.WriteString(draw.Query); err != nil {
		return ""
	}
	var answers []byte
	for b := make([]byte, 256); !draw.Answered(string(answers)) && len(answers) < 4096; {
		n, err := tty.Read(b)
		if answers = append(answers, b[:n]...); err != nil {
			break
		}
	}
	return string(answers)
}

// screen shows video in the upper part of the terminal; text scrolls in what
// is left below.
type screen struct {
	report *event.Reporter
	out    *os.File
	mode   draw.Mode

	mu       sync.Mutex // protects following
	rgb      pixel.RGBConverter
	last     time.Time
	size     draw.Size
	frame    image.Point // size of the latest
	pixels   image.Point
	cells    image.Point // what it takes, zero before the first frame
	redraw   bool        // the terminal has another size
	finished bool
}

func (v *screen) NewDecoder(mime string) (decoder.Decoder, error) { return mediain.NewDecoder(mime) }

func (v *screen) resized() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.redraw = true
}

func (v *screen) Show(img image.Image) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.finished || time.Since(v.last) < showEvery {
		return
	}
	v.last = time.Now()
	if v.redraw || v.frame != img.Bounds().Size() {
		v.arrange(img.Bounds().Size())
	}
	if v.cells.X == 0 {
		return
	}
	var b bytes.Buffer
	b.WriteString("\x1b7\x1b[?25l")
	v.mode.Draw(&b, v.rgb.Convert(img, v.pixels.X, v.pixels.Y), 1, 1+(v.size.Columns-v.cells.X)/2, v.cells)
	b.WriteString("\x1b8\x1b[?25h")
	v.report.Draw(v.out, b.Bytes())
}

// arrange divides the terminal: the video above, and a region for the text
// that scrolls below it, which begins with what was said last.
func (v *screen) arrange(frame image.Point) {
	v.redraw, v.frame = false, frame
	v.size = terminalSize(v.out)
	within := v.size
	within.Rows -= max(leastLines, v.size.Rows/textShare)
	if v.pixels, v.cells = v.mode.Fit(frame, within); v.cells.X == 0 {
		return
	}
	var b bytes.Buffer
	v.mode.Clear(&b)
	fmt.Fprintf(&b, "\x1b[r\x1b[2J\x1b[%d;%dr\x1b[%d;1H", v.cells.Y+1, v.size.Rows, v.cells.Y+1)
	v.report.Redraw(v.out, b.Bytes(), v.size.Rows-v.cells.Y-1)
}

// close gives the whole terminal back; the last frame stays.
func (v *screen) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.finished = true
	if v.cells.X > 0 {
		v.report.Draw(v.out, []byte("\x1b7\x1b[r\x1b8"))
	}
}

// windowWatcher shows video in a window of another program.
type windowWatcher struct{ report *event.Reporter }

func (windowWatcher) Show(image.Image) {} // the window does

func (w windowWatcher) NewDecoder(mime string) (decoder.Decoder, error) {
	return decoder.NewWindow("parley", func(sentence string) { w.report.Warnf("%s", sentence) })(mime)
}
