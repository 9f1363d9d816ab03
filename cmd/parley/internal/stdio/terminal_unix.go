//go:build linux || darwin

package stdio

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// UnlimitLines makes a terminal pass on each character at once: otherwise it cuts off a line that
// is pasted after 4096 characters (Linux) or 1024 (macOS). It does nothing for another reader.
// restore undoes it.
func UnlimitLines(in io.Reader) (restore func()) {
	file, ok := in.(*os.File)
	if !ok {
		return func() {}
	}
	state, err := unix.IoctlGetTermios(int(file.Fd()), getTermios)
	if err != nil {
		return func() {}
	}
	changed := *state
	changed.Lflag &^= unix.ICANON
	changed.Cc[unix.VMIN], changed.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(int(file.Fd()), setTermios, &changed) != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(int(file.Fd()), setTermios, state) } // a terminal that is gone needs none
}
