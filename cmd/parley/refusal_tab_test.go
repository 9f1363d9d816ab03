package main

import (
	"fmt"
	"testing"

	"parley/signal/web/webtest"
)

// spoilOffers puts into every offer of a page what no offer may have, while it is
// switched on.
const spoilOffers = `(() => {
	const Real = WebSocket;
	window.WebSocket = class extends Real {
		send(data) {
			if (window.spoils && String(data).includes('"type":"offer"')) data = data.replaceAll('a=rtcp-mux\\r\\n', 'a=rtcp-mux\\r\\na=extmap:0 urn:x\\r\\n');
			super.send(data);
		}
	};
})();`

// An offer of the page that the terminal does not take in mid-call changes
// nothing: both say why, the call goes on, and the next offer is taken.
func TestRefusedOfferOfATab(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		tab := b.NewTab()
		tab.Preload(spoilOffers)
		tab.Go(page + "/?as=tab&answer=1")
		idle(tab)
		p, tell := commanded(t, "call", "tab", "--server", server, "--as", "zoe", "--audio", "tone:700") // who asks the page for its offers
		talking(tab)
		tab.WaitTone(700)
		if err := tab.Eval(`window.spoils = true`, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintln(p.in, `{"id":77,"command":"add","kind":"video","source":"test"}`); err != nil {
			t.Fatal(err)
		}
		tab.Wait(`/^zoe did not take a change of the call: .*extmap/.test(document.querySelector('#noticeText').textContent)`)
		p.says(t, `"event":"reply".*"id":77,"command":"add","ok":false.*extmap`)
		talking(tab)
		tab.WaitTone(700)
		if err := tab.Eval(`window.spoils = false`, nil); err != nil {
			t.Fatal(err)
		}
		tell(`"command":"add","kind":"video","source":"test"`)
		tab.WaitFrames(5)
		tell(`"command":"source","kind":"audio","source":"tone:900"`)
		tab.WaitTone(900)
		tell(`"command":"hangup"`)
		p.ends(t, 0)
		tab.NoErrors()
		tab.Close()
	})
}
