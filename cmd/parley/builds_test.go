package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// build is one of the ways in which parley is built, and where its binary is, which is made on first use.
type build struct {
	name string
	path func() (string, error)
	// decodes are the codecs whose pictures it can see by itself.
	decodes []string
}

// builds are all of them.
var builds = []build{
	{"no cgo", builtWith("0", ""), []string{"VP8"}},
	{"cgo", built, []string{"H264", "VP8"}},
	{"vpx", builtWith("1", "vpx"), []string{"H264", "VP8", "VP9"}},
}

func builtWith(cgo, tags string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		dir, err := os.MkdirTemp("", "parley")
		if err != nil {
			return "", err
		}
		cmd := exec.Command("go", "build", "-tags", tags, "-o", filepath.Join(dir, "parley"), ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build: %w\n%s", err, out)
		}
		return filepath.Join(dir, "parley"), nil
	})
}

// parley runs the binary of a build in the background. Without a PATH, it has no ffmpeg to help it.
func (b build) parley(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	path, err := b.path()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = env
	return launch(t, cmd, args)
}

// An offer names what this build can do something with: all that can be received and recorded, or where the picture is to
// be seen, all that it can decode.
func TestOffersOfEachBuild(t *testing.T) {
	_, server := serving(t)
	all := []string{"AV1", "H264", "VP8", "VP9"}
	for _, b := range builds {
		for kind, c := range map[string]struct {
			args []string
			want []string
		}{
			"call":     {[]string{"call", "bob"}, all},
			"record":   {[]string{"call", "bob", "--record", "x.mp4"}, []string{"AV1", "H264", "VP9"}},
			"snapshot": {[]string{"snapshot", "bob", "x.png"}, b.decodes},
		} {
			bob := terminal(t, "answer", "--as", "bob", "--once", "--server", server, "--stats-dump", "dump", "--video", "test")
			bob.says(t, "waiting for calls")
			alice := b.parley(t, []string{"HOME=" + t.TempDir()}, append(c.args, "--server", server)...)
			if kind == "snapshot" {
				alice.ends(t, 0)
			} else {
				bob.says(t, "connected to")
				interruptProcess(t, alice)
			}
			bob.ends(t, 0)
			dump, err := os.ReadFile(filepath.Join(bob.cmd.Dir, "dump"))
			if err != nil {
				t.Fatal(err)
			}
			if got := videoOffered(string(dump)); !slices.Equal(got, c.want) {
				t.Errorf("%s of the build with %s offers %v, want %v", kind, b.name, got, c.want)
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
