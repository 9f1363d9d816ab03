package peer

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v4/vnet"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/candidate"
)

func iceFaults() map[string]func(*testing.T) {
	faults := map[string]func(*testing.T){
		"58_no_UDP_at_all": func(t *testing.T) {
			l := newLab(t)
			l.down.Store(true)
			a, b := l.pair(t, func(_, answerer *Config) {
				answerer.Signaler.(*wire).filter = func(kind, s string) (string, bool) { return s, kind != "leave" }
			})
			a.failsAt(Connection, "none of our addresses")
			b.awaitEnd()
		},
		"59_silent_STUN_server": func(t *testing.T) {
			server := newReflector(t, func(*stun.Message, string) *stun.Message { return nil })
			talksWith(t, webrtc.ICEServer{URLs: []string{"stun:" + server.address}})
		},
		"59_STUN_server_that_lies_about_our_address": func(t *testing.T) {
			server := newReflector(t, func(m *stun.Message, _ string) *stun.Message {
				return stun.MustBuild(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(192, 0, 2, 1), Port: 9}, stun.Fingerprint)
			})
			talksWith(t, webrtc.ICEServer{URLs: []string{"stun:" + server.address}})
		},
		"59_STUN_server_that_sends_us_on_for_ever": func(t *testing.T) {
			server := newReflector(t, func(m *stun.Message, self string) *stun.Message {
				r := stun.MustBuild(m, stun.BindingError, stun.ErrorCodeAttribute{Code: 300, Reason: []byte("try another")})
				at := must(net.ResolveUDPAddr("udp4", self))(t)
				_ = (&stun.AlternateServer{IP: at.IP, Port: at.Port}).AddTo(r)
				return r
			})
			talksWith(t, webrtc.ICEServer{URLs: []string{"stun:" + server.address}})
			if n := server.asked.Load(); n > 200 {
				t.Errorf("it was asked %d times", n)
			}
		},
		"59_STUN_server_that_talks_nonsense": func(t *testing.T) {
			server := newReflector(t, func(m *stun.Message, _ string) *stun.Message {
				return &stun.Message{Raw: append([]byte{1, 1, 0xff, 0xff}, m.Raw[4:]...)}
			})
			talksWith(t, webrtc.ICEServer{URLs: []string{"stun:" + server.address}})
		},
		"61_forged_checks": func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake().associate()
			theirs, _, ours := f.Credentials()
			user := stun.NewUsername(theirs + ":" + ours)
			stranger := f.stranger()
			for range 200 {
				stranger(
					stun.MustBuild(stun.TransactionID, stun.BindingRequest, user, stun.NewShortTermIntegrity("wrong"), stun.Fingerprint).Raw,
					stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername("who:ever"), stun.NewShortTermIntegrity("x"), stun.Fingerprint).Raw,
					stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw,
					stun.MustBuild(stun.TransactionID, stun.BindingRequest, user, stun.RawAttribute{Type: 0x7fff, Value: []byte{1}}).Raw,
					stun.MustBuild(stun.TransactionID, stun.BindingSuccess, &stun.XORMappedAddress{IP: net.IPv4(192, 0, 2, 1), Port: 9}).Raw,
				)
			}
			f.talks()
		},
		"62_flood_from_a_third_party": func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake().associate()
			stranger := f.stranger()
			for i := range 20_000 {
				packet := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername("a:b"), stun.Fingerprint).Raw
				if i%2 == 0 {
					packet = append([]byte{22, 254, 253}, packet...) // not even STUN
				}
				stranger(packet)
			}
			f.talks()
		},
		"63_role_conflicts": func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake().associate()
			theirs, password, ours := f.Credentials()
			stranger := f.stranger()
			for i := range 500 {
				stranger(stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername(theirs+":"+ours),
					ice.AttrControlling(uint64(i)), ice.PriorityAttr(1), stun.NewShortTermIntegrity(password), stun.Fingerprint).Raw)
			}
			f.talks()
		},
		"64_consent_lost_one_way": func(t *testing.T) {
			l := newLab(t)
			a, b := l.pair(t, func(caller, answerer *Config) {
				caller.Timeouts.Restart, answerer.Timeouts.Restart = time.Second, time.Second
			})
			a.awaitConnected()
			b.awaitConnected()
			l.mute.Store(1) // what a sends does not arrive
			b.failsAt(Connection, "connection lost")
			a.awaitEnd()
		},
		"65_a_path_that_flaps": func(t *testing.T) {
			l := newLab(t)
			a, b := l.pair(t, nil)
			a.awaitConnected()
			b.awaitConnected()
			for range 3 {
				a.forget()
				l.down.Store(true)
				a.awaitState(webrtc.PeerConnectionStateDisconnected)
				a.forget()
				l.down.Store(false)
				a.awaitConnected()
			}
			a.call.Say("still here")
			b.awaitText("still here")
		},
		"68_addresses_of_no_peer": func(t *testing.T) {
			for _, address := range []string{
				"0.0.0.0", "::", "255.255.255.255", "224.0.0.251", "ff02::fb", "169.254.169.254", "169.254.170.2", "fd00:ec2::254",
				"::ffff:169.254.169.254", "metadata.google.internal", "localhost",
			} {
				if _, err := candidate.Parse("candidate:1 1 udp 2122252543 " + address + " 80 typ host"); err == nil {
					t.Errorf("%s is taken", address)
				}
			}
			for _, address := range []string{"192.168.1.2", "10.0.0.1", "127.0.0.1", "169.254.7.7", "fe80::1", "2001:db8::1", "a-b.local"} {
				if _, err := candidate.Parse("candidate:1 1 udp 2122252543 " + address + " 80 typ host"); err != nil {
					t.Errorf("%s is refused: %v", address, err)
				}
			}
		},
	}
	faults["60_TURN_server_dies"] = relayDies
	for _, code := range []stun.ErrorCode{401, 403, 437, 438, 441, 486, 508} {
		faults[fmt.Sprintf("60_TURN_error_%d", code)] = func(t *testing.T) { refusedByTURN(t, code) }
	}
	return faults
}

