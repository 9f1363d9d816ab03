package browser

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// killHalfway kills p as soon as some of the file has come; false if the whole
// file had come by then.
func killHalfway(t *testing.T, p *e2etest.Process, into string) bool {
	t.Helper()
	for deadline := time.Now().Add(e2etest.Patience); ; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(filepath.Join(into, "big.parley-part")); err == nil && info.Size() > 1<<20 {
			break
		}
		if _, err := os.Stat(filepath.Join(into, "big")); err == nil || time.Now().After(deadline) {
			break
		}
	}
	if err := p.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.Exited
	_, err := os.Stat(filepath.Join(into, "big"))
	return err != nil
}

// Whichever side is killed in the middle, the transfer goes on where it was.
func TestSendGoesOn(t *testing.T) {
	const size = 100 << 20
	for _, victim := range []string{"receiver", "sender", "sender, started again at once"} {
		t.Run(victim, func(t *testing.T) {
			_, server := e2etest.Serve(t)
			path, data := e2etest.BigFile(t, t.TempDir(), size)
			for range 3 {
				into := t.TempDir()
				receive := func() *e2etest.Process {
					p := e2etest.Start(t, "receive", "--server", server, "--as", "bob", "--yes", "--into", into, "--once", "--retry", "2m")
					p.Says(t, "waiting for calls")
					return p
				}
				bob := receive()
				send := func() *e2etest.Process {
					return e2etest.Start(t, "send", path, "bob", "--server", server, "--retry", "2m")
				}
				alice := send()
				if victim == "receiver" {
					if !killHalfway(t, bob, into) {
						continue // it was faster than we are
					}
					alice.Says(t, "trying again")
					bob = receive()
				} else {
					if !killHalfway(t, alice, into) {
						continue
					}
					if victim == "sender" { // else bob does not know yet
						bob.Says(t, "waiting for it to be taken up again")
					}
					alice = send()
				}
				alice.Says(t, `big goes on after [1-9][0-9.]* MiB`)
				alice.Ends(t, 0)
				bob.Ends(t, 0)
				got, err := os.ReadFile(filepath.Join(into, "big"))
				if err != nil || !bytes.Equal(got, data) {
					t.Errorf("%d bytes are there, of %d: %v", len(got), size, err)
				}
				if left, err := os.ReadDir(into); err != nil || len(left) != 1 {
					t.Errorf("left behind: %v, %v", left, err)
				}
				return
			}
			t.Error("three times the whole file came before a process could be killed")
		})
	}
}

// TestReceiveRetryBoundsTheWait: a transfer that is taken up within --retry may take longer than
// that.
func TestReceiveRetryBoundsTheWait(t *testing.T) {
	_, server := e2etest.Serve(t)
	path, data := e2etest.BigFile(t, t.TempDir(), 8<<20)
	into := t.TempDir()
	bob := e2etest.Start(t, "receive", "--server", server, "--as", "bob", "--yes", "--into", into, "--once", "--retry", "5s")
	bob.Says(t, "waiting for calls")
	send := func() *e2etest.Process {
		return e2etest.Start(t, "send", path, "bob", "--server", server, "--impair", "rate=6mbit")
	}
	if alice := send(); !killHalfway(t, alice, into) {
		t.Fatal("the whole file came before the sender could be killed")
	}
	bob.Says(t, "waiting for it to be taken up again")
	send().Ends(t, 0)
	bob.Ends(t, 0)
	if got, err := os.ReadFile(filepath.Join(into, "big")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes are there, of %d: %v", len(got), len(data), err)
	}
}

// keepBlobs keeps what the page offers to save.
const keepBlobs = `{
	const blobs = window.testBlobs = [];
	const create = URL.createObjectURL;
	URL.createObjectURL = blob => { blobs.push(blob); return create.call(URL, blob); };
}`

// jsBytes are bytes that a page and this test can make, by index.
const jsBytes = `Uint8Array.from({length: %d}, (_, i) => Math.imul(i, 2654435761) >>> 13)`

func goBytes(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(uint32(i) * 2654435761 >> 13)
	}
	return data
}

func TestSendToATab(t *testing.T) {
	size := int(inBulk(3<<20+1, 100<<20))
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		tab := b.NewTab()
		tab.Preload(keepBlobs)
		tab.Go(page + "/?as=tab&answer=1&video=0&audio=0")
		tab.Wait(`document.querySelector('#callPage').dataset.phase === 'idle' && !document.querySelector('#callPage').hidden`)
		path := filepath.Join(t.TempDir(), "big")
		if err := os.WriteFile(path, goBytes(size), 0o600); err != nil {
			t.Fatal(err)
		}
		alice := e2etest.Start(t, "send", path, "tab", "--server", server, "--as", "alice")
		small := watchMemory(t, alice)
		tab.Wait(`document.querySelector('.file')?.innerText.includes('alice sends you big')`)
		tab.Click(".file .primary")
		small()
		alice.Ends(t, 0)
		tab.Wait(`document.querySelector('.file')?.innerText.includes('Done, and verified.')`)
		var same bool
		if err := tab.Eval(`window.testBlobs[0].arrayBuffer().then(b => {
			const got = new Uint8Array(b), want = `+fmt.Sprintf(jsBytes, size)+`;
			return got.length === want.length && got.every((x, i) => x === want[i]);
		})`, &same); err != nil || !same {
			t.Errorf("it differs: %v", err)
		}
		tab.NoErrors()
		tab.Close()
	})
}

func TestReceiveFromATab(t *testing.T) {
	size := int(inBulk(3<<20+1, 100<<20))
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		into := t.TempDir()
		bob := e2etest.Start(t, "receive", "--server", server, "--as", "bob", "--yes", "--into", into, "--once")
		small := watchMemory(t, bob)
		bob.Says(t, "waiting for calls")
		tab := b.Open(page + "/?as=tab&call=bob&video=0&audio=0")
		e2etest.Talking(tab)
		tab.Wait(`!document.querySelector('#filesBtn').disabled`)
		if err := tab.Eval(`(() => {
			const data = new DataTransfer();
			data.items.add(new File([`+fmt.Sprintf(jsBytes, size)+`], 'big'));
			document.querySelector('#panel').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
		})()`, nil); err != nil {
			t.Fatal(err)
		}
		small()
		bob.Ends(t, 0)
		tab.Wait(`document.querySelector('.file')?.innerText.includes('Done, and verified.')`)
		got, err := os.ReadFile(filepath.Join(into, "big"))
		if err != nil || !bytes.Equal(got, goBytes(size)) {
			t.Errorf("%d bytes, want %d: %v", len(got), size, err)
		}
		tab.NoErrors()
		tab.Close()
	})
}
