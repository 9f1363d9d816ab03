package webtest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"os/exec"
	"time"
)

// Video is what a video element shows.
type Video struct {
	Width, Height int // of the video, in pixels
	Frames        int // shown so far
}

// RemoteVideo is what #remoteVideo shows.
func (tab *Tab) RemoteVideo() Video {
	tab.t.Helper()
	return tab.Video("#remoteVideo")
}

// Video is what the video element shows that matches the selector.
func (tab *Tab) Video(selector string) Video {
	tab.t.Helper()
	var v Video
	if err := tab.Eval(`(v => ({Width: v.videoWidth, Height: v.videoHeight, Frames: `+shown("v")+`}))(`+element(selector)+`)`, &v); err != nil {
		tab.Fatalf("%v", err)
	}
	return v
}

// WaitFrames waits until #remoteVideo has shown that many frames more.
func (tab *Tab) WaitFrames(more int) Video {
	tab.t.Helper()
	before := tab.RemoteVideo().Frames
	// A new stream may begin to count at zero.
	tab.Wait(fmt.Sprintf(`(v => { const n = %s; return n >= %d || n < %d && n >= %d; })(%s)`,
		shown("v"), before+more, before, more, element("#remoteVideo")))
	return tab.RemoteVideo()
}

// shown is the number of frames a video element has shown. Firefox counts none
// of a MediaStream in the standard's totalVideoFrames, but in a number of its own.
func shown(v string) string {
	return `Math.max(` + v + `.getVideoPlaybackQuality().totalVideoFrames, ` + v + `.mozPaintedFrames ?? 0)`
}

// RemoteTone is the loudest frequency, in Hz, of the audio that #remoteVideo
// plays, as received: 1.5 seconds of it are recorded by the browser, decoded by
// ffmpeg and transformed here. RemoteTone is 0 when all is silent. (An AudioContext
// would be simpler, but in Firefox it stays suspended without an audio device.)
func (tab *Tab) RemoteTone() float64 {
	tab.t.Helper()
	pcm, err := tab.record("#remoteVideo", 1500*time.Millisecond, 1)
	if err != nil {
		tab.Fatalf("cannot record the remote audio: %v", err)
	}
	return Tone(pcm, toneRate)
}

// RemoteLevels returns the RMS levels of the left and the right channel, in dB of full scale, of
// the audio that #remoteVideo plays, recorded as for [Tab.RemoteTone].
func (tab *Tab) RemoteLevels() (left, right float64) {
	tab.t.Helper()
	pcm, err := tab.record("#remoteVideo", 1500*time.Millisecond, 2)
	if err != nil {
		tab.Fatalf("cannot record the remote audio: %v", err)
	}
	var power [2]float64
	for i, v := range pcm {
		power[i%2] += v * v / float64(len(pcm)/2)
	}
	return 10 * math.Log10(power[0]), 10 * math.Log10(power[1])
}

// WaitTone waits until RemoteTone is within 15 Hz of hz.
func (tab *Tab) WaitTone(hz float64) {
	tab.t.Helper()
	ctx, cancel := tab.context()
	defer cancel()
	var heard []float64
	for ctx.Err() == nil {
		f := tab.RemoteTone()
		if math.Abs(f-hz) < 15 {
			return
		}
		heard = append(heard, math.Round(f))
	}
	tab.Fatalf("no tone of %v Hz; heard %v", hz, heard)
}

const toneRate = 48000

// record returns interleaved samples of what the element plays, mixed to that many channels.
func (tab *Tab) record(selector string, d time.Duration, channels int) ([]float64, error) {
	var encoded string
	js := fmt.Sprintf(`(async () => {
		const tracks = %s.srcObject?.getAudioTracks() ?? [];
		if (!tracks.length) throw new Error('it plays no audio');
		const recorder = new MediaRecorder(new MediaStream(tracks));
		const parts = [];
		recorder.ondataavailable = e => parts.push(e.data);
		const stopped = new Promise((resolve, reject) => { recorder.onstop = resolve; recorder.onerror = e => reject(e.error); });
		recorder.start();
		await new Promise(resolve => setTimeout(resolve, %d));
		recorder.stop();
		await stopped;
		const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
		let text = '';
		for (const b of bytes) text += String.fromCharCode(b);
		return btoa(text);
	})()`, element(selector), d.Milliseconds())
	if err := tab.Eval(js, &encoded); err != nil {
		return nil, err
	}
	file, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	return decode(file, channels)
}

// decode has ffmpeg turn an audio file into interleaved samples.
func decode(file []byte, channels int) ([]float64, error) {
	binaryPath, err := exec.LookPath("ffmpeg")
	if err != nil {
		return nil, fmt.Errorf("no ffmpeg on this machine; install it with: apt-get install ffmpeg")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binaryPath, "-v", "error", "-i", "pipe:0", "-ac", fmt.Sprint(channels), "-ar", fmt.Sprint(toneRate), "-f", "f32le", "pipe:1")
	cmd.Stdin = bytes.NewReader(file)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	raw, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("ffmpeg cannot decode the %d bytes recorded: %w: %s", len(file), err, talk.String())
	}
	samples := make([]float64, len(raw)/4)
	for i := range samples {
		samples[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
	}
	return samples, nil
}

// element throws when the selector matches nothing, in words.
func element(selector string) string {
	s := quote(selector)
	return `(document.querySelector(` + s + `) ?? (() => { throw new Error('no element ' + ` + s + `); })())`
}
