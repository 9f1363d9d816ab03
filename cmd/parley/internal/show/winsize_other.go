//go:build !linux && !darwin

package show

import (
	"os"

	"golang.org/x/term"

	draw "parley/media/terminal"
)

// terminalSize is zero where there is none.
func terminalSize(f *os.File) (s draw.Size) {
	s.Columns, s.Rows, _ = term.GetSize(int(f.Fd())) // 0 with an error
	return s
}

// onResize does nothing: this system does not report changes.
func onResize(func()) (stop func()) { return func() {} }
