//go:build bench

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

const firstFrameRounds = 15

// signaling is a client of the protocol in a page: it logs in as name and hands messages on.
const signaling = `
const logIn = name => new Promise((resolve, reject) => {
	const ws = new WebSocket(location.origin.replace('http', 'ws'));
	ws.send_ = m => ws.send(JSON.stringify(m));
	ws.onopen = () => ws.send_({type: 'login', name});
	ws.onerror = reject;
	ws.onmessage = e => {
		const m = JSON.parse(e.data);
		if (m.type === 'login') m.success ? resolve(ws) : reject(m.message);
		else ws.handle?.(m);
	};
});`

// answering makes a page answer calls with video of its camera, which is open already. Its sender
// is configured to begin with 1280x720: by itself it begins with 320x180 and takes up to 30 s.
const answering = `(async () => {` + signaling + `
	const stream = await navigator.mediaDevices.getUserMedia({video: {width: {exact: 1280}, height: {exact: 720}}});
	stream.getVideoTracks()[0].contentHint = 'detail';
	const ws = await logIn('libwebrtc');
	let pc, queue;
	ws.handle = async m => {
		if (m.type === 'offer') {
			pc = new RTCPeerConnection();
			const mine = pc, to = m.name, waiting = queue = [];
			pc.onicecandidate = e => e.candidate && ws.send_({type: 'candidate', candidate: e.candidate, name: to});
			const sdp = m.offer.sdp.replace(/(a=rtpmap:(\d+) VP8\/90000\r\n)/,
				'$1a=fmtp:$2 x-google-start-bitrate=5000;x-google-min-bitrate=2500;x-google-max-bitrate=10000\r\n');
			await pc.setRemoteDescription({type: 'offer', sdp});
			const sender = pc.addTrack(stream.getVideoTracks()[0], stream);
			await pc.setLocalDescription();
			const parameters = sender.getParameters();
			parameters.degradationPreference = 'maintain-resolution';
			await sender.setParameters(parameters);
			ws.send_({type: 'answer', answer: pc.localDescription, name: to});
			queue = null;
			for (const c of waiting) await mine.addIceCandidate(c);
		} else if (m.type === 'candidate') {
			queue ? queue.push(m.candidate) : pc?.addIceCandidate(m.candidate).catch(() => {});
		} else if (m.type === 'leave') {
			pc?.close();
		}
	};
})()`

// calling makes a page call a name and wait for the first decoded frame of 1280x720. It returns the
// milliseconds from createOffer to the connection, to the first frame and to that frame, and the
// width of the first frame.
const calling = `(async () => {` + signaling + `
	const ws = await logIn('viewer-' + Math.random().toString(36).slice(2));
	const pc = new RTCPeerConnection();
	const video = document.createElement('video');
	video.muted = video.autoplay = true;
	document.body.append(video);
	const frames = [];
	const whole = new Promise((resolve, reject) => {
		const look = (now, data) => {
			frames.push([performance.now(), data.width]);
			data.width === 1280 && data.height === 720 ? resolve() : video.requestVideoFrameCallback(look);
		};
		video.requestVideoFrameCallback(look);
		setTimeout(reject, 30000, 'no frame of 1280x720 within 30 s');
	});
	pc.ontrack = e => { video.srcObject = new MediaStream([e.track]); };
	pc.onicecandidate = e => e.candidate && ws.send_({type: 'candidate', candidate: e.candidate, name: %[1]q});
	const waiting = [];
	let described = false;
	ws.handle = async m => {
		if (m.type === 'answer') {
			await pc.setRemoteDescription(m.answer);
			described = true;
			for (const c of waiting) pc.addIceCandidate(c);
		} else if (m.type === 'candidate') {
			described ? pc.addIceCandidate(m.candidate) : waiting.push(m.candidate);
		}
	};
	pc.addTransceiver('video', {direction: 'recvonly'});
	const began = performance.now();
	let connected = 0;
	pc.onconnectionstatechange = () => { if (pc.connectionState === 'connected') connected ||= performance.now() - began; };
	await pc.setLocalDescription();
	ws.send_({type: 'offer', offer: pc.localDescription, name: %[1]q});
	await whole;
	ws.send_({type: 'leave', name: %[1]q});
	pc.close();
	ws.close();
	video.remove();
	return {connected, first: frames[0][0] - began, width: frames[0][1], whole: frames.at(-1)[0] - began};
})()`

// TestBenchFirstFrame measures how long it takes until Chromium has decoded the first frame of
// 1280x720 that a peer sends when it is called: parley with a file beside libwebrtc, in another
// Chromium whose camera is open already. Both send VP8. They are called in turns.
func TestBenchFirstFrame(t *testing.T) {
	page, server := e2etest.Serve(t)
	film := filepath.Join(t.TempDir(), "film.webm")
	if out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=1280x720:rate=30:duration=10", "-c:v", "libvpx",
		"-b:v", "1500k", "-g", "60", "-deadline", "realtime", "-cpu-used", "8", film).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v (install ffmpeg)\n%s", err, out)
	}
	e2etest.Builds[len(e2etest.Builds)-1].Start(t, os.Environ(), "answer", "--as", "parley", "--server", server, "--video", film, "--loop")
	sender := webtest.Chromium(t, &webtest.Options{ShowAddresses: true}).Open(page + "/hello.html")
	if err := sender.Eval(answering, nil); err != nil {
		t.Fatal(err)
	}
	viewer := webtest.Chromium(t, &webtest.Options{ShowAddresses: true}).Open(page + "/hello.html")
	steps := []string{"the connection", "the first decoded frame", "the first decoded frame of 1280x720"}
	took := map[string][3][]float64{}
	widths := map[string][]int{}
	for range firstFrameRounds {
		for _, peer := range []string{"parley", "libwebrtc"} {
			var got struct {
				Connected, First, Whole float64
				Width                   int
			}
			if err := viewer.Eval(fmt.Sprintf(calling, peer), &got); err != nil {
				t.Fatal(err)
			}
			all := took[peer]
			for i, v := range []float64{got.Connected, got.First, got.Whole} {
				all[i] = append(all[i], v)
			}
			took[peer], widths[peer] = all, append(widths[peer], got.Width)
		}
	}
	fmt.Printf("\n| ms from createOffer in Chromium, median of %d | parley | libwebrtc | ratio |\n|---|---:|---:|---:|\n", firstFrameRounds)
	for i, step := range steps {
		ours, theirs := median(took["parley"][i]), median(took["libwebrtc"][i])
		fmt.Printf("| to %s | %.0f | %.0f | %.2f |\n", step, ours, theirs, ours/theirs)
	}
	for peer, all := range widths {
		if first := slices.Max(all); first != 1280 || slices.Min(all) != first {
			t.Logf("%s: widths of the first frames: %v", peer, all)
		}
	}
}

func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}
