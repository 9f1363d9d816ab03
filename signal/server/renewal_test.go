package server_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// counting hands out other ICE servers each time.
func counting() func(string, time.Duration) []signal.ICEServer {
	var n atomic.Int64
	return func(name string, _ time.Duration) []signal.ICEServer {
		return []signal.ICEServer{{URLs: []string{"turn:a"}, Username: fmt.Sprint(n.Add(1), ":", name), Credential: "c"}}
	}
}

// TestICEServersAnew asks for them by hand: each dialect has a message for it, and only who is
// signed in gets an answer.
func TestICEServersAnew(t *testing.T) {
	for name, lines := range map[string]string{
		"call": signIn("alice") + `
			alice > {"type":"iceServers"}
			alice < {"type":"iceServers","iceServers":[{"urls":["turn:a"],"username":"1:alice","credential":"c"}],"iceServersFor":90000}
			alice > {"type":"iceServers"}
			alice < {"type":"iceServers","iceServers":[{"urls":["turn:a"],"username":"2:alice","credential":"c"}],"iceServersFor":90000}
			bob > {"type":"login","name":"bob","iceServers":true}
			bob < {"type":"login","success":true,"iceServers":[{"urls":["turn:a"],"username":"3:bob","credential":"c"}],"iceServersFor":90000}
			carol > {"type":"iceServers"}
			carol < {"type":"error","code":"login_first","message":"sign in first: send a login with a name"}`,
		"relay": `
			gandalf > {"inst":"init","id":"Gandalf","errors":true,"reply":true,"iceServers":true}
			gandalf < {"type":"login","success":true,"iceServers":[{"urls":["turn:a"],"username":"1:Gandalf","credential":"c"}],"iceServersFor":90000}
			gandalf > {"inst":"iceServers"}
			gandalf < {"type":"iceServers","iceServers":[{"urls":["turn:a"],"username":"2:Gandalf","credential":"c"}],"iceServersFor":90000}
			other > {"inst":"iceServers","errors":true}
			other > {"inst":"init","id":"Gandalf","errors":true,"reply":true}
			other < {"type":"login","success":true}
			gandalf > {"inst":"iceServers"}
			gandalf < {"type":"error","code":"login_first","message":"sign in first: send an init with an id"}`,
	} {
		t.Run(name, func(t *testing.T) {
			talk(t, &server.Options{ICEServers: counting(), ICEServersFor: 90 * time.Second}, lines)
		})
	}
}

// TestICEServersThatLast are asked for once.
func TestICEServersThatLast(t *testing.T) {
	talk(t, &server.Options{ICEServers: counting()}, `
		alice > {"type":"login","name":"alice","iceServers":true}
		alice < {"type":"login","success":true,"iceServers":[{"urls":["turn:a"],"username":"1:alice","credential":"c"}]}`)
}

// TestGrantedICEServersStay has what an Authorizer granted at the login in every later answer, too,
// and after coming back.
func TestGrantedICEServersStay(t *testing.T) {
	server, url := signaltest.StartServer(t, &server.Options{Auth: authFunc(func(context.Context, signal.LoginRequest) (signal.Identity, error) {
		return signal.Identity{ICEServers: []signal.ICEServer{{URLs: []string{"stun:granted"}}}}, nil
	})})
	alice := newReturning(t, url, "alice")
	alice.says(`{"type":"iceServers","seq":1}`)
	alice.hears(`{"type":"iceServers","iceServers":[{"urls":["stun:granted"]}],"seq":1,"ack":1}`)
	alice.vanish(server)
	alice.dial()
	got := exchange(t, alice.ws, map[string]any{"type": "login", "name": "alice", "resume": alice.ticket, "ack": 1, "iceServers": true})
	if fmt.Sprint(got["iceServers"]) != "[map[urls:[stun:granted]]]" {
		t.Errorf("coming back: %v", got)
	}
}