// talksWith makes a call that has an ICE server of no use, and does without.
func talksWith(t *testing.T, server webrtc.ICEServer) {
	t.Helper()
	a, b := pair(t, func(caller, _ *Config) { caller.ICE.Servers = []webrtc.ICEServer{server} })
	a.call.Say("hello")
	b.awaitText("hello")
}

// rejectedByTURN tries a TURN server that answers everything with an error: a
// call that may do without goes on, and one that may not says why it ends.
func refusedByTURN(t *testing.T, code stun.ErrorCode) {
	server := newReflector(t, func(m *stun.Message, _ string) *stun.Message {
		kind := stun.NewType(m.Type.Method, stun.ClassErrorResponse)
		return stun.MustBuild(m, kind, stun.ErrorCodeAttribute{Code: code, Reason: []byte("no")},
			stun.NewRealm("test"), stun.NewNonce("once"))
	})
	turn := webrtc.ICEServer{URLs: []string{"turn:" + server.address + "?transport=udp"}, Username: "u", Credential: "p"}
	talksWith(t, turn)
	a, b := pair(t, func(caller, answerer *Config) {
		caller.ICE.Servers, caller.ICE.RelayOnly = []webrtc.ICEServer{turn}, true
		for _, c := range []*Config{caller, answerer} {
			c.Timeouts.Disconnected, c.Timeouts.Failed = 300*time.Millisecond, 300*time.Millisecond
		}
		answerer.Signaler.(*wire).filter = func(kind, s string) (string, bool) { return s, kind != "leave" }
	})
	a.failsAt(Connection, "no connection")
	b.awaitEnd()
	if n := server.asked.Load(); n == 0 || n > 200 {
		t.Errorf("the server was asked %d times", n)
	}
}

// reflector is a STUN server with a mind of its own.
type reflector struct {
	address string
	asked   atomic.Int64
}

func newReflector(t *testing.T, answer func(m *stun.Message, self string) *stun.Message) *reflector {
	t.Helper()
	conn := must(net.ListenPacket("udp4", "127.0.0.1:0"))(t)
	r := &reflector{address: conn.LocalAddr().String()}
	var work sync.WaitGroup
	work.Go(func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			m := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
			if m.Decode() != nil {
				continue
			}
			r.asked.Add(1)
			if reply := answer(m, r.address); reply != nil {
				_, _ = conn.WriteTo(reply.Raw, from)
			}
		}
	})
	t.Cleanup(func() { _ = conn.Close(); work.Wait() })
	return r
}

// muted reports whether a packet is of the host that is kept from being received.
func (l *lab) muted(c vnet.Chunk) bool {
	source, ok := c.SourceAddr().(*net.UDPAddr)
	return ok && int32(source.IP.To4()[3]) == l.mute.Load()
}

// stranger sends packets to the call from another address than the peer's.
func (f *faulty) stranger() func(...[]byte) {
	f.t.Helper()
	conn := must(net.Dial("udp", f.Address().String()))(f.t)
	f.t.Cleanup(func() { _ = conn.Close() })
	return func(packets ...[]byte) {
		for _, p := range packets {
			_, _ = conn.Write(p) // a full buffer is what a flood is for
		}
	}
}
