package peer

import (
	"net"
	"testing"
	"time"

	"github.com/pion/turn/v5"
	"github.com/pion/webrtc/v4"
)

// relayDies makes a call through a TURN server that dies in the middle of it: the
// call looks for another path, and ends with a reason when there is none.
func relayDies(t *testing.T) {
	conn := must(net.ListenPacket("udp4", "127.0.0.1:0"))(t)
	server := must(turn.NewServer(turn.ServerConfig{
		Realm: "test",
		AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) {
			return a.Username, turn.GenerateAuthKey(a.Username, a.Realm, "p"), true
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn:            conn,
			PermissionHandler:     func(net.Addr, net.IP) bool { return true },
			RelayAddressGenerator: &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"},
		}},
	}))(t)
	closed := false
	t.Cleanup(func() {
		if !closed {
			_ = server.Close()
		}
	})
	a, b := pair(t, func(caller, answerer *Config) {
		caller.ICE.RelayOnly = true
		caller.ICE.Servers = []webrtc.ICEServer{{URLs: []string{"turn:" + conn.LocalAddr().String() + "?transport=udp"}, Username: "u", Credential: "p"}}
		for _, c := range []*Config{caller, answerer} {
			c.Timeouts.Disconnected, c.Timeouts.Failed, c.Timeouts.Restart = time.Second, 8*time.Second, time.Second
		}
		answerer.Signaler.(*wire).filter = func(kind, s string) (string, bool) { return s, kind != "leave" }
	})
	a.call.Say("through the relay")
	b.awaitText("through the relay")
	if p := await(a, func(PairSelected) bool { return true }); !p.Relayed {
		t.Errorf("the path is %+v", p)
	}
	closed = true
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	a.failsAt(Connection, "connection lost")
	b.awaitEnd()
}

// trackRemovedInFlight removes a track while the offer that brings it has not
// been answered.
func trackRemovedInFlight(t *testing.T) {
	track := testTrack(t, webrtc.MimeTypeOpus)
	a, b := pair(t, func(caller, _ *Config) { caller.Media.Tracks = []webrtc.TrackLocal{track} })
	a.awaitConnected()
	b.awaitConnected()
	other := testTrack(t, webrtc.MimeTypeVP8)
	done := make(chan error, 3)
	a.begin(a.call.addTrack(other), done)
	a.begin(a.call.removeTrack(other), done)
	a.begin(a.call.removeTrack(track), done)
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	a.call.Say("still here")
	b.awaitText("still here")
}
