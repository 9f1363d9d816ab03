package peer

import (
	"io"
	"net"
	"testing"

	"github.com/pion/webrtc/v4"
)

// stunProbe is the URL of a STUN server that says nothing; asked is closed when it was asked.
func stunProbe(t *testing.T) (servers []webrtc.ICEServer, asked <-chan struct{}) {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done, heard := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if _, _, err := socket.ReadFrom(make([]byte, 1500)); err == nil {
			close(heard)
		}
		_, _ = io.Copy(io.Discard, socket.(*net.UDPConn))
	}()
	t.Cleanup(func() { _ = socket.Close(); <-done })
	return []webrtc.ICEServer{{URLs: []string{"stun:" + socket.LocalAddr().String()}}}, heard
}

// Both sides of an ICE restart use the servers of now, and not those of the beginning of the call.
func TestARestartUsesFreshICEServers(t *testing.T) {
	callers, callersAsked := stunProbe(t)
	answerers, answerersAsked := stunProbe(t)
	a, b := pair(t, func(caller, answerer *Config) {
		caller.ICE.FreshServers = func() []webrtc.ICEServer { return callers }
		answerer.ICE.FreshServers = func() []webrtc.ICEServer { return answerers }
		caller.ICE.Loopback, answerer.ICE.Loopback = true, true
	})
	a.awaitConnected()
	b.awaitConnected()
	select {
	case <-callersAsked:
		t.Error("the caller used them before it had to")
	default:
	}
	a.call.RestartICE()
	<-callersAsked
	<-answerersAsked
}
