package server_test

import (
	"context"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/server"
)

// victim is a server under attack, and a call between two users on it that must not notice.
type victim struct {
	t          *testing.T
	server     *server.Server
	address    string
	bob, carol *websocket.Conn
	heard      map[*websocket.Conn]chan []byte

	goroutines, files int
	memory            uint64
}

// newVictim runs a server as the binary does, on a listener of its own.
func newVictim(t *testing.T, options *server.Options) *victim {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	v := &victim{t: t, server: server.New(options), address: l.Addr().String()}
	ran := make(chan error, 1)
	go func() { ran <- v.server.Run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	v.bob, v.carol = v.signIn("bob"), v.signIn("carol")
	t.Cleanup(func() { _, _ = v.bob.Close(), v.carol.Close() })
	v.heard = map[*websocket.Conn]chan []byte{v.bob: make(chan []byte, 10), v.carol: make(chan []byte, 10)}
	for ws, heard := range v.heard {
		_ = ws.SetReadDeadline(time.Time{})
		go func() { // answers pings, too
			defer close(heard)
			for {
				_, frame, err := ws.ReadMessage()
				if err != nil {
					return
				}
				heard <- frame
			}
		}()
	}
	v.call()
	return v
}

// signIn signs a user in; where the server gives people little time, once that was enough on this
// machine.
func (v *victim) signIn(name string) (ws *websocket.Conn) {
	v.t.Helper()
	eventually(v.t, name+" is signed in", func() bool {
		var err error
		if ws, _, err = websocket.DefaultDialer.Dial("ws://"+v.address, nil); err != nil {
			return false
		}
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		if err = ws.WriteJSON(map[string]any{"type": "login", "name": name}); err == nil {
			err = means(ws, `{"type":"login","success":true}`)
		}
		if err != nil {
			_ = ws.Close()
		}
		return err == nil
	})
	return ws
}

// call lets bob offer and carol answer, talk lets each send a candidate.
func (v *victim) call() {
	v.t.Helper()
	v.say(`"offer","offer":`+offerSDP, `"answer","answer":`+answerSDP)
}

func (v *victim) talk() {
	v.t.Helper()
	v.say(`"candidate","candidate":null`, `"candidate","candidate":null`)
}

func (v *victim) say(bob, carol string) {
	v.t.Helper()
	for _, step := range []struct {
		from, to  *websocket.Conn
		say, hear string
	}{
		{v.bob, v.carol, `{"type":` + bob + `,"name":"carol"}`, `{"type":` + bob + `,"name":"bob"}`},
		{v.carol, v.bob, `{"type":` + carol + `,"name":"bob"}`, `{"type":` + carol + `,"name":"carol"}`},
	} {
		if err := step.from.WriteMessage(websocket.TextMessage, []byte(step.say)); err != nil {
			v.t.Fatal(err)
		}
		select {
		case frame := <-v.heard[step.to]:
			if string(frame) != step.hear {
				v.t.Fatalf("heard %q instead of %s", frame, step.hear)
			}
		case <-time.After(patience):
			v.t.Fatal("the call is dead")
		}
	}
}

// measure counts what a leak would leave behind.
func (v *victim) measure() (goroutines, files int, memory uint64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		v.t.Fatal(err)
	}
	return runtime.NumGoroutine(), len(entries), m.HeapAlloc
}

// recovers waits until nothing is left of an attack, and checks that the call goes on.
func (v *victim) recovers() {
	v.t.Helper()
	v.talk()
	eventually(v.t, "only bob and carol are left", func() bool {
		return v.server.Stats() == server.Stats{Connections: 2, Names: 2, Calls: 1}
	})
	eventually(v.t, "goroutines and files are back", func() bool {
		goroutines, files, _ := v.measure()
		return goroutines <= v.goroutines+1 && files <= v.files // 1: the subtest's own
	})
	eventually(v.t, "memory is back", func() bool {
		_, _, memory := v.measure()
		return memory < v.memory+1<<20
	})
	v.talk()
}

// attack is a fault, and how a client makes it.
type attack struct {
	name string
	make func()
}

// suffer goes through attacks, one after the other on one server, each a test of its own.
func (v *victim) suffer(attacks []attack) {
	outer := v.t
	v.goroutines, v.files, v.memory = v.measure() // with what the attacks have in their hands
	for _, a := range attacks {
		outer.Run(a.name, func(t *testing.T) {
			v.t = t
			a.make()
			v.recovers()
		})
		v.t = outer
	}
}
