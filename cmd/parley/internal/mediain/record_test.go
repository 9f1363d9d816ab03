package mediain

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestRecordingPaths checks that no path is given to two recordings, and none of a file that
// exists.
func TestRecordingPaths(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"bob.webm", "take-1.webm", "take-3.webm"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(os.DevNull, filepath.Join(folder, "null.webm")); err != nil {
		t.Fatal(err)
	}
	r := NewRecordings()
	began := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, test := range []struct {
		pattern, want string
		overwrite     bool
	}{
		{"%p.webm", "bob-2.webm", false},
		{"%p.webm", "bob-3.webm", false},
		{"%p.webm", "bob.webm", true},
		{"%p.webm", "bob-4.webm", true},
		{"take-%n.webm", "take-2.webm", false},
		{"take-%n.webm", "take-4.webm", true},
		{"null.webm", "null.webm", false},
		{"null.webm", "null.webm", false},
		{"%t.webm", "20260203-040506.webm", false},
	} {
		if got := r.path(filepath.Join(folder, test.pattern), "bob", began, test.overwrite); got != filepath.Join(folder, test.want) {
			t.Errorf("%s with overwrite %v is %s, want %s", test.pattern, test.overwrite, got, test.want)
		}
	}
	r.release([]string{filepath.Join(folder, "bob-2.webm"), filepath.Join(folder, "bob-3.webm")}, []string{filepath.Join(folder, "bob-3.webm")})
	if got := r.path(filepath.Join(folder, "%p.webm"), "bob", began, false); got != filepath.Join(folder, "bob-2.webm") {
		t.Errorf("after a recording without a file the next one is %s", got)
	}
}
