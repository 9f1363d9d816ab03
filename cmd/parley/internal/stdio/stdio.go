// Package stdio handles the standard streams of a process.
package stdio

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Streams are the standard streams of a command: In is its input, Out gets results and data, Err
// gets messages.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// WantsColor reports whether w is a terminal that shows colors (https://no-color.org).
func WantsColor(w io.Writer) bool {
	return IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
