package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"parley/signal/web/webtest"
)

// A chat on a screen and a page: each calls the other, they talk, and a file goes over.
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
		tab := b.Open(page + "/?as=tab&answer=1&call=bob&say=hello+terminal")
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
		x.enters("and the file?")
		chatHas(tab, "and the file?")
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
