//go:build !quick

package web_test

import (
	"fmt"
	"testing"

	"parley/signal/web/webtest"
)

// keepBlobs keeps what the page offers to save, and how it is named: a test
// cannot look into the folder for downloads.
const keepBlobs = `{
	const blobs = window.testBlobs = [];
	const create = URL.createObjectURL;
	URL.createObjectURL = blob => { blobs.push(blob); return create.call(URL, blob); };
}`

// sha256 is a JavaScript function: the hash of a Blob in hexadecimal, by the
// browser itself.
const sha256 = `async blob => Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer())),
	b => b.toString(16).padStart(2, '0')).join('')`

// pick gives files to the page as somebody who picks them: each has the name
// and as many bytes as given, which differ from byte to byte.
func pick(t *testing.T, tab *webtest.Tab, files map[string]int) {
	t.Helper()
	js := `{
		const data = new DataTransfer();`
	for name, size := range files {
		js += fmt.Sprintf(`
		data.items.add(new File([Uint8Array.from({length: %d}, (_, i) => i * 2654435761 >>> 13)], %s));`, size, quote(name))
	}
	js = `(() => ` + js + `
		const input = document.querySelector('#filesInput');
		window.testPicked = [...data.files];
		input.files = data.files;
		input.dispatchEvent(new Event('change'));
	})()`
	tab.Wait(`!document.querySelector('#filesBtn').disabled`)
	if err := tab.Eval(js, nil); err != nil {
		t.Fatal(err)
	}
}

func hashes(t *testing.T, tab *webtest.Tab, blobs string) (sums []string) {
	t.Helper()
	if err := tab.Eval(`Promise.all(window.`+blobs+`.map(`+sha256+`))`, &sums); err != nil {
		t.Fatal(err)
	}
	return sums
}

// click clicks a button of the latest card.
func click(tab *webtest.Tab, words string) {
	tab.Wait(fmt.Sprintf(`(b => b && (b.click(), true))([...document.querySelectorAll('.file button')].findLast(b => b.textContent === %s))`, quote(words)))
}

func waitCard(tab *webtest.Tab, words string) {
	tab.Wait(`[...document.querySelectorAll('.file')].at(-1)?.innerText.includes(` + quote(words) + `)`)
}

func TestFiles(t *testing.T) {
	for _, pair := range [][2]func(*testing.T) *webtest.Browser{
		{func(t *testing.T) *webtest.Browser { return browsers.Chromium(t, nil) }, func(t *testing.T) *webtest.Browser { return browsers.Firefox(t, nil) }},
		{func(t *testing.T) *webtest.Browser { return browsers.Firefox(t, nil) }, func(t *testing.T) *webtest.Browser { return browsers.Chromium(t, nil) }},
	} {
		a, b := pair[0](t), pair[1](t)
		t.Run(a.Name()+" to "+b.Name(), func(t *testing.T) {
			a, b := a.For(t), b.For(t)
			url := host(t)
			bob := open(b, url+"/?as=bob&answer=1&video=0&audio=0", keepBlobs)
			waitPhase(bob, "idle")
			alice := open(a, url+"/?as=alice&call=bob&video=0&audio=0", keepBlobs)
			for _, tab := range []*webtest.Tab{alice, bob} {
				waitPhase(tab, "talking")
			}
			pick(t, alice, map[string]int{"a <b>.bin": 3_000_001, "empty": 0})
			waitCard(alice, "Waiting for bob")
			click(bob, "Take")
			for _, tab := range []*webtest.Tab{alice, bob} {
				waitCard(tab, "Done, and verified.")
			}
			bob.Wait(`document.querySelectorAll('.file .got a').length === 2`)
			bob.Wait(`(list => list.scrollHeight - list.scrollTop - list.clientHeight < 2)(document.querySelector('#chatarea'))`)
			want, got := hashes(t, alice, "testPicked"), hashes(t, bob, "testBlobs")
			if fmt.Sprint(want) != fmt.Sprint(got) {
				t.Errorf("got %v, want %v", got, want)
			}

			// Not wanted.
			pick(t, bob, map[string]int{"no.bin": 10})
			click(alice, "No, thanks")
			waitCard(alice, "Not done.")
			waitCard(bob, "alice: they were not wanted")

			// Ended by who sends, before anybody answered.
			pick(t, bob, map[string]int{"never.bin": 10})
			waitCard(alice, "never.bin")
			click(bob, "Cancel")
			waitCard(alice, "it was cancelled")
			waitCard(bob, "Not done.")

			// Text goes on beside it.
			say(alice, "still here")
			waitChat(bob, "still here")
			alice.NoErrors()
			bob.NoErrors()
		})
	}
}

