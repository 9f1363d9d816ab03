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

// Over the original relay server, which dies of a message to somebody absent.
func TestHelloOverTheOriginalServer(t *testing.T) {
	b := browsers.Chromium(t, nil)
	at := relayTo(t, signaltest.Original(t, "relay"))
	saruman := open(b, at+"/hello?as=Saruman")
	saruman.Wait(`document.querySelector('#status').innerText.includes('waiting')`)
	gandalf := open(b, at+"/hello?as=Gandalf&call=1")
	bothHear(t, gandalf, saruman, 1)
}
