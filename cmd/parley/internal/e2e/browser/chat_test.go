package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// A chat on a screen and a page: each calls the other, they talk, and a file goes
// over each way.
func TestChatWithATab(t *testing.T) {
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		page, server := e2etest.Serve(t)
		path, err := e2etest.Binary()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "plan b.txt"), []byte("see you at eight"), 0o666); err != nil {
			t.Fatal(err)
		}
		x := e2etest.StartTmux(t, 70, 16, fmt.Sprintf("cd %s; %s chat --as bob --server %s; echo ended with $?; exec sleep 1000", dir, path, server))
		x.Has("waiting for calls to bob")
		tab := b.NewTab()
		tab.Preload(keepBlobs)
		tab.Go(page + "/?as=tab&answer=1&call=bob&say=hello+terminal")
		x.Has("tab calls  /accept or /decline")
		x.Enter("/accept")
		x.Has("tab: hello terminal")
		x.Enter("hello tab ☎")
		e2etest.ChatHas(tab, "hello tab ☎")
		x.Type("-l", "/send pl")
		x.Type("Tab")
		x.Has(`> /send plan\ b.txt`)
		x.Type("Enter")
		e2etest.ChatHas(tab, "plan b.txt")
		tab.Click(".file .primary")
		x.Has("sent a file")
		tab.Wait(`document.querySelector('.file').innerText.includes('Done, and verified.')`)
		var got string
		if err := tab.Eval(`window.testBlobs[0].text()`, &got); err != nil || got != "see you at eight" {
			t.Errorf("the tab has %q: %v", got, err)
		}
		dropFile(t, tab, "plan c.txt", "better at nine")
		x.Has("tab sends a file")
		x.Enter("/accept")
		tab.Wait(`document.querySelectorAll('.file')[1]?.innerText.includes('Done, and verified.')`)
		if got, err := os.ReadFile(filepath.Join(dir, "plan c.txt")); err != nil || string(got) != "better at nine" {
			t.Errorf("the terminal has %q: %v", got, err)
		}
		x.Enter("and the files?")
		e2etest.ChatHas(tab, "and the files?")
		tab.Click("#hangUpBtn")
		x.Has("no call with tab; /call begins one")

		x.Enter("/call")
		x.Has("[tab*]")
		e2etest.Talking(tab)
		tab.Type("#msgInput", "hello again")
		tab.Click("#sendMsgBtn")
		x.Has("tab: hello again")
		x.Enter("/quit")
		x.Has("ended with 0")
		e2etest.Idle(tab)
		e2etest.ChatHas(tab, "bob hung up")
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
	page, server := e2etest.Serve(t)
	tab := e2etest.Browsers().Chromium(t, nil).Open(page + "/?as=tab&answer=1")
	e2etest.Idle(tab)
	alice := e2etest.StartTyping(t, "chat", "tab", "--as", "alice", "--audio", "tone:600", "--video", "test", "--server", server)
	e2etest.Talking(tab)
	tab.WaitTone(600)
	alice.Type(t, "/mute")
	tab.Wait(`document.querySelector('#remoteVideo').srcObject.getTracks().every(t => t.muted)`) // or has left the stream
	alice.Type(t, "/unmute")
	tab.Wait(`document.querySelector('#remoteVideo').srcObject.getTracks().filter(t => !t.muted).length === 2`)
	tab.WaitTone(600)
	tab.WaitFrames(5)
	alice.Type(t, "/quit")
	alice.Ends(t, 0)
	e2etest.Idle(tab)
	tab.NoErrors()
	tab.Close()
}
