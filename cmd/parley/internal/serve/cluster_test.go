package serve

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pion/turn/v5"

	"parley/signal"
	"parley/signal/client"
)

// runningServer is a server that Run runs.
type runningServer struct{ signaling, nats, turn string }

// run runs a server until the test ends.
func run(t *testing.T, o Options) (s runningServer) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	events, ended := make(chan Event, 10), make(chan error, 1)
	o.Report = func(e Event) { events <- e }
	go func() { ended <- Run(ctx, o) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for s.signaling == "" {
		select {
		case e := <-events:
			switch e := e.(type) {
			case NATSListening:
				s.nats = e.URL
			case TURNListening:
				s.turn = fmt.Sprintf("127.0.0.1:%d", e.Port)
			case Listening:
				s.signaling = e.Signaling
			case Warning:
				t.Errorf("unexpected warning: %s", e.Text)
			}
		case <-time.After(patience):
			t.Fatalf("the server does not listen within %s", patience)
		}
	}
	return s
}

// TestTURNCredentialsOfAnotherNode checks that the credentials that one node of a cluster gives its
// clients are good at the TURN server of another with the same --turn-secret, as after a client has
// resumed its session there, and not at one with another secret. Each node gives its clients its
// own TURN server.
func TestTURNCredentialsOfAnotherNode(t *testing.T) {
	options := func(nats, secret string) Options {
		o := valid()
		o.Cluster.NATS, o.TURN.Address, o.TURN.Secret = nats, "127.0.0.1:0", secret
		return o
	}
	a := run(t, options("embedded:127.0.0.1:0", "north"))
	b := run(t, options(a.nats, "north"))
	other := run(t, options(a.nats, "south"))
	given := make(map[string]signal.ICEServer) // by name
	for name, server := range map[string]runningServer{"alice": a, "bob": b} {
		given[name] = grantedTURN(t, server, name)
		for _, url := range given[name].URLs {
			if !strings.HasPrefix(url, "turn:"+server.turn+"?") {
				t.Errorf("%s was given %s, want the TURN server of its own node, %s", name, url, server.turn)
			}
		}
	}
	for name, credentials := range given {
		for _, server := range []runningServer{a, b} {
			if err := allocate(t, server.turn, credentials); err != nil {
				t.Errorf("credentials of %s, at a server with the same secret: %v", name, err)
			}
		}
		if err := allocate(t, other.turn, credentials); err == nil || !strings.Contains(err.Error(), "Allocate error response") {
			t.Errorf("credentials of %s, at a server with another secret: got %v, want an error response", name, err)
		}
	}
}

// TestLimitsOfTwoNodes checks that limits of an address count at each node.
func TestLimitsOfTwoNodes(t *testing.T) {
	o := valid()
	o.Limits.PerAddress, o.Cluster.NATS = 2, "embedded:127.0.0.1:0"
	a := run(t, o)
	o.Cluster.NATS = a.nats
	b := run(t, o)
	for _, s := range []runningServer{a, b} {
		for n := 1; n <= 3; n++ {
			c, err := client.Dial(t.Context(), s.signaling, nil)
			if err == nil {
				defer c.Close()
			}
			if refused := n > 2; refused != (err != nil) || refused && !strings.Contains(err.Error(), "429") {
				t.Errorf("connection %d to a node with a limit of 2: got %v", n, err)
			}
		}
	}
}

// grantedTURN signs in and returns the TURN server that the client is given.
func grantedTURN(t *testing.T, s runningServer, name string) signal.ICEServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.Dial(ctx, s.signaling, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(ctx, name); err != nil {
		t.Fatal(err)
	}
	for _, one := range c.ICEServers() {
		if one.Credential != "" {
			return one
		}
	}
	t.Fatalf("%s was given %v, want a TURN server", name, c.ICEServers())
	return signal.ICEServer{}
}

// allocate allocates at a TURN server.
func allocate(t *testing.T, server string, credentials signal.ICEServer) error {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server, TURNServerAddr: server, Conn: conn, Username: credentials.Username, Password: credentials.Credential,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Listen(); err != nil {
		t.Fatal(err)
	}
	relay, err := c.Allocate()
	if err != nil {
		return err
	}
	return relay.Close()
}
