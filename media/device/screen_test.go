//go:build linux && cgo

package device

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"parley/media/device/inventory"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
	rtpcodecs "github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// startX starts an X server at $DISPLAY for the rest of the test, and returns a function that stops
// it.
func startX(t *testing.T, screen string) (end func()) {
	t.Helper()
	if _, err := exec.LookPath("Xvfb"); err != nil {
		t.Fatalf("%v; install xvfb (make deps does)", err)
	}
	c := exec.Command("Xvfb", "-displayfd", "1", "-screen", "0", screen, "-nolisten", "tcp")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if !ended {
			ended = true
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
	t.Cleanup(end)
	number, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("Xvfb does not start: ", err)
	}
	t.Setenv("DISPLAY", ":"+strings.TrimSpace(number))
	return end
}

// paintRoot fills the screen with a colour. The connection stays open until the test ends, because
// Xvfb resets when the last one closes.
func paintRoot(t *testing.T, rgb uint32) {
	t.Helper()
	conn, err := xgb.NewConn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	screen := xproto.Setup(conn).DefaultScreen(conn)
	if err := xproto.ChangeWindowAttributesChecked(conn, screen.Root, xproto.CwBackPixel, []uint32{rgb}).Check(); err != nil {
		t.Fatal(err)
	}
	if err := xproto.ClearAreaChecked(conn, false, screen.Root, 0, 0, 0, 0).Check(); err != nil {
		t.Fatal(err)
	}
}

// TestScreen sends a screen of odd size, which is lost in the end.
func TestScreen(t *testing.T) {
	end := startX(t, "321x201x24")
	paintRoot(t, 0xFF0000)
	if all := List(); len(all.Screens) != 1 || all.Screens[0] != (inventory.Screen{ID: "0", Width: 321, Height: 201}) {
		t.Errorf("List returns %+v", all.Screens)
	}
	if _, err := OpenVideo("screen:3", VideoOptions{}); err == nil {
		t.Error("a screen that is not there opens")
	}
	warn, warnings := collectWarnings()
	v, err := OpenVideo("screen", VideoOptions{Codec: webrtc.MimeTypeH264, FrameRate: 20, Warn: warn})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.Close() }()
	running(t, v.Run)
	to := bind(t, v, h264Capability)
	red, green, blue := decodedPixel(t, to, 320, 200)
	if red < 230 || green > 25 || blue > 25 {
		t.Errorf("a red screen arrives as %d %d %d", red, green, blue)
	}
	end()
	if s := nextWarning(t, warnings); !strings.Contains(s, "screen 0 is gone") {
		t.Errorf("it says %q", s)
	}
}

// decodedPixel returns the colour in the middle of the next frame, decoded with ffmpeg.
func decodedPixel(t *testing.T, v *viewer, width, height int) (r, g, b byte) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Fatalf("%v; install ffmpeg (make deps does)", err)
	}
	var depacketizer rtpcodecs.H264Packet
	var stream bytes.Buffer
	for {
		p := v.next(t)
		part, err := depacketizer.Unmarshal(p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		stream.Write(part)
		if p.Marker {
			break
		}
	}
	c := exec.Command("ffmpeg", "-v", "error", "-f", "h264", "-i", "-", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
	c.Stdin, c.Stderr = &stream, os.Stderr
	raw, err := c.Output()
	if err != nil || len(raw) != width*height*3 {
		t.Fatalf("%d bytes, want a frame of %dx%d: %v", len(raw), width, height, err)
	}
	at := (height/2*width + width/2) * 3
	return raw[at], raw[at+1], raw[at+2]
}
