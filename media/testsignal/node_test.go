//go:build !quick

package testsignal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/draw"
)

// TestFrameIDInJavaScript runs the code of ReadFrameID's documentation in Node.
func TestFrameIDInJavaScript(t *testing.T) {
	source, err := os.ReadFile("frameid.go")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	for line := range strings.Lines(string(source)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok && (script.Len() > 0 || strings.HasPrefix(code, "function")) {
			script.WriteString(code)
		}
	}
	const w, h = 320, 240
	encoder, err := NewVP8Encoder(0, 15)
	if err != nil {
		t.Fatal(err)
	}
	pattern := newPattern(w, h)
	for _, want := range []uint32{0, 4711, 1<<32 - 1} {
		data, err := encoder.Encode(pattern.Render(want, 0, time.Unix(0, 0)))
		if err != nil {
			t.Fatal(err)
		}
		img := decodeVP8(t, data)
		rgba := image.NewRGBA(img.Bounds())
		draw.Draw(rgba, rgba.Rect, img, image.Point{}, draw.Src)
		pixels, err := json.Marshal(bytesAsNumbers(rgba.Pix))
		if err != nil {
			t.Fatal(err)
		}
		program := fmt.Sprintf(`%s
const pixels = %s;
const context = { getImageData: (x, y) => ({ data: pixels.slice((y * %d + x) * 4, (y * %d + x) * 4 + 4) }) };
console.log(readFrameID(context, %d, %d));`, script.String(), pixels, w, w, w, h)
		command := exec.Command("node", "-")
		command.Stdin = strings.NewReader(program)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("node: %v\n%s", err, out)
		}
		if got := string(bytes.TrimSpace(out)); got != fmt.Sprint(want) {
			t.Errorf("frame ID is %s, want %d", got, want)
		}
	}
}
