// Package webtest drives the real Chromium and Firefox of the machine in tests,
// with nothing between: Chromium by the Chrome DevTools Protocol, Firefox by
// WebDriver BiDi, both of which the browsers speak themselves over a WebSocket.
//
//	func TestCall(t *testing.T) {
//		b := webtest.Chromium(t, nil)
//		tab := b.Open(url + "/?as=tab&answer=1")
//		tab.Wait(`!document.querySelector('#callPage').hidden`)
//		...
//		tab.NoErrors()
//	}
//
// The browsers run headless with a fresh profile and with a fake camera and
// microphone (Chromium: green video and a 400 Hz beep twice a second;
// Firefox: a moving colour and a steady 440 Hz). Every tab has storage and
// cookies of its own. A browser that is not installed fails the test.
//
// A browser takes seconds to start. A package with many tests keeps them in a
// [Pool] and starts each once.
package webtest
