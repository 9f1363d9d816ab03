//go:build !quick

package web_test

import (
	"fmt"
	"strings"
	"testing"

	"parley/signal/web/webtest"
)

// manualTab opens the page for copy and paste, signed in.
func manualTab(b *webtest.Browser, at, name string) *webtest.Tab {
	tab := b.Open(at + "/?manual=1&as=" + name)
	tab.Wait(`document.querySelector('#manualDialog').open`)
	return tab
}

// ourLine waits for the line of a page.
func ourLine(t *testing.T, tab *webtest.Tab, kind string) (line string) {
	t.Helper()
	tab.Wait(`document.querySelector('#manualOurs').value.startsWith('parley-` + kind + `-1.')`)
	if err := tab.Eval(`document.querySelector('#manualOurs').value`, &line); err != nil {
		t.Fatal(err)
	}
	return line
}

// use pastes a line, and waits for words about it.
func use(tab *webtest.Tab, line, words string) {
	if err := tab.Eval(fmt.Sprintf(`void (document.querySelector('#manualTheirs').value = %q)`, line), nil); err != nil {
		tab.Fatalf("%v", err)
	}
	tab.Click("#manualUseBtn")
	if words != "" {
		tab.Wait(fmt.Sprintf(`document.querySelector('#manualStatus').innerText.includes(%q)`, words))
	}
}

// TestManualExchange connects two pages by the lines that they show, after wrong ones, and again
// after that call. The caller is in each browser; Firefox gives up soon after it has answered.
func TestManualExchange(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		alice, bob := manualTab(b, at, "alice"), manualTab(browsers.Chromium(t, nil), at, "bob")
		alice.Wait(`document.querySelector('#callForm').hidden`) // there is nobody to call by name
		for range 2 {
			alice.Wait(`document.querySelector('#manualCopyBtn').disabled`)
			alice.Click("#manualOfferBtn")
			offer := ourLine(t, alice, "offer")
			alice.Wait(`document.querySelector('#manualOfferBtn').disabled && !document.querySelector('#manualCopyBtn').disabled`)
			use(alice, offer, "This is your own offer")
			use(alice, "hello", "This is no line of parley")
			use(alice, strings.Repeat("x", 100<<10), "longer than")
			use(bob, offer[:200], "The line is incomplete")
			use(bob, offer[:200]+"AB"+offer[200:], "The line is damaged")
			use(bob, "here: "+offer[:70]+"\n"+offer[70:], "")
			bob.Click("#acceptBtn")
			answer := ourLine(t, bob, "answer")
			use(bob, answer, "A line of the peer was used already")
			use(alice, answer, "")
			for _, tab := range []*webtest.Tab{alice, bob} {
				tab.Wait(`document.querySelector('#callPage').dataset.phase === 'talking' && !document.querySelector('#manualDialog').open`)
				tab.WaitFrames(3)
			}
			if got := alice.Text("#status"); got == "" {
				t.Error("the page shows no state")
			}
			alice.Click("#hangUpBtn")
			for _, tab := range []*webtest.Tab{alice, bob} {
				tab.Wait(`document.querySelector('#callPage').dataset.phase === 'idle'`)
				tab.Click("#manualBtn")
			}
			use(alice, answer, "you have made no offer")
		}
		alice.NoErrors()
		bob.NoErrors()
	})
}

// TestManualAccessibility checks the dialog, light and dark, and uses it by the keyboard.
func TestManualAccessibility(t *testing.T) {
	lightAndDark(t, func(t *testing.T, b *webtest.Browser) {
		tab := b.NewTab()
		axe(t, tab)
		tab.Go(host(t) + "/?manual=1&as=alice")
		tab.Wait(`document.activeElement === document.querySelector('#manualOfferBtn')`)
		accessible(t, tab, "manual exchange")
		tab.Press(webtest.Enter)
		ourLine(t, tab, "offer")
		tab.Wait(`document.activeElement === document.querySelector('#manualCopyBtn')`)
		accessible(t, tab, "manual exchange with an offer")
		tab.Press(webtest.TabKey)
		tab.Wait(`document.activeElement === document.querySelector('#manualTheirs')`)
	})
}
