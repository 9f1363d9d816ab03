//go:build !quick

package nats

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"parley/signal/cluster"
)

// issuer issues credentials of users of a NATS server.
type issuer struct {
	t       *testing.T
	account nkeys.KeyPair
	url     string
}

// startIssuer starts a NATS server in operator mode, with one account that has JetStream.
func startIssuer(t *testing.T) *issuer {
	t.Helper()
	key := func(kp nkeys.KeyPair, err error) (nkeys.KeyPair, string) {
		public, e := kp.PublicKey()
		if err != nil || e != nil {
			t.Fatal(err, e)
		}
		return kp, public
	}
	operator, operatorID := key(nkeys.CreateOperator())
	account, accountID := key(nkeys.CreateAccount())
	_, systemID := key(nkeys.CreateAccount())
	resolver := &natsserver.MemAccResolver{}
	for _, id := range []string{accountID, systemID} {
		claims := jwt.NewAccountClaims(id)
		if id == accountID {
			claims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: -1, DiskStorage: -1, Streams: -1, Consumer: -1}
		}
		text, err := claims.Encode(operator)
		if err == nil {
			err = resolver.Store(id, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	trusted := jwt.NewOperatorClaims(operatorID)
	trusted.SystemAccount = systemID
	s, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		TrustedOperators: []*jwt.OperatorClaims{trusted}, AccountResolver: resolver, SystemAccount: systemID,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		t.Fatal("the NATS server is not ready")
	}
	return &issuer{t, account, s.ClientURL()}
}

// user returns the file with the credentials of a user who may publish and subscribe to these
// subjects.
func (i *issuer) user(subjects ...string) string {
	i.t.Helper()
	kp, err := nkeys.CreateUser()
	if err != nil {
		i.t.Fatal(err)
	}
	id, _ := kp.PublicKey()
	seed, _ := kp.Seed()
	claims := jwt.NewUserClaims(id)
	claims.Pub.Allow, claims.Sub.Allow = subjects, subjects
	token, err := claims.Encode(i.account)
	if err != nil {
		i.t.Fatal(err)
	}
	text, err := jwt.FormatUserConfig(token, seed)
	file := filepath.Join(i.t.TempDir(), "user.creds")
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		i.t.Fatal(err)
	}
	return file
}

// TestCredentials joins a cluster with the permissions that the topic cluster lists, which are
// enough. One less, or credentials of another account, are one clear error.
func TestCredentials(t *testing.T) {
	t.Parallel()
	i := startIssuer(t)
	file := i.user("parley.v1.>", "_INBOX.>", "$JS.API.>", "$KV.parley_nodes.>", "$KV.parley_names.>")
	o := Options{Servers: []string{i.url}, Credentials: file, Lease: 10 * time.Second}
	first, second := startNode(t, o), startNode(t, o)
	alice, bob := attach(first), attach(second)
	alice.mustClaim(t, "alice")
	if holder, err := second.Lookup(t.Context(), call("alice")); err != nil || holder != alice.SessionID {
		t.Errorf("lookup at the other node: got %v, %v", holder, err)
	}
	exchange(t, alice, bob)
	if err := first.Watch(t.Context(), call("bob"), alice.SessionID); err != nil {
		t.Errorf("watch: %v", err)
	}
	bob.mustClaim(t, "bob")
	second.Announce(call("bob"), bob.SessionID, nil)
	if m := alice.next(t); m.Kind != cluster.Present || m.From != bob.SessionID {
		t.Errorf("got %+v, want Present of bob", m)
	}

	for missing, file := range map[string]string{
		"$JS.API":          i.user("parley.v1.>", "_INBOX.>", "$KV.parley_nodes.>", "$KV.parley_names.>"),
		"parley.v1":        i.user("_INBOX.>", "$JS.API.>", "$KV.parley_nodes.>", "$KV.parley_names.>"),
		"$KV.parley_nodes": i.user("parley.v1.>", "_INBOX.>", "$JS.API.>", "$KV.parley_names.>"),
	} {
		o := o
		o.Credentials = file
		if n, err := Start(t.Context(), o); err == nil {
			_ = n.Close()
			t.Errorf("without %s: got no error", missing)
		} else if !strings.Contains(err.Error(), "NATS denies the user") || !strings.Contains(err.Error(), missing) {
			t.Errorf("without %s: got %q", missing, err)
		}
	}

	other := startIssuer(t)
	o.Servers = []string{other.url}
	if n, err := Start(t.Context(), o); err == nil {
		_ = n.Close()
		t.Error("credentials of another account: got no error")
	} else if !strings.Contains(err.Error(), "NATS refused the credentials") || strings.Contains(err.Error(), "\n") {
		t.Errorf("credentials of another account: got %q", err)
	}
}
