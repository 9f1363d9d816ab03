package ffmpeg

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// An offer names what this build can do something with: all that can be received and recorded, or
// where the video is to be seen, all that it can decode.
func TestOffersOfEachBuild(t *testing.T) {
	_, server := e2etest.Serve(t)
	all := []string{"AV1", "H264", "VP8", "VP9"}
	for _, b := range e2etest.Builds {
		for kind, c := range map[string]struct {
			args []string
			want []string
		}{
			"call":     {[]string{"call", "bob"}, all},
			"record":   {[]string{"call", "bob", "--record", "x.mp4"}, []string{"AV1", "H264", "VP9"}},
			"snapshot": {[]string{"snapshot", "bob", "x.png"}, b.Decodes},
		} {
			bob := e2etest.Start(t, "answer", "--as", "bob", "--once", "--server", server, "--stats-dump", "dump", "--video", "test")
			bob.Says(t, "waiting for calls")
			alice := b.Start(t, []string{"HOME=" + t.TempDir()}, append(c.args, "--server", server)...)
			if kind == "snapshot" {
				alice.Ends(t, 0)
			} else {
				bob.Says(t, "connected to")
				e2etest.Interrupt(t, alice)
			}
			bob.Ends(t, 0)
			dump, err := os.ReadFile(filepath.Join(bob.Cmd.Dir, "dump"))
			if err != nil {
				t.Fatal(err)
			}
			if got := videoOffered(string(dump)); !slices.Equal(got, c.want) {
				t.Errorf("%s of the build with %s offers %v, want %v", kind, b.Name, got, c.want)
			}
		}
	}
}

// videoOffered are the video codecs of the offer in an RTCStatsDump, sorted.
func videoOffered(dump string) []string {
	_, offer, _ := strings.Cut(dump, "setRemoteDescription")
	offer, _, _ = strings.Cut(offer, "\n")
	var all []string
	for _, m := range regexp.MustCompile(`a=rtpmap:\d+ (\w+)/90000`).FindAllStringSubmatch(offer, -1) {
		if m[1] != "rtx" && !slices.Contains(all, m[1]) {
			all = append(all, m[1])
		}
	}
	slices.Sort(all)
	return all
}
