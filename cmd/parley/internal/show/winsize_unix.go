//go:build linux || darwin

package show

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	draw "parley/media/terminal"
)

// terminalSize is zero where there is none.
func terminalSize(f *os.File) (s draw.Size) {
	conn, err := f.SyscallConn()
	if err != nil {
		return s
	}
	_ = conn.Control(func(fd uintptr) {
		w, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
		if err != nil || w.Col == 0 || w.Row == 0 {
			return
		}
		s = draw.Size{Columns: int(w.Col), Rows: int(w.Row), CellWidth: int(w.Xpixel / w.Col), CellHeight: int(w.Ypixel / w.Row)}
	})
	return s
}

// onResize calls f when the terminal gets another size, until stop.
func onResize(f func()) (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGWINCH)
	go func() {
		defer close(done)
		for range signals {
			f()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
