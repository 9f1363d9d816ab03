//go:build !quick

package web_test

import (
	"testing"

	"parley/signal/web/webtest"
)

// severalDevices has a browser with several fake devices: Chromium has them, and the second camera
// gives depths alone.
var severalDevices = &webtest.Options{Args: []string{"--use-fake-device-for-media-stream=device-count=3"}}

// descriptions is a JavaScript expression: both descriptions of the newest connection. They change
// with each offer.
const descriptions = `(pc => pc.localDescription.sdp + pc.remoteDescription.sdp)(window[Symbol.for('webtest.peers')].at(-1))`

// remember keeps the value of an expression for same.
func remember(t *testing.T, tab *webtest.Tab, js string) {
	t.Helper()
	do(t, tab, `void (window[Symbol.for('remembered')] = `+js+`)`)
}

// same fails if an expression has another value than when it was remembered.
func same(t *testing.T, tab *webtest.Tab, js string) {
	t.Helper()
	var is bool
	if err := tab.Eval(`window[Symbol.for('remembered')] === `+js, &is); err != nil || !is {
		t.Errorf("%.60s has changed: %v", js, err)
	}
}

// choose selects an option of a list as a user does.
func choose(t *testing.T, tab *webtest.Tab, selector, value string) {
	t.Helper()
	do(t, tab, `(list => { list.value = `+value+`; list.dispatchEvent(new Event('change')); })(document.querySelector(`+quote(selector)+`))`)
}

// A preview opens the devices that the user asked to see, and closes them again.
func TestPreview(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		tab := open(b, host(t)+"/?as=alice", countDevices)
		waitPhase(tab, "idle")
		tab.Wait(`window[Symbol.for('devices')].length === 0`)
		tab.Click("#previewBtn")
		tab.Wait(`(v => v.videoWidth === 1280 && v.videoHeight === 720)(document.querySelector('#previewVideo'))`)
		tab.Wait(`[...document.querySelectorAll('#cameraSelect option, #microphoneSelect option')].every(o => o.value && o.text)`)
		if b.Name() == "chromium" { // Firefox processes no audio without a device to play it by
			tab.Wait(`document.querySelector('#levelMeter').value > 0.3`)
		}
		choose(t, tab, "#sizeSelect", `'640x360'`)
		tab.Wait(`(v => v.videoWidth === 640 && v.videoHeight === 360)(document.querySelector('#previewVideo'))`)
		tab.Press(webtest.Escape)
		tab.Wait(`!document.querySelector('dialog[open]') && document.activeElement.id === 'previewBtn'`)
		tab.Wait(devicesAreClosed)

		tab.Reload() // the choice is kept
		waitPhase(tab, "idle")
		tab.Click("#previewBtn")
		tab.Wait(`document.querySelector('#previewVideo').videoWidth === 640`)
		tab.Click("#devicesDialog [data-close]")
		tab.Wait(devicesAreClosed)
		tab.NoErrors()
	})
}

// Devices and the size change in a call without an offer.
func TestSwitchDevices(t *testing.T) {
	for _, b := range []func(*testing.T) *webtest.Browser{
		func(t *testing.T) *webtest.Browser { return browsers.Chromium(t, severalDevices) },
		func(t *testing.T) *webtest.Browser { return browsers.Firefox(t, nil) },
	} {
		b := b(t)
		t.Run(b.Name(), func(t *testing.T) {
			b := b.For(t)
			alice, bob := inCall(b, host(t), countDevices)
			bob.WaitFrames(3)
			remember(t, alice, descriptions)
			alice.Click("#devicesBtn")
			alice.Wait(`document.querySelector('#previewVideo').videoWidth === 1280`)
			const settings = `document.querySelector('#localVideo').srcObject.getVideoTracks()[0]?.getSettings()`
			choose(t, alice, "#sizeSelect", `'640x360'`)
			alice.Wait(settings + `.width === 640`)
			if b.Name() == "chromium" {
				other := `[...document.querySelectorAll('#cameraSelect option')].at(-1).value`
				alice.Wait(other + ` !== document.querySelector('#cameraSelect').value`)
				choose(t, alice, "#cameraSelect", other)
				alice.Wait(settings + `.deviceId === ` + other)
				choose(t, alice, "#microphoneSelect", `[...document.querySelectorAll('#microphoneSelect option')].at(-1).value`)
				alice.Wait(`document.querySelector('#localVideo').srcObject.getAudioTracks()[0]?.label === 'Fake Audio Input 2'`)
				choose(t, alice, "#speakerSelect", `[...document.querySelectorAll('#speakerSelect option')].at(-1).value`)
				alice.Wait(`document.querySelector('#remoteVideo').sinkId === document.querySelector('#speakerSelect').value`)
			}
			alice.Press(webtest.Escape)
			bob.WaitFrames(5)
			bob.WaitTone(tone(b))
			alice.Wait(`window[Symbol.for('devices')].filter(track => track.readyState === 'live').length === 2`)
			same(t, alice, descriptions)
			alice.NoErrors()
			bob.NoErrors()
		})
	}
}

