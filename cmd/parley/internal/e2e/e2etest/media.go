package e2etest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// FFprobe returns what ffprobe prints about a file: a line KEY=VALUE for each value, with counted
// frames.
func FFprobe(file string) (string, error) {
	out, err := exec.Command("ffprobe", "-v", "error", "-count_frames", "-show_entries",
		"stream=codec_name,codec_type,width,height,nb_read_frames,sample_rate,channels:format=duration,format_name",
		"-of", "default=noprint_wrappers=1", file).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("ffprobe %s: %w (install ffmpeg)\n%s", filepath.Base(file), err, out)
	}
	return string(out), nil
}

// MakeSample makes a file of three seconds with ffmpeg. Its extension sets the container and the
// codecs. The names vp9.*, av1.*, b.* (H.264 with B-frames), yuv444.* (H.264) and tenbit.* (VP9)
// set another codec, large.* larger frames.
func MakeSample(file string) error {
	video := []string{"-f", "lavfi", "-i", "testsrc=size=320x240:rate=10:duration=3"}
	audio := []string{"-f", "lavfi", "-i", "sine=frequency=600:duration=3"}
	vp8 := []string{"-c:v", "libvpx", "-g", "5", "-deadline", "realtime"}
	vp9 := []string{"-pix_fmt", "yuv420p", "-c:v", "libvpx-vp9", "-g", "10", "-deadline", "realtime", "-cpu-used", "8"}
	av1 := []string{"-pix_fmt", "yuv420p", "-c:v", "libaom-av1", "-g", "10", "-usage", "realtime", "-cpu-used", "8"}
	h264 := []string{"-c:v", "libx264", "-g", "5", "-bf", "0", "-pix_fmt", "yuv420p", "-profile:v", "baseline"}
	opus := []string{"-c:a", "libopus"}
	extension := filepath.Ext(file)
	args := map[string][]string{
		".ivf":  slices.Concat(video, vp8),
		".h264": slices.Concat(video, h264),
		".ogg":  slices.Concat(audio, opus),
		".wav":  slices.Concat(audio, []string{"-ar", "22050"}),
		".y4m":  slices.Concat(video, []string{"-pix_fmt", "yuv444p"}),
		".webm": slices.Concat(video, audio, vp8, opus),
		".mkv":  slices.Concat(video, audio, h264, opus),
		".mp4":  slices.Concat(video, audio, h264, opus),
	}[extension]
	switch name := filepath.Base(file); {
	case strings.HasPrefix(name, "large."):
		args = append(args, "-s", "640x480")
	case strings.HasPrefix(name, "vp9."):
		args = slices.Concat(video, vp9)
	case strings.HasPrefix(name, "av1."):
		args = slices.Concat(video, av1)
	case strings.HasPrefix(name, "b."):
		args = slices.Concat(video, h264, []string{"-profile:v", "main", "-bf", "2"})
	case strings.HasPrefix(name, "yuv444."):
		args = slices.Concat(video, h264, []string{"-profile:v", "high444", "-pix_fmt", "yuv444p"})
	case strings.HasPrefix(name, "tenbit."):
		args = slices.Concat(video, vp9, []string{"-pix_fmt", "yuv420p10le"})
	}
	if args == nil {
		return fmt.Errorf("no sample for %s", filepath.Ext(file))
	}
	out, err := exec.Command("ffmpeg", append(append([]string{"-v", "error", "-y"}, args...), file)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ffmpeg: %w (install ffmpeg)\n%s", err, out)
	}
	return nil
}

// Stream describes the packets of one stream of a file.
type Stream struct {
	Frames   int
	Duration float64 // seconds, from the first packet to the last
	End      float64 // when the last packet begins, in seconds
	Pause    float64 // the longest time between two packets, in seconds
}

// FFprobeStream describes the first stream of a kind, "v" or "a".
func FFprobeStream(file, kind string) (Stream, error) {
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", kind+":0", "-show_entries",
		"packet=pts_time", "-of", "csv=p=0", file).CombinedOutput()
	if err != nil {
		return Stream{}, fmt.Errorf("ffprobe %s: %w\n%s", filepath.Base(file), err, out)
	}
	times := strings.Fields(strings.ReplaceAll(string(out), ",", ""))
	if len(times) == 0 {
		return Stream{}, fmt.Errorf("%s has no packets of kind %s", filepath.Base(file), kind)
	}
	all := make([]float64, len(times))
	pause := 0.0
	for i, text := range times {
		if all[i], err = strconv.ParseFloat(text, 64); err != nil {
			return Stream{}, err
		}
		pause = max(pause, all[i]-all[max(0, i-1)])
	}
	last := all[len(all)-1]
	return Stream{len(all), last - all[0], last, pause}, nil
}