// A transfer that breaks with the call goes on in the next one, where it was.
func TestFilesGoOn(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		url := host(t)
		bob := open(b, url+"/?as=bob&answer=1&video=0&audio=0&files=1", keepBlobs)
		waitPhase(bob, "idle")
		// The sender's channel stands still after two of five megabytes.
		alice := open(b, url+"/?as=alice&answer=1&call=bob&video=0&audio=0", `{
			const send = RTCDataChannel.prototype.send;
			let bytes = 0;
			window.testSent = () => bytes;
			RTCDataChannel.prototype.send = function(data) {
				if (typeof data !== 'string') bytes += data.byteLength;
				if (bytes > 2e6 && !window.testGo) return; // as if the network let nothing through
				send.call(this, data);
			};
		}`)
		for _, tab := range []*webtest.Tab{alice, bob} {
			waitPhase(tab, "talking")
		}
		pick(t, alice, map[string]int{"big.bin": 5_000_000})
		alice.Wait(`window.testSent() >= 5e6`)
		bob.Wait(`document.querySelector('.file progress')?.value > 1.9e6`)
		bob.Click("#hangUpBtn")
		for _, tab := range []*webtest.Tab{alice, bob} {
			waitPhase(tab, "idle")
			waitCard(tab, "The call broke")
		}
		if err := alice.Eval(`window.testGo = true`, nil); err != nil {
			t.Fatal(err)
		}
		call(bob, "alice")
		for _, tab := range []*webtest.Tab{alice, bob} {
			waitCard(tab, "Done, and verified.")
		}
		var sent int
		if err := alice.Eval(`window.testSent()`, &sent); err != nil {
			t.Fatal(err)
		}
		if sent < 8_000_000 || sent > 8_100_000 {
			t.Errorf("%d bytes were sent in all, want 5 MB and the 3 MB that were missing", sent)
		}
		if want, got := hashes(t, alice, "testPicked"), hashes(t, bob, "testBlobs"); fmt.Sprint(want) != fmt.Sprint(got) {
			t.Errorf("got %v, want %v", got, want)
		}
		alice.NoErrors()
		bob.NoErrors()
	})
}

// All of a thousand files can be saved: each by its link, and all by one button.
func TestManyFiles(t *testing.T) {
	each(t, func(t *testing.T, b *webtest.Browser) {
		at := host(t)
		bob := open(b, at+"/?as=bob&answer=1&video=0&audio=0", `{
			window.saved = [];
			HTMLAnchorElement.prototype.click = function() { window.saved.push(this.download); };
			const later = window.setTimeout;
			window.setTimeout = (f, ms, ...a) => later(f, ms === 250 ? 0 : ms, ...a);
		}`)
		waitPhase(bob, "idle")
		alice := open(b, at+"/?as=alice&call=bob&video=0&audio=0")
		waitPhase(alice, "talking")
		const n = 1000
		files := map[string]int{}
		for i := range n {
			files[fmt.Sprintf("%03d.txt", i)] = 1
		}
		pick(t, alice, files)
		waitCard(bob, "and 999 more")
		click(bob, "Take")
		for _, tab := range []*webtest.Tab{alice, bob} {
			waitCard(tab, "Done, and verified.")
		}
		bob.Wait(fmt.Sprintf(`document.querySelectorAll('.file .got a').length === %d`, n))
		click(bob, "Save all")
		bob.Wait(fmt.Sprintf(`new Set(window.saved).size === %d`, n))
		waitCard(bob, "Done, and verified.")
		alice.NoErrors()
		bob.NoErrors()
	})
}
