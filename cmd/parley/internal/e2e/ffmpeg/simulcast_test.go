package ffmpeg

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestLargestLayerIsRecorded: of three sizes that come, the largest is in the file.
func TestLargestLayerIsRecorded(t *testing.T) {
	_, server := e2etest.Serve(t)
	bob := e2etest.Start(t, "answer", "--as", "bob", "--server", server, "--once", "--record", "%p.h264", "--stats-interval", "0")
	bob.Says(t, "waiting for calls")
	alice := e2etest.Start(t, "call", "bob", "--as", "alice", "--server", server, "--video", "test", "--video-size", "640x480@15",
		"--video-codec", "h264", "--simulcast", "--duration", "6s")
	alice.Ends(t, 0)
	bob.Ends(t, 0)
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "frame=width", "-of", "csv=p=0",
		filepath.Join(bob.Cmd.Dir, "alice.h264")).Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	frames := strings.Fields(string(out))
	if n := len(frames); n < 10 || !strings.HasPrefix(frames[n-1], "640") {
		t.Errorf("the last of %d frames are %v wide, want 640", n, frames[max(0, n-5):])
	}
}
