//go:build !quick

package web_test

import (
	"testing"

	"parley/signal/web/webtest"
)

// canvasScreen is a screen for Firefox, which has none when it is headless.
const canvasScreen = `if (navigator.mediaDevices) {
	MediaDevices.prototype.getDisplayMedia = async () => {
		const canvas = document.createElement('canvas'), context = canvas.getContext('2d');
		canvas.width = 800;
		canvas.height = 600;
		let n = 0;
		const draw = () => {
			context.fillStyle = n++ % 2 ? 'navy' : 'orange';
			context.fillRect(0, 0, 800, 600);
		};
		draw();
		setInterval(draw, 50);
		return canvas.captureStream();
	};
}`

// A screen takes the place of the camera, which is closed meanwhile, without an offer. It ends by
// the page's button and by the browser's own.
func TestShareScreen(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		preload := []string{countDevices}
		if b.Name() == "firefox" {
			preload = append(preload, canvasScreen)
		}
		preload = append(preload, `if (navigator.mediaDevices) {
			const open = MediaDevices.prototype.getDisplayMedia;
			MediaDevices.prototype.getDisplayMedia = async function (constraints) {
				return window[Symbol.for('screen')] = await open.call(this, constraints);
			};
		}`)
		alice, bob := inCall(b, host(t), preload...)
		// A camera is scaled by halves and quarters, and a screen is sent as it is.
		const screen = `document.querySelector('#remoteVideo').videoWidth === 800`
		const camera = `(v => v.videoWidth !== 800 && v.videoWidth * 9 === v.videoHeight * 16)(document.querySelector('#remoteVideo'))`
		bob.WaitFrames(3)
		bob.Wait(camera)
		remember(t, alice, descriptions)

		alice.Click("#shareBtn")
		bob.Wait(screen)
		bob.WaitFrames(3)
		bob.WaitTone(tone(b)) // the microphone, and the audio of the screen where there is some
		alice.Wait(`document.querySelector('#sharing').checkVisibility() && document.querySelector('#shareBtn').getAttribute('aria-pressed') === 'true'`)
		alice.Wait(`window[Symbol.for('devices')].every(track => track.kind === 'audio' || track.readyState === 'ended')`)
		alice.Click("#stopShareBtn")
		bob.Wait(camera)
		bob.WaitFrames(3)
		alice.Wait(`!document.querySelector('#sharing').checkVisibility() && window[Symbol.for('screen')].getTracks().every(track => track.readyState === 'ended')`)

		alice.Click("#shareBtn")
		bob.Wait(screen)
		do(t, alice, `(track => { track.stop(); track.dispatchEvent(new Event('ended')); })(window[Symbol.for('screen')].getVideoTracks()[0])`)
		bob.Wait(camera)
		bob.WaitFrames(3)
		bob.WaitTone(tone(b))
		alice.Wait(`!document.querySelector('#sharing').checkVisibility()`)
		same(t, alice, descriptions)

		alice.Click("#shareBtn")
		bob.Wait(screen)
		bob.Click("#hangUpBtn")
		waitPhase(alice, "idle")
		alice.Wait(devicesAreClosed + ` && window[Symbol.for('screen')].getTracks().every(track => track.readyState === 'ended')`)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// A screen is shared without a camera, too.
func TestShareScreenWithoutCamera(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob&answer=1")
		waitPhase(bob, "idle")
		preload := []string{countDevices}
		if b.Name() == "firefox" {
			preload = append(preload, canvasScreen)
		}
		alice := open(b, at+"/?as=alice&call=bob&video=0", preload...)
		waitPhase(alice, "talking")
		bob.Wait(`document.querySelector('#avatar').checkVisibility()`)
		alice.Click("#shareBtn")
		bob.WaitFrames(3)
		alice.Click("#shareBtn")
		bob.Wait(`document.querySelector('#avatar').checkVisibility()`)
		alice.Wait(`window[Symbol.for('devices')].every(track => track.kind === 'audio')`)
		alice.NoErrors()
		bob.NoErrors()
	})
}
