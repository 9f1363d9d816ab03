package cluster

import (
	"fmt"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// TestRollingRestartOfOriginals restarts all nodes, one after the other, during calls of pages as
// the original ones, with each other and with a terminal, and of terminals in the relay dialect.
// Media and channels go on at each restart. Afterwards the pages, whose connections have ended with
// 1012, are loaded again, sign in at once and call again; a terminal has signed in by itself.
func TestRollingRestartOfOriginals(t *testing.T) {
	const drain = time.Second
	d := start(t, "--greeting", "--drain", drain.String())
	c := &originals{t: t, server: d.Server, pages: e2etest.OriginalPages(t)}
	chromium, firefox := e2etest.Browsers().Chromium(t, nil), e2etest.Browsers().Firefox(t, nil)

	// Two connections in a row are at two nodes.
	alice, bob := c.open(chromium, "video.html", "alice"), c.open(firefox, "video.html", "bob")
	gandalf, saruman := c.open(chromium, "relay.html", "Gandalf"), c.open(firefox, "relay.html", "Saruman")
	page := c.open(chromium, "text.html", "page")
	carol, commandCarol := e2etest.StartCommanded(t, "answer", "--server", d.Server, "--as", "carol")
	eve, commandEve := e2etest.StartCommanded(t, "answer", "dan", "--server", d.Server, "--as", "eve", "--dialect", "relay")
	signedIn(t, d, func() int { return 7 })
	dan, commandDan := e2etest.StartCommanded(t, "call", "eve", "--server", d.Server, "--as", "dan", "--dialect", "relay", "--say", "hello eve")
	eve.Says(t, said("hello eve"))

	users := []*webtest.Tab{alice, bob, gandalf, saruman, page}
	callAll := func() {
		c.do(alice, `call('bob')`)
		c.do(gandalf, `call()`)
		c.do(page, `call('carol')`)
		for _, tab := range []*webtest.Tab{gandalf, saruman} {
			tab.Wait(`heard.innerText === 'hello world!'`)
		}
		page.Wait(`document.title === 'open'`)
	}
	exchange := func(text string) {
		for _, tab := range []*webtest.Tab{alice, bob} {
			tab.WaitFrames(5)
			tab.Wait(`document.title === 'ready'`) // not left
		}
		for _, pair := range [][2]*webtest.Tab{{gandalf, saruman}, {saruman, gandalf}} {
			c.do(pair[0], fmt.Sprintf("say(%q)", text))
			pair[1].Wait(fmt.Sprintf("heard.innerText.includes(%q)", text))
		}
		c.do(page, fmt.Sprintf("say(%q)", text))
		carol.Says(t, said(text))
		commandCarol(fmt.Sprintf(`"command":"say","text":%q`, text))
		page.Wait(fmt.Sprintf("heard.innerText.includes(%q)", text))
		commandDan(fmt.Sprintf(`"command":"say","text":%q`, text))
		eve.Says(t, said(text))
		commandEve(fmt.Sprintf(`"command":"say","text":%q`, text))
		dan.Says(t, said(text))
	}
	callAll()
	exchange("before")
	for _, n := range d.Nodes {
		if received := metric(t, n, "signaling_cluster_messages_received_total"); received == 0 {
			t.Errorf("%s has received no messages of other nodes", n.Name)
		}
	}
	for _, n := range d.Nodes {
		restart(t, n, drain)
		signedIn(t, d, func() int { return 3 + c.connected(users) }) // the terminals, and the pages of the other nodes
		exchange("after " + n.Name)
	}
	if connected := c.connected(users); connected != 0 {
		t.Errorf("%d pages are connected after all nodes have restarted, want none", connected)
	}
	commandDan(`"command":"restart-ice"`)

	for _, tab := range users {
		c.do(tab, "location.reload()")
		c.ready(tab)
	}
	signedIn(t, d, func() int { return 8 })
	callAll()
	exchange("again")
	for _, tab := range users {
		tab.Close()
	}
}

// said is the event of a text message that was received.
func said(text string) string {
	return fmt.Sprintf(`"event":"text".*"direction":"in","text":%q`, text)
}

// originals are pages as the original ones.
type originals struct {
	t             *testing.T
	server, pages string
}

// open opens a page, which signs in.
func (c *originals) open(b *webtest.Browser, page, name string) *webtest.Tab {
	c.t.Helper()
	tab := b.Open(c.pages + "/" + page + "?as=" + name + "&server=" + c.server)
	c.ready(tab)
	return tab
}

// ready waits until a page has signed in, and has it remember how its connection ends.
func (c *originals) ready(tab *webtest.Tab) {
	c.t.Helper()
	tab.Wait(`document.title === 'ready'`)
	c.do(tab, `void socket.addEventListener('close', e => { socket.code = e.code; })`)
}

func (c *originals) do(tab *webtest.Tab, js string) {
	c.t.Helper()
	if err := tab.Eval(js, nil); err != nil {
		c.t.Fatal(err)
	}
}

// connected returns how many pages are connected. The others must have been closed with 1012.
func (c *originals) connected(tabs []*webtest.Tab) (count int) {
	c.t.Helper()
	for _, tab := range tabs {
		var code int
		if err := tab.Eval(`socket.code ?? 0`, &code); err != nil {
			c.t.Fatal(err)
		}
		switch code {
		case 0:
			count++
		case 1012:
		default:
			c.t.Errorf("a connection ended with %d, want 1012", code)
		}
	}
	return count
}