// The camera's light is off while the camera is: its track has ended.
func TestCameraOff(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t), countDevices)
		bob.WaitFrames(3)
		alice.Click("#camBtn")
		alice.Wait(`window[Symbol.for('devices')].filter(track => track.readyState === 'live').every(track => track.kind === 'audio')`)
		bob.Wait(`document.querySelector('#avatar').checkVisibility()`)
		alice.Click("#camBtn")
		alice.Wait(`window[Symbol.for('devices')].filter(track => track.readyState === 'live').length === 2`)
		bob.WaitFrames(5)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// A device that is denied shows why, and a button that asks again, in the call.
func TestRetryDevices(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t), `if (navigator.mediaDevices) {
			const open = MediaDevices.prototype.getUserMedia;
			MediaDevices.prototype.getUserMedia = async function (constraints) {
				if (!window[Symbol.for('allowed')]) throw new DOMException('Permission denied', 'NotAllowedError');
				return open.call(this, constraints);
			};
		}`)
		waitNotice(alice, "No camera and microphone: the browser does not allow it")
		alice.WaitFrames(3)
		bob.Wait(`document.querySelector('#avatar').checkVisibility()`)
		alice.Click("#devicesBtn")
		alice.Wait(`document.querySelector('#devicesProblem').innerText.includes('does not allow it')`)
		alice.Press(webtest.Escape)
		do(t, alice, `void (window[Symbol.for('allowed')] = true)`)
		alice.Click("#noticeRetryBtn")
		alice.Wait(`!document.querySelector('#notice').checkVisibility()`)
		bob.WaitFrames(5)
		bob.WaitTone(tone(b))
		alice.NoErrors()
		bob.NoErrors()
	})
}

// A device that is unplugged shows that, and one that is plugged in is in the list.
func TestUnplugged(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t), `if (navigator.mediaDevices) {
			const enumerate = MediaDevices.prototype.enumerateDevices;
			MediaDevices.prototype.enumerateDevices = async function () {
				const more = window[Symbol.for('plugged')] ? [{kind: 'videoinput', deviceId: 'new', label: 'New camera'}] : [];
				return [...await enumerate.call(this), ...more];
			};
		}`)
		bob.WaitFrames(3)
		alice.Click("#devicesBtn")
		alice.Wait(`document.querySelector('#cameraSelect').options.length > 0`)
		do(t, alice, `void (window[Symbol.for('plugged')] = true, navigator.mediaDevices.dispatchEvent(new Event('devicechange')))`)
		alice.Wait(`[...document.querySelector('#cameraSelect').options].at(-1).text === 'New camera'`)
		alice.Press(webtest.Escape)
		do(t, alice, `(track => { track.stop(); track.dispatchEvent(new Event('ended')); })(document.querySelector('#localVideo').srcObject.getVideoTracks()[0])`)
		waitNotice(alice, "The camera has stopped: it was disconnected")
		bob.Wait(`document.querySelector('#avatar').checkVisibility()`)
		alice.Click("#noticeRetryBtn")
		bob.WaitFrames(5)
		alice.NoErrors()
		bob.NoErrors()
	})
}

// On a touch screen a button switches between the front and the back camera.
func TestFlipCamera(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		alice, bob := inCall(b, host(t), `if (navigator.mediaDevices) {
			const open = MediaDevices.prototype.getUserMedia, facing = window[Symbol.for('facing')] = [];
			MediaDevices.prototype.getUserMedia = function (constraints) {
				if (constraints.video) facing.push(constraints.video.facingMode?.ideal);
				return open.call(this, constraints);
			};
			const match = window.matchMedia;
			window.matchMedia = query => query === '(pointer: coarse)' ? {matches: true} : match.call(window, query);
		}`)
		bob.WaitFrames(3)
		alice.Resize(390, 844, true)
		alice.Click("#flipBtn")
		alice.Wait(`window[Symbol.for('facing')].join() === 'user,environment'`)
		bob.WaitFrames(5)
		alice.Click("#flipBtn")
		alice.Wait(`window[Symbol.for('facing')].join() === 'user,environment,user'`)
		bob.WaitFrames(5)
		alice.NoErrors()
	})
}
