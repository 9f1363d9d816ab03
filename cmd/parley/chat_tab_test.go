package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"parley/signal/web/webtest"
)

// A chat on a screen and a page: each calls the other, they talk, and a file goes
// over each way.
func TestChatWithATab(t *testing.T) {
	inBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := serving(t)
		path, err := built()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "plan b.txt"), []byte("see you at eight"), 0o666); err != nil {
			t.Fatal(err)
		}
		x := inTmux(t, 70, 16, fmt.Sprintf("cd %s; %s chat --as bob --server %s; echo ended with $?; exec sleep 1000", dir, path, server))
		x.has("waiting for calls to bob")
		tab := b.NewTab()
		tab.Preload(keepBlobs)
		tab.Go(page + "/?as=tab&answer=1&call=bob&say=hello+terminal")
		x.has("tab calls  /accept or /decline")
		x.enters("/accept")
		x.has("tab: hello terminal")
		x.enters("hello tab ☎")
		chatHas(tab, "hello tab ☎")
		x.types("-l", "/send pl")
		x.types("Tab")
		x.has(`> /send plan\ b.txt`)
		x.types("Enter")
		chatHas(tab, "plan b.txt")
		tab.Click(".file .primary")
		x.has("sent a file")
		tab.Wait(`document.querySelector('.file').innerText.includes('Done, and verified.')`)
		var got string
		if err := tab.Eval(`window.testBlobs[0].text()`, &got); err != nil || got != "see you at eight" {
			t.Errorf("the tab has %q: %v", got, err)
		}
		dropFile(t, tab, "plan c.txt", "better at nine")
		x.has("tab sends a file")
		x.enters("/accept")
		tab.Wait(`document.querySelectorAll('.file')[1]?.innerText.includes('Done, and verified.')`)
		if got, err := os.ReadFile(filepath.Join(dir, "plan c.txt")); err != nil || string(got) != "better at nine" {
			t.Errorf("the terminal has %q: %v", got, err)
		}
		x.enters("and the files?")
		chatHas(tab, "and the files?")
		tab.Click("#hangUpBtn")
		x.has("no call with tab; /call begins one")

		x.enters("/call")
		x.has("[tab*]")
		talking(tab)
		tab.Type("#msgInput", "hello again")
		tab.Click("#sendMsgBtn")
		x.has("tab: hello again")
		x.enters("/quit")
		x.has("ended with 0")
		idle(tab)
		chatHas(tab, "bob hung up")
		tab.NoErrors()
		tab.Close()
	})
}

// dropFile drops a text file onto the page.
func dropFile(t *testing.T, tab *webtest.Tab, name, text string) {
	t.Helper()
	if err := tab.Eval(fmt.Sprintf(`(() => {
		const data = new DataTransfer();
		data.items.add(new File([%q], %q));
		document.querySelector('#panel').dispatchEvent(new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true}));
	})()`, text, name), nil); err != nil {
		t.Fatal(err)
	}
}

// The tab is notified of what a chat mutes, plays none of it, and hears and sees it again.
func TestChatMutesForATab(t *testing.T) {
	page, server := serving(t)
	tab := browsers().Chromium(t, nil).Open(page + "/?as=tab&answer=1")
	idle(tab)
	alice := typing(t, "chat", "tab", "--as", "alice", "--audio", "tone:600", "--video", "test", "--server", server)
	talking(tab)
	tab.WaitTone(600)
	alice.types(t, "/mute")
	tab.Wait(`document.querySelector('#remoteVideo').srcObject.getTracks().every(t => t.muted)`) // or has left the stream
	alice.types(t, "/unmute")
	tab.Wait(`document.querySelector('#remoteVideo').srcObject.getTracks().filter(t => !t.muted).length === 2`)
	tab.WaitTone(600)
	tab.WaitFrames(5)
	alice.types(t, "/quit")
	alice.ends(t, 0)
	idle(tab)
	tab.NoErrors()
	tab.Close()
}
