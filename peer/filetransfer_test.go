//go:build !quick

package peer

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/filetransfer"
)

// A transfer of files lives on over an outage that takes an ICE restart.
func TestFilesOverAnICERestart(t *testing.T) {
	l := newLab(t)
	opened, came := make(chan *datachannel.Channel, 1), make(chan *datachannel.Channel, 1)
	a, b := l.pair(t, func(caller, answerer *Config) {
		caller.Channels = []datachannel.Options{{Label: "files", Protocol: filetransfer.Protocol, Detached: true}}
		caller.OnEvent = func(e Event) {
			if e, ok := e.(ChannelOpened); ok {
				opened <- e.Channel
			}
		}
		answerer.OnEvent = func(e Event) {
			if e, ok := e.(ChannelOpened); ok && e.Channel.Protocol() == filetransfer.Protocol {
				e.Channel.Detach()
				came <- e.Channel
			}
		}
	})
	data := bytes.Repeat([]byte("over an outage, "), 12<<20/16)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := filetransfer.Collect([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	into := t.TempDir()
	folder, err := filetransfer.OpenFolder(into, false)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	a.awaitConnected()
	b.awaitConnected()
	a.forget()
	b.forget()
	sent, received := make(chan error, 1), make(chan error, 1)
	var moved int64
	cut := sync.OnceFunc(func() { l.down.Store(true) })
	go func() {
		sent <- filetransfer.Send(t.Context(), <-opened, list, filetransfer.SendOptions{OnEvent: func(e filetransfer.Event) {
			if e, ok := e.(filetransfer.Progress); ok {
				if moved += e.Bytes; moved > 1<<20 {
					cut()
				}
			}
		}})
	}()
	go func() {
		_, err := filetransfer.Receive(t.Context(), <-came, folder, filetransfer.ReceiveOptions{})
		received <- err
	}()
	a.awaitState(webrtc.PeerConnectionStateFailed)
	b.awaitState(webrtc.PeerConnectionStateFailed)
	select {
	case err := <-sent:
		t.Fatalf("it was sent during the outage: %v", err)
	default:
	}
	l.down.Store(false)
	a.awaitConnected()
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if err := <-received; err != nil {
		t.Error(err)
	}
	got, err := os.ReadFile(filepath.Join(into, "f"))
	if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
