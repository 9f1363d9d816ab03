//go:build formats

package ffmpeg

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/thesyncim/gopus"
	"github.com/thesyncim/gopus/container/ogg"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// formatFile is a file of one producer that is sent and recorded.
type formatFile struct {
	name     string
	producer string
	record   string  // extension of the recording
	constant bool    // the audio is the same all the time
	preRoll  float64 // seconds before an edit, which decoders need and players do not show, but a call sends
	make     func(t *testing.T, dir, path string)
}

// The content of each file: 3 s of video that flashes white, and of audio that is loud, between 1.5
// s and 1.7 s. The left channel has twice the amplitude of the right one.
const (
	flashVideo = "testsrc2=size=%s:rate=%d:duration=3,lutyuv=y=val/4,drawbox=color=white:t=fill:enable='between(t,1.5,1.7)'"
	beepAudio  = "aevalsrc='if(between(t,1.5,1.7),0.6,0.01)*sin(2*PI*880*t)|if(between(t,1.5,1.7),0.3,0.005)*sin(2*PI*880*t)':s=48000:d=3"
	beepMono   = "aevalsrc='if(between(t,1.5,1.7),0.6,0.01)*sin(2*PI*880*t)':s=48000:d=3"
)

func runTool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// byFFmpeg makes a file with ffmpeg; video and audio are the sources of lavfi, "" for none.
func byFFmpeg(video, audio string, options ...string) func(*testing.T, string, string) {
	return func(t *testing.T, _, path string) {
		t.Helper()
		args := []string{"-v", "error", "-y"}
		for _, input := range []string{video, audio} {
			if input != "" {
				args = append(args, "-f", "lavfi", "-i", input)
			}
		}
		runTool(t, "ffmpeg", append(append(args, options...), path)...)
	}
}

func video(size string, rate int) string { return fmt.Sprintf(flashVideo, size, rate) }

