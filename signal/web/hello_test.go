//go:build !quick

package web_test

import (
	"fmt"
	"testing"

	"parley/signal/signaltest"
	"parley/signal/web/webtest"
)

// The hello-world pair, by buttons and by address, in and across browsers.
func TestHello(t *testing.T) {
	chromium, firefox := browsers.Chromium(t, nil), browsers.Firefox(t, nil)
	for name, pair := range map[string][2]*webtest.Browser{
		"chromium-firefox": {chromium, firefox},
		"firefox-chromium": {firefox, chromium},
	} {
		t.Run(name, func(t *testing.T) {
			at := host(t)
			gandalf, saruman := open(pair[0].For(t), at+"/hello"), open(pair[1].For(t), at+"/hello")
			saruman.Click("#sarumanBtn")
			saruman.Wait(`document.querySelector('#status').innerText === 'You are Saruman, waiting for Gandalf.'`)
			gandalf.Click("#gandalfBtn")
			gandalf.Wait(`document.querySelector('#status').innerText === 'You are Gandalf.'`)
			gandalf.Click("#callBtn")
			bothHear(t, gandalf, saruman, 1)
			gandalf.Click("#callBtn") // and again, in a new connection
			bothHear(t, gandalf, saruman, 2)
		})
	}
}

func bothHear(t *testing.T, gandalf, saruman *webtest.Tab, times int) {
	t.Helper()
	for _, tab := range []*webtest.Tab{gandalf, saruman} {
		waitHeard(tab, "Gandalf", times)
		waitHeard(tab, "Saruman", times)
		tab.NoErrors()
	}
}

func waitHeard(tab *webtest.Tab, who string, times int) {
	tab.Wait(fmt.Sprintf(`[...document.querySelectorAll('#heard .line')].filter(l => l.textContent === '%s: hello world!').length === %d`, who, times))
}

func TestHelloByAddress(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		alone := open(b, at+"/hello?as=Gandalf&call=1")
		alone.Wait(`document.querySelector('#status').innerText === 'Saruman is not there yet.'`)
		alone.Close()
		saruman := open(b, at+"/hello?as=Saruman")
		saruman.Wait(`document.querySelector('#status').innerText.includes('waiting')`)
		gandalf := open(b, at+"/hello?as=Gandalf&call=1")
		bothHear(t, gandalf, saruman, 1)
		gandalf.Reload()
		waitHeard(gandalf, "Saruman", 1)
		waitHeard(saruman, "Gandalf", 2)
		gandalf.NoErrors()
		saruman.NoErrors()
	})
}

// A channel of the peer has the sentence of this page, whenever the peer opens it: Chromium reports
// a channel before it can be sent on.
func TestHelloOnEachChannel(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		saruman := open(b, at+"/hello?as=Saruman")
		saruman.Wait(`document.querySelector('#status').innerText.includes('waiting')`)
		gandalf := open(b, at+"/hello?as=Gandalf&call=1")
		bothHear(t, gandalf, saruman, 1)
		const rounds, together = 20, 10
		var heard int
		err := gandalf.Eval(fmt.Sprintf(`(async pc => {
			let heard = 0;
			const one = () => new Promise(resolve => {
				const channel = pc.createDataChannel('');
				const timer = setTimeout(() => resolve(channel.close()), 5000);
				channel.onmessage = () => { heard++; clearTimeout(timer); resolve(channel.close()); };
			});
			for (let i = 0; i < %d; i++) await Promise.all(Array.from({length: %d}, one));
			return heard;
		})(window[Symbol.for('webtest.peers')].at(-1))`, rounds, together), &heard)
		if err != nil || heard != rounds*together {
			t.Errorf("got the sentence on %d of %d channels, %v", heard, rounds*together, err)
		}
		gandalf.NoErrors()
		saruman.NoErrors()
	})
}

// Over the original relay server, which dies of a message to somebody absent.
func TestHelloOverTheOriginalServer(t *testing.T) {
	b := browsers.Chromium(t, nil)
	at := relayTo(t, signaltest.Original(t, "relay"))
	saruman := open(b, at+"/hello?as=Saruman")
	saruman.Wait(`document.querySelector('#status').innerText.includes('waiting')`)
	gandalf := open(b, at+"/hello?as=Gandalf&call=1")
	bothHear(t, gandalf, saruman, 1)
}
