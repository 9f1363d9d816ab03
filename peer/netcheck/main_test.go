package netcheck

import (
	"context"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestImports: the package knows the network, not calls and signaling.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		if dep = strings.TrimSpace(dep); strings.HasPrefix(dep, "parley/") && dep != "parley/peer/netcheck" {
			t.Errorf("netcheck imports %s", dep)
		}
	}
}

// turnServer is a STUN and TURN server on loopback: the addresses of UDP and TCP.
type turnServer struct{ udp, tcp string }

const user, password = "alice", "secret"

func startServer(t *testing.T) turnServer {
	t.Helper()
	packets, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relay := &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"}
	server, err := turn.NewServer(turn.ServerConfig{
		Realm: "test",
		AuthHandler: func(r *turn.RequestAttributes) (string, []byte, bool) {
			return r.Username, turn.GenerateAuthKey(r.Username, r.Realm, password), r.Username == user
		},
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: packets, RelayAddressGenerator: relay}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: listener, RelayAddressGenerator: relay}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return turnServer{packets.LocalAddr().String(), listener.Addr().String()}
}

// withCredentials returns a Server with valid credentials.
func withCredentials(url string) Server { return Server{URL: url, Username: user, Password: password} }

// check checks a single server.
func check(s Server, options *Options) ServerResult {
	return CheckServers(context.Background(), []Server{s}, options).Servers[0]
}

// listenLoopback returns a UDP socket.
func listenLoopback(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// rejectingServer returns the address of a server that rejects each allocation with an error.
func rejectingServer(t *testing.T, with ...stun.Setter) string {
	t.Helper()
	conn := listenLoopback(t)
	go reject(conn, with)
	return conn.LocalAddr().String()
}

// reject responds to binding requests, and to allocations with an error, until conn is closed.
func reject(conn net.PacketConn, with []stun.Setter) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		m := &stun.Message{Raw: buffer[:n]}
		if m.Decode() != nil {
			continue
		}
		at := addrPortOf(from)
		setters := []stun.Setter{stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess, &stun.XORMappedAddress{IP: at.Addr().AsSlice(), Port: int(at.Port())}}
		if m.Type.Method == stun.MethodAllocate {
			setters = append(setters[:1], stun.NewType(stun.MethodAllocate, stun.ClassErrorResponse))
			setters = append(setters, with...)
		}
		_, _ = conn.WriteTo(stun.MustBuild(setters...).Raw, from)
	}
}