// formatFiles lists the files of all producers.
func formatFiles() []formatFile {
	v := video("320x240", 25)
	words := strings.Fields
	vp8, vp9 := words("-c:v libvpx -deadline realtime -b:v 1M"), words("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 1M")
	av1 := words("-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 1M")
	h264 := words("-c:v libx264 -preset ultrafast -bf 0 -pix_fmt yuv420p -profile:v baseline -g 25")
	opus := words("-c:a libopus -b:a 128k")
	all := slices.Concat[[]string]
	files := []formatFile{
		{"vp8-opus.webm", "ffmpeg libvpx", ".webm", false, 0, byFFmpeg(v, beepAudio, all(vp8, opus)...)},
		{"vp9-opus.webm", "ffmpeg libvpx-vp9", ".webm", false, 0, byFFmpeg(v, beepAudio, all(vp9, opus)...)},
		{"av1-opus.webm", "ffmpeg libaom", ".webm", false, 0, byFFmpeg(v, beepAudio, all(av1, opus)...)},
		{"svtav1.mkv", "ffmpeg libsvtav1", ".webm", false, 0, byFFmpeg(v, beepAudio, all(words("-c:v libsvtav1 -preset 12 -svtav1-params pred-struct=1"), opus)...)},
		{"live.webm", "ffmpeg -live 1", ".webm", false, 0, byFFmpeg(v, beepAudio, all(vp8, opus, words("-live 1"))...)},
		{"cues-first.webm", "ffmpeg -cues_to_front 1", ".webm", false, 0, byFFmpeg(v, beepAudio, all(vp8, opus, words("-cues_to_front 1"))...)},
		{"short-clusters.webm", "ffmpeg -cluster_time_limit 100", ".webm", false, 0, byFFmpeg(v, beepAudio, all(vp8, opus, words("-cluster_time_limit 100"))...)},
		{"dash.webm", "ffmpeg -dash 1", ".webm", false, 0, byFFmpeg(v, "", all(vp9, words("-dash 1"))...)},
		{"h264-opus.mkv", "ffmpeg libx264", ".mp4", false, 0, byFFmpeg(v, beepAudio, all(h264, opus)...)},
		{"variable-rate.mkv", "ffmpeg -vf select", ".mp4", false, 0, byFFmpeg(v+`,select='not(mod(n\,3))+between(n\,30\,50)'`, beepAudio, all(h264, opus, words("-fps_mode vfr"))...)},
		{"delayed-audio.mkv", "ffmpeg -af adelay, start at 0.4 s", ".mp4", false, 0, byFFmpeg(v, beepAudio+",asetpts=PTS+0.4/TB", all(h264, opus)...)},
		{"remux.mkv", "mkvmerge", ".webm", false, 0, func(t *testing.T, dir, path string) {
			byFFmpeg(v, beepAudio, all(vp8, opus)...)(t, dir, dir+"/a.webm")
			runTool(t, "mkvmerge", "-q", "-o", path, dir+"/a.webm")
		}},
		{"laced.mkv", "mkvmerge, laced audio", ".webm", false, 0, func(t *testing.T, dir, path string) {
			byFFmpeg(v, beepAudio, all(vp8, opus)...)(t, dir, dir+"/a.webm")
			runTool(t, "mkvmerge", "-q", "--engage", "lacing_xiph", "-o", path, dir+"/a.webm")
		}},
		{"h264-opus.mp4", "ffmpeg", ".mp4", false, 0, byFFmpeg(v, beepAudio, all(h264, opus)...)},
		{"faststart.mp4", "ffmpeg -movflags faststart", ".mp4", false, 0, byFFmpeg(v, beepAudio, all(h264, opus, words("-movflags faststart"))...)},
		{"fragments.mp4", "ffmpeg -movflags frag_keyframe+empty_moov", ".mp4", false, 0, byFFmpeg(v, beepAudio, all(h264, opus, words("-movflags frag_keyframe+empty_moov"))...)},
		{"one-frame-fragments.mp4", "ffmpeg -movflags frag_every_frame", ".mp4", false, 0, byFFmpeg(v, beepAudio, all(h264, opus, words("-movflags frag_every_frame+empty_moov+default_base_moof"))...)},
		{"cmaf.mp4", "ffmpeg -movflags cmaf", ".mp4", false, 0, byFFmpeg(v, beepAudio, all(h264, opus, words("-movflags cmaf+delay_moov"))...)},
		{"vp9.mp4", "ffmpeg libvpx-vp9", ".webm", false, 0, byFFmpeg(v, beepAudio, all(vp9, opus)...)},
		{"av1.mp4", "ffmpeg libaom", ".webm", false, 0, byFFmpeg(v, beepAudio, all(av1, opus)...)},
		{"edit-list.mp4", "ffmpeg -itsoffset 0.3", ".mp4", false, 0, func(t *testing.T, dir, path string) {
			byFFmpeg(v, beepAudio, all(h264, opus)...)(t, dir, dir+"/a.mp4")
			runTool(t, "ffmpeg", "-v", "error", "-y", "-i", dir+"/a.mp4", "-itsoffset", "0.3", "-i", dir+"/a.mp4", "-map", "0:v", "-map", "1:a", "-c", "copy", path)
		}},
		{"cut.mp4", "ffmpeg -ss 0.5 -c copy", ".mp4", false, 0.5, func(t *testing.T, dir, path string) {
			byFFmpeg(v, beepAudio, all(h264, opus)...)(t, dir, dir+"/a.mp4")
			runTool(t, "ffmpeg", "-v", "error", "-y", "-ss", "0.5", "-i", dir+"/a.mp4", "-c", "copy", path)
		}},
		{"rotated.mp4", "ffmpeg -metadata:s:v:0 rotate=90", ".mp4", false, 0, func(t *testing.T, dir, path string) {
			byFFmpeg(v, beepAudio, all(h264, opus)...)(t, dir, dir+"/a.mp4")
			runTool(t, "ffmpeg", "-v", "error", "-y", "-i", dir+"/a.mp4", "-c", "copy", "-metadata:s:v:0", "rotate=90", path)
		}},
		{"quicktime.mov", "ffmpeg -f mov", ".mp4", false, 0, byFFmpeg(v, "", h264...)},
		{"high-profile.mp4", "ffmpeg -profile:v high", ".mp4", false, 0, byFFmpeg(v, beepAudio, all(words("-c:v libx264 -preset veryfast -bf 0 -pix_fmt yuv420p -profile:v high"), opus)...)},
		{"baseline.h264", "ffmpeg", ".mp4", false, 0, byFFmpeg(v, "", h264...)},
		{"slices.h264", "ffmpeg -slices 4", ".mp4", false, 0, byFFmpeg(v, "", all(h264, words("-slices 4"))...)},
		{"fast.h264", "ffmpeg, 50 frames/s", ".mp4", false, 0, byFFmpeg(video("320x240", 50), "", h264...)},
		{"vp8.ivf", "ffmpeg libvpx", ".webm", false, 0, byFFmpeg(v, "", vp8...)},
		{"vp9.ivf", "ffmpeg libvpx-vp9", ".webm", false, 0, byFFmpeg(v, "", vp9...)},
		{"av1.ivf", "ffmpeg libaom", ".webm", false, 0, byFFmpeg(v, "", av1...)},
		{"odd-size.webm", "ffmpeg, 641x361", ".webm", false, 0, byFFmpeg(video("641x361", 15), beepAudio, all(vp8, opus, words("-pix_fmt yuv420p"))...)},
		{"large.webm", "ffmpeg, 1280x720", ".webm", false, 0, byFFmpeg(video("1280x720", 15), beepAudio, all(vp8, opus)...)},
		{"limited.y4m", "ffmpeg", ".mp4", false, 0, byFFmpeg(video("320x240", 15), "", words("-pix_fmt yuv420p")...)},
		{"full-range-444.y4m", "ffmpeg -pix_fmt yuv444p", ".mp4", false, 0, byFFmpeg(video("320x240", 15), "", words("-pix_fmt yuv444p -color_range pc -strict -1")...)},
		{"gray.y4m", "ffmpeg -pix_fmt gray", ".mp4", false, 0, byFFmpeg(video("320x240", 15), "", words("-pix_fmt gray -strict -1")...)},
		{"stereo.ogg", "ffmpeg libopus", ".ogg", false, 0, byFFmpeg("", beepAudio, opus...)},
		{"mono.ogg", "ffmpeg libopus, 1 channel", ".ogg", false, 0, byFFmpeg("", beepMono, opus...)},
		{"60ms.ogg", "ffmpeg -frame_duration 60", ".ogg", false, 0, byFFmpeg("", beepAudio, all(opus, words("-frame_duration 60"))...)},
		{"120ms.ogg", "ffmpeg -frame_duration 120 -b:a 256k", ".ogg", false, 0, byFFmpeg("", beepAudio, words("-c:a libopus -frame_duration 120 -b:a 256k")...)},
		{"5ms.ogg", "ffmpeg -frame_duration 5", ".ogg", false, 0, byFFmpeg("", beepAudio, all(opus, words("-frame_duration 5"))...)},
		{"family1.ogg", "ffmpeg -mapping_family 1", ".ogg", false, 0, byFFmpeg("", beepAudio, all(opus, words("-mapping_family 1"))...)},
		{"opusenc.opus", "opusenc", ".ogg", false, 0, func(t *testing.T, dir, path string) {
			byFFmpeg("", beepAudio)(t, dir, dir+"/a.wav")
			runTool(t, "opusenc", "--quiet", "--bitrate", "96", "--comment", "TITLE="+strings.Repeat("long ", 20000), dir+"/a.wav", path)
		}},
		{"chained.ogg", "two files, joined", ".ogg", false, 0, func(t *testing.T, dir, path string) {
			byFFmpeg("", beepAudio, all(opus, words("-t 2"))...)(t, dir, dir+"/a.ogg")
			byFFmpeg("", "anullsrc=d=1:r=48000", opus...)(t, dir, dir+"/b.ogg")
			a, _ := os.ReadFile(dir + "/a.ogg")
			b, _ := os.ReadFile(dir + "/b.ogg")
			if err := os.WriteFile(path, append(a, b...), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"s16.wav", "ffmpeg, 44100 Hz", ".ogg", false, 0, byFFmpeg("", beepAudio, words("-ar 44100")...)},
		{"s24.wav", "ffmpeg pcm_s24le", ".ogg", false, 0, byFFmpeg("", beepAudio, words("-c:a pcm_s24le")...)},
		{"f32.wav", "ffmpeg pcm_f32le", ".ogg", false, 0, byFFmpeg("", beepAudio, words("-c:a pcm_f32le")...)},
		{"u8.wav", "ffmpeg pcm_u8, 8000 Hz", ".ogg", false, 0, byFFmpeg("", beepAudio, words("-c:a pcm_u8 -ar 8000")...)},
		{"alaw.wav", "ffmpeg pcm_alaw", ".ogg", false, 0, byFFmpeg("", beepAudio, words("-c:a pcm_alaw -ar 8000")...)},
		{"rf64.wav", "ffmpeg -rf64 always", ".ogg", false, 0, byFFmpeg("", beepAudio, words("-rf64 always")...)},
		{"surround.wav", "ffmpeg, 5.1", ".ogg", false, 0, byFFmpeg("", beepAudio+",pan=5.1|FL=c0|FR=c1|FC=0*c0|LFE=0*c0|BL=0*c0|BR=0*c0")},
		{"sox.wav", "sox", ".ogg", false, 0, func(t *testing.T, dir, path string) {
			byFFmpeg("", beepAudio)(t, dir, dir+"/a.wav")
			runTool(t, "sox", dir+"/a.wav", "-r", "22050", "-b", "24", path)
		}},
		{"gst-vp8.webm", "GStreamer vp8enc, webmmux", ".webm", false, 0, byGStreamer("vp8enc deadline=1 target-bitrate=1000000", "webmmux")},
		{"gst-vp9.mkv", "GStreamer vp9enc, matroskamux", ".webm", false, 0, byGStreamer("vp9enc deadline=1 cpu-used=8", "matroskamux")},
		{"gst-h264.mp4", "GStreamer x264enc, mp4mux", ".mp4", false, 0, byGStreamer("x264enc bframes=0 speed-preset=ultrafast ! video/x-h264,profile=baseline", "mp4mux")},
		{"gst-h264-fragments.mp4", "GStreamer openh264enc, mp4mux fragment-duration=500", ".mp4", false, 0, byGStreamer("openh264enc ! h264parse", "mp4mux fragment-duration=500")},
		{"gst.ogg", "GStreamer opusenc, oggmux", ".ogg", false, 0, func(t *testing.T, dir, path string) {
			byFFmpeg("", beepAudio)(t, dir, dir+"/a.wav")
			runTool(t, "gst-launch-1.0", "-q", "filesrc", "location="+dir+"/a.wav", "!", "wavparse", "!", "audioconvert", "!", "opusenc", "!", "oggmux", "!", "filesink", "location="+path)
		}},
		{"gopus.ogg", "gopus", ".ogg", false, 0, byGopus},
		{"espeak.wav", "espeak-ng --stdout", ".ogg", false, 0, func(t *testing.T, _, path string) {
			out, err := exec.Command("espeak-ng", "--stdout", "The recording of this call is as long as this sentence.").Output()
			if err != nil {
				t.Fatalf("espeak-ng: %v", err)
			}
			if err := os.WriteFile(path, out, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
		{"arecord.wav", "arecord, from an ALSA device", ".ogg", false, 0, byARecord},
	}
	return files
}

// byGopus makes an Ogg file with the encoder and the muxer of gopus, with beepAudio as content.
func byGopus(t *testing.T, _, path string) {
	t.Helper()
	const rate, channels, samples = 48000, 2, 960
	encoder, err := gopus.NewEncoder(gopus.EncoderConfig{SampleRate: rate, Channels: channels, Application: gopus.ApplicationAudio})
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	muxer, err := ogg.NewWriter(&file, rate, channels)
	if err != nil {
		t.Fatal(err)
	}
	for start := 0; start < 3*rate; start += samples {
		pcm := make([]float32, 0, samples*channels)
		for i := start; i < start+samples; i++ {
			level := 0.01
			if at := float64(i) / rate; at >= 1.5 && at < 1.7 {
				level = 0.6
			}
			left := float32(level * math.Sin(2*math.Pi*880*float64(i)/rate))
			pcm = append(pcm, left, left/2)
		}
		packet, err := encoder.EncodeFloat32(pcm)
		if err != nil {
			t.Fatal(err)
		}
		if err := muxer.WritePacket(packet, samples); err != nil {
			t.Fatal(err)
		}
	}
	if err := muxer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// byARecord makes a file with arecord from the ALSA device of the machine that $PARLEY_LAB runs
// commands in: see package lab.
func byARecord(t *testing.T, dir, path string) {
	t.Helper()
	lab := os.Getenv("PARLEY_LAB")
	if lab == "" {
		t.Fatal("PARLEY_LAB is not set; run make formats, which says what it is")
	}
	script, err := filepath.Abs("../lab/testdata/arecord.sh")
	if err != nil {
		t.Fatal(err)
	}
	// Three beeps, so that one is recorded whenever arecord begins.
	const beeps = "aevalsrc='if(lt(mod(t,1),0.2),0.6,0.01)*sin(2*PI*880*t)|if(lt(mod(t,1),0.2),0.3,0.005)*sin(2*PI*880*t)':s=48000:d=3"
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	byFFmpeg("", beeps)(t, dir, filepath.Join(out, "played.wav"))
	runTool(t, lab, "-t", "240", "-o", out, "--", "bash", script, "/out/played.wav", "/out/recorded.wav")
	if err := os.Rename(filepath.Join(out, "recorded.wav"), path); err != nil {
		t.Fatal(err)
	}
}

// byGStreamer makes a file with an encoder and a muxer of GStreamer.
func byGStreamer(encoder, muxer string) func(*testing.T, string, string) {
	return func(t *testing.T, dir, path string) {
		t.Helper()
		byFFmpeg(video("320x240", 25), "", "-pix_fmt", "yuv420p")(t, dir, dir+"/a.y4m")
		byFFmpeg("", beepAudio)(t, dir, dir+"/a.wav")
		pipeline := fmt.Sprintf("%s name=m ! filesink location=%s filesrc location=%s ! y4mdec ! videoconvert ! %s ! queue ! m. "+
			"filesrc location=%s ! wavparse ! audioconvert ! audioresample ! opusenc bitrate=128000 ! queue ! m.", muxer, path, dir+"/a.y4m", encoder, dir+"/a.wav")
		runTool(t, "gst-launch-1.0", append([]string{"-q"}, strings.Fields(pipeline)...)...)
	}
}

// browserRecords has a page record its own video and audio with MediaRecorder.
const browserRecords = `(async () => {
	const canvas = document.createElement('canvas');
	canvas.width = 320; canvas.height = 240;
	document.body.append(canvas);
	const g = canvas.getContext('2d');
	const firefox = navigator.userAgent.includes('Firefox'); // has no AudioContext on a machine without an audio device
	const audio = firefox ? null : new AudioContext();
	const loud = {gain: {}};
	let audioTracks;
	if (firefox) {
		audioTracks = (await navigator.mediaDevices.getUserMedia({audio: true})).getTracks();
	} else {
		const gain = audio.createGain(), tone = audio.createOscillator(), left = audio.createGain(), right = audio.createGain();
		const merger = audio.createChannelMerger(2), out = audio.createMediaStreamDestination();
		loud.gain = gain.gain;
		tone.frequency.value = 880; gain.gain.value = 0.01; left.gain.value = 0.6; right.gain.value = 0.3;
		tone.connect(gain); gain.connect(left); gain.connect(right);
		left.connect(merger, 0, 0); right.connect(merger, 0, 1); merger.connect(out);
		tone.start();
		audioTracks = out.stream.getTracks();
	}
	let white = false, n = 0;
	const draw = () => {
		g.fillStyle = white ? '#fff' : '#222'; g.fillRect(0, 0, 320, 240);
		g.fillStyle = '#888'; g.fillRect(n++ %% 300, 100, 20, 20);
	};
	const timer = setInterval(draw, 40);
	const stream = new MediaStream([...canvas.captureStream(25).getTracks(), ...audioTracks]);
	const type = %q;
	if (!MediaRecorder.isTypeSupported(type)) return 'unsupported';
	const r = new MediaRecorder(stream, {mimeType: type, videoBitsPerSecond: 1e6});
	const parts = [];
	r.ondataavailable = e => parts.push(e.data);
	const stopped = new Promise(done => r.onstop = done);
	r.start();
	setTimeout(() => { white = true; loud.gain.value = 1; draw(); }, 1500);
	setTimeout(() => { white = false; loud.gain.value = 0.01; draw(); }, 1700);
	setTimeout(() => r.stop(), 3000);
	await stopped;
	clearInterval(timer);
	const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
	let text = '';
	for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
	return btoa(text);
})()`

// recordInBrowsers writes the files of MediaRecorder and returns those that the browsers can make.
func recordInBrowsers(t *testing.T, dir string) []formatFile {
	t.Helper()
	page, _ := e2etest.Serve(t)
	var files []formatFile
	for _, b := range []string{"chromium", "firefox"} {
		browser := e2etest.Browsers().Chromium(t, nil)
		if b == "firefox" {
			browser = e2etest.Browsers().Firefox(t, nil)
		}
		for _, kind := range []struct{ name, mime, record string }{
			{"vp8.webm", "video/webm;codecs=vp8,opus", ".webm"},
			{"vp9.webm", "video/webm;codecs=vp9,opus", ".webm"},
			{"h264.mkv", "video/x-matroska;codecs=avc1", ".mp4"},
			{"h264.webm", "video/webm;codecs=h264,opus", ".mp4"},
		} {
			tab := browser.NewTab()
			tab.Go(page + "/")
			var text string
			if err := tab.Eval(fmt.Sprintf(browserRecords, kind.mime), &text); err != nil {
				t.Fatalf("%s %s: %v", b, kind.mime, err)
			}
			tab.Close()
			if text == "unsupported" {
				continue
			}
			data, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			from := filepath.Join(dir, b+"-"+kind.name)
			if err := os.WriteFile(from, data, 0o600); err != nil {
				t.Fatal(err)
			}
			files = append(files, formatFile{b + "-" + kind.name, "MediaRecorder, " + kind.mime, kind.record, b == "firefox", 0, func(t *testing.T, _, path string) {
				if err := os.Rename(from, path); err != nil {
					t.Fatal(err)
				}
			}})
		}
	}
	return files
}

// measuredFile is what ffmpeg finds in a file.
type measuredFile struct {
	video, audio         string  // codecs, "" for none
	frames               int     // of video
	videoTime, audioTime float64 // length in seconds
	flash, beep          float64 // when they begin, in seconds; negative if they were not found
	balance              float64 // left to right during the beep, in dB
	channels             int     // of the stream
}

func measure(t *testing.T, path string) measuredFile {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "stream=codec_type,codec_name,channels", "-of", "json", path).Output()
	if err != nil {
		t.Fatalf("ffprobe %s: %v", path, err)
	}
	var probed struct {
		Streams []struct {
			Type     string `json:"codec_type"`
			Codec    string `json:"codec_name"`
			Channels int    `json:"channels"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(out, &probed); err != nil {
		t.Fatal(err)
	}
	m := measuredFile{flash: -1, beep: -1}
	for _, s := range probed.Streams {
		if s.Type == "video" {
			m.video = s.Codec
		} else if s.Type == "audio" {
			m.audio, m.channels = s.Codec, s.Channels
		}
	}
	if m.video != "" {
		m.measureVideo(t, path)
	}
	if m.audio != "" {
		m.measureAudio(t, path)
	}
	return m
}

// measureVideo counts the frames and finds the first white one.
func (m *measuredFile) measureVideo(t *testing.T, path string) {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough",
		"-vf", "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-", "-f", "null", "-").Output()
	if err != nil {
		t.Fatalf("ffmpeg %s: %v", path, err)
	}
	at, first := 0.0, -1.0
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		if _, text, ok := strings.Cut(lines.Text(), "pts_time:"); ok {
			at, _ = strconv.ParseFloat(strings.TrimSpace(text), 64)
			if m.frames++; first < 0 {
				first = at
			}
		}
		if _, text, ok := strings.Cut(lines.Text(), "YAVG="); ok && m.flash < 0 {
			if level, _ := strconv.ParseFloat(text, 64); level > 150 {
				m.flash = at
			}
		}
	}
	m.videoTime = at - first
}

// measureAudio finds the beep and the balance of its channels.
func (m *measuredFile) measureAudio(t *testing.T, path string) {
	t.Helper()
	const rate = 48000
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", path, "-map", "0:a:0", "-af", "aresample=async=1:first_pts=0", "-ac", "2",
		"-ar", strconv.Itoa(rate), "-f", "f32le", "-").Output()
	if err != nil {
		t.Fatalf("ffmpeg %s: %v", path, err)
	}
	sample := func(i, c int) float64 {
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(out[8*i+4*c:])))
	}
	n := len(out) / 8
	m.audioTime = float64(n) / rate
	var left, right float64
	for i := range n {
		if m.beep < 0 && math.Abs(sample(i, 0)) > 0.15 {
			m.beep = float64(i) / rate
		}
		if m.beep >= 0 && float64(i)/rate < m.beep+0.15 {
			left, right = left+sample(i, 0)*sample(i, 0), right+sample(i, 1)*sample(i, 1)
		}
	}
	if right > 0 {
		m.balance = 10 * math.Log10(left/right)
	}
}

// TestFormats sends files of many producers in calls and compares the recordings with the files:
// length, frames, channels and the offset between video and audio. It writes the table of the topic
// sources.
func TestFormats(t *testing.T) {
	dir := t.TempDir()
	files := formatFiles()
	files = append(files, recordInBrowsers(t, dir)...)
	_, server := e2etest.Serve(t)
	rows := make([]string, len(files))
	limit := make(chan struct{}, 2)
	for i, f := range files {
		t.Run(f.name, func(t *testing.T) {
			own := filepath.Join(dir, strconv.Itoa(i))
			if err := os.Mkdir(own, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(own, f.name)
			f.make(t, own, path)
			t.Parallel() // only now: nothing encodes during the calls
			limit <- struct{}{}
			defer func() { <-limit }()
			rows[i] = sendAndCompare(t, server, f, path, filepath.Join(own, "recorded"+f.record), fmt.Sprintf("f%d", i))
		})
	}
	t.Cleanup(func() {
		if t.Failed() || slices.Contains(rows, "") { // or only some were run
			return
		}
		writeFormatTable(t, rows)
	})
}

// sendAndCompare sends a file in a call, and returns a row of the table.
func sendAndCompare(t *testing.T, server string, f formatFile, path, recorded, name string) string {
	t.Helper()
	want := measure(t, path)
	answer := e2etest.Start(t, "answer", "--once", "--as", name, "--server", server, "--record", recorded, "--timeout", "90s")
	answer.Says(t, "waiting for calls")
	args := []string{"call", name, "--server", server, "--as", name + "-caller", "--duration", "4500ms", "--timeout", "60s"}
	if want.video != "" {
		args = append(args, "--video", path)
	}
	if want.audio != "" {
		args = append(args, "--audio", path)
	}
	call := e2etest.Start(t, args...)
	call.Ends(t, 0)
	answer.Ends(t, 0)
	got := measure(t, recorded)
	longest, most := 0.25+f.preRoll, want.frames+int(math.Ceil(25*f.preRoll))
	if want.video != "" {
		if diff := got.videoTime - want.videoTime; diff < -0.25 || diff > longest {
			t.Errorf("%.2f s of video, want %.2f s", got.videoTime, want.videoTime)
		}
		if got.frames < want.frames*9/10 || got.frames > most {
			t.Errorf("%d frames, want %d", got.frames, want.frames)
		}
		if got.flash < 0 {
			t.Error("the flash is not in the video")
		}
	}
	if want.audio != "" {
		if diff := got.audioTime - want.audioTime; diff < -0.25 || diff > longest {
			t.Errorf("%.2f s of audio, want %.2f s", got.audioTime, want.audioTime)
		}
		if f.constant {
			want.balance = got.balance
		} else if got.beep < 0 || math.Abs(got.balance-want.balance) > 1.5 {
			t.Errorf("the beep is at %.2f s with a balance of %.1f dB, want %.1f dB", got.beep, got.balance, want.balance)
		}
	}
	offset, wantOffset := "", ""
	if want.video != "" && want.audio != "" && !f.constant {
		offset = fmt.Sprintf("%+.0f", 1000*(got.flash-got.beep))
		wantOffset = fmt.Sprintf("%+.0f", 1000*(want.flash-want.beep))
		if diff := (got.flash - got.beep) - (want.flash - want.beep); math.Abs(diff) > 0.06 {
			t.Errorf("video is %s ms after audio, want %s ms", offset, wantOffset)
		}
	}
	balance := func(m measuredFile) string {
		if m.audio == "" {
			return ""
		}
		return fmt.Sprintf("%.1f", m.balance)
	}
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	length := func(m measuredFile) string { return fmt.Sprintf("%.2f", max(m.videoTime, m.audioTime)) }
	pair := func(want, got string) string {
		if want == "" && got == "" {
			return "–"
		}
		return want + " / " + got
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |", f.name, f.producer,
		strings.Trim(want.video+" + "+want.audio, " +"), pair(length(want), length(got)), pair(number(want.frames), number(got.frames)),
		pair(balance(want), balance(got)), pair(wantOffset, offset))
}

// writeFormatTable replaces the table in the topic sources.
func writeFormatTable(t *testing.T, rows []string) {
	t.Helper()
	table := "<!-- formats -->\n\n| file | producer | codecs | length (s) | frames | left : right (dB) | video after audio (ms) |\n|---|---|---|---|---|---|---|\n" +
		strings.Join(rows, "\n") + "\n\n<!-- /formats -->\n"
	if err := e2etest.RewriteTopic("sources", "formats", table); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files, %s", len(rows), time.Now().Format(time.DateOnly))
}
