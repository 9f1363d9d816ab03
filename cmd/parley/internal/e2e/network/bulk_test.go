//go:build linux

package network

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestNetworkAddressChangeInBulk: bytes and files that are on their way when a
// host gets another address go on by a path that is found anew (an ICE restart),
// in the same call.
func TestNetworkAddressChangeInBulk(t *testing.T) {
	t.Run("pipe", func(t *testing.T) {
		b := newBulk(t)
		bob := b.runs(1, "pipe", "--as", "bob", "--once", "--exec", "cat > copy")
		bob.Says(t, "waiting for calls|login")
		// What the source says never ends before the path is another one.
		alice := b.runs(0, "pipe", "bob", "--as", "alice", "--exec", "while [ ! -e enough ]; do head -c 100000 /dev/urandom; done | tee sent")
		copied := filepath.Join(bob.Cmd.Dir, "copy")
		b.grows(copied, 1<<20)
		b.moves(bob)
		b.grows(copied, e2etest.SizeOf(copied)+1<<20)
		if err := os.WriteFile(filepath.Join(alice.Cmd.Dir, "enough"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		alice.Ends(t, 0)
		bob.Ends(t, 0)
		b.sameCall(alice)
		if got, want := e2etest.SumOf(t, copied), e2etest.SumOf(t, filepath.Join(alice.Cmd.Dir, "sent")); got != want {
			t.Errorf("what came has the SHA-256 %s, what was sent %s", got, want)
		}
	})
	t.Run("send", func(t *testing.T) {
		b := newBulk(t)
		path, _ := e2etest.BigFile(t, t.TempDir(), 16<<20)
		bob := b.runs(1, "receive", "--as", "bob", "--yes", "--once")
		bob.Says(t, "waiting for calls|login")
		alice := b.runs(0, "send", path, "bob", "--as", "alice")
		b.grows(filepath.Join(bob.Cmd.Dir, "big.parley-part"), 1<<20)
		b.moves(bob) // with five seconds left for that
		alice.Ends(t, 0)
		bob.Ends(t, 0)
		b.sameCall(alice)
		if got, want := e2etest.SumOf(t, filepath.Join(bob.Cmd.Dir, "big")), e2etest.SumOf(t, path); got != want {
			t.Errorf("what came has the SHA-256 %s, what was sent %s", got, want)
		}
	})
}

// bulk is alice and bob in a lab, with 20 Mbit/s between them.
type bulk struct {
	t     *testing.T
	hosts [2]*host
}

func newBulk(t *testing.T) *bulk {
	t.Helper()
	t.Parallel()
	l := newNetwork(t)
	l.signaling()
	return &bulk{t, [2]*host{l.public("alice", "203.0.113.11/24"), l.public("bob", "203.0.113.12/24")}}
}

// runs runs parley on one of the hosts.
func (b *bulk) runs(i int, args ...string) *e2etest.Process {
	b.t.Helper()
	return b.hosts[i].parley(b.t, append(args, "--server", labServer, "--output", "ndjson", "--impair", "rate=20mbit")...)
}

// grows waits until a file has more than so many bytes.
func (b *bulk) grows(path string, size int64) {
	b.t.Helper()
	for deadline := time.Now().Add(2 * e2etest.Patience); e2etest.SizeOf(path) <= size; time.Sleep(10 * time.Millisecond) { // between two looks
		if time.Now().After(deadline) {
			b.t.Fatalf("%s has %d bytes, and does not get more than %d", path, e2etest.SizeOf(path), size)
		}
	}
}

// moves gives bob another address in place of his, and waits until he is called there.
func (b *bulk) moves(bob *e2etest.Process) {
	b.t.Helper()
	b.hosts[1].address("del", "203.0.113.12/24")
	b.hosts[1].address("add", "203.0.113.32/24")
	bob.Says(b.t, `"event":"pair".*"local":"[a-z]+ 203\.0\.113\.32`)
}

// sameCall checks that a process has made one call, and no second try.
func (b *bulk) sameCall(p *e2etest.Process) {
	b.t.Helper()
	if n := strings.Count(p.Out.String()+p.Err.String(), `"event":"call"`); n != 1 {
		b.t.Errorf("%d calls were made, not one", n)
	}
}
