package browser

import (
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// A snapshot of a tab is what the tab shows: of that size, in those colours.
func TestSnapshotOfATab(t *testing.T) { e2etest.InBrowsers(t, checkSnapshotOf) }

func checkSnapshotOf(t *testing.T, b *webtest.Browser) {
	page, server := e2etest.Serve(t)
	tab := b.Open(page + "/?as=tab&answer=1")
	e2etest.Idle(tab)
	if err := tab.Eval(keepAverage, nil); err != nil {
		t.Fatal(err)
	}
	shot := e2etest.Start(t, "snapshot", "tab", "door.png", "--server", server, "--timeout", "60s", "--output", "ndjson")
	shot.Ends(t, 0)
	var want [3]float64
	if err := tab.Eval(`window.average`, &want); err != nil {
		t.Fatal(err)
	}
	tab.Close()
	file, err := os.Open(filepath.Join(shot.Cmd.Dir, "door.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	img, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(" 1280x720 960x540 640x360 480x270 320x180 ", " "+fmt.Sprintf("%dx%d", img.Bounds().Dx(), img.Bounds().Dy())+" ") {
		t.Errorf("the size is %v", img.Bounds())
	}
	var sum, n float64
	var mean [3]float64
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 7 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 7 {
			r, g, b, _ := img.At(x, y).RGBA()
			for i, v := range []uint32{r, g, b} {
				mean[i] += float64(v >> 8)
			}
			n++
		}
	}
	for i := range mean {
		mean[i] /= n
		sum += math.Abs(mean[i] - want[i])
	}
	if b.Name() == "firefox" { // its camera goes through all colours, equally bright
		sum = 3 * math.Abs(luma(mean)-luma(want))
	}
	if sum > 40 {
		t.Errorf("the snapshot is %.0f on average, the tab's %.0f", mean, want)
	}
}

// luma is how bright a colour is, 0 to 255 (ITU-R BT.601).
func luma(rgb [3]float64) float64 { return 0.299*rgb[0] + 0.587*rgb[1] + 0.114*rgb[2] }

// keepAverage keeps the mean colour of the camera of a page, while it is open, in window.average.
const keepAverage = `void setInterval(() => {
	const v = document.querySelector('#localVideo');
	if (!v.videoWidth) return;
	const c = document.createElement('canvas');
	c.width = 64; c.height = 48;
	const g = c.getContext('2d');
	g.drawImage(v, 0, 0, 64, 48);
	const d = g.getImageData(0, 0, 64, 48).data, sum = [0, 0, 0];
	for (let i = 0; i < d.length; i += 4) for (let k = 0; k < 3; k++) sum[k] += d[i + k] / (64 * 48);
	window.average = sum;
}, 20)`
