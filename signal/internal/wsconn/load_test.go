//go:build !gorilla

package wsconn

import "testing"

func TestBusy(t *testing.T) {
	tests := []struct {
		name   string
		reads  int
		window int64 // after the reads, relative to theirs
		busy   bool
	}{
		{"the same window", busyReads, 0, false},
		{"the next window", busyReads, 1, true},
		{"too few", busyReads - 1, 1, false},
		{"after a pause", busyReads, 2, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var l load
			for range test.reads {
				l.note(100 * loadWindow)
			}
			l.note((100 + test.window) * loadWindow)
			if got := l.busy.Load(); got != test.busy {
				t.Errorf("busy = %v after %d reads in a window, want %v", got, test.reads, test.busy)
			}
		})
	}
}

func TestBusyEnds(t *testing.T) {
	var l load
	for range busyReads {
		l.note(loadWindow)
	}
	l.note(2 * loadWindow)
	l.note(3 * loadWindow)
	if l.busy.Load() {
		t.Error("a server is busy after a window with one read")
	}
}
