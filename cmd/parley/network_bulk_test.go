//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNetworkAddressChangeInBulk: bytes and files that are on their way when a
// host gets another address go on by a path that is found anew (an ICE restart),
// in the same call.
func TestNetworkAddressChangeInBulk(t *testing.T) {
	t.Run("pipe", func(t *testing.T) {
		b := newBulk(t)
		bob := b.runs(1, "pipe", "--as", "bob", "--once", "--exec", "cat > copy")
		bob.says(t, "waiting for calls|login")
		// What the source says never ends before the path is another one.
		alice := b.runs(0, "pipe", "bob", "--as", "alice", "--exec", "while [ ! -e enough ]; do head -c 100000 /dev/urandom; done | tee sent")
		copied := filepath.Join(bob.cmd.Dir, "copy")
		b.grows(copied, 1<<20)
		b.moves(bob)
		b.grows(copied, sizeOf(copied)+1<<20)
		if err := os.WriteFile(filepath.Join(alice.cmd.Dir, "enough"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		alice.ends(t, 0)
		bob.ends(t, 0)
		b.sameCall(alice)
		if got, want := sumOf(t, copied), sumOf(t, filepath.Join(alice.cmd.Dir, "sent")); got != want {
			t.Errorf("what came has the SHA-256 %s, what was sent %s", got, want)
		}
	})
	t.Run("send", func(t *testing.T) {
		b := newBulk(t)
		path, _ := bigFile(t, t.TempDir(), 16<<20)
		bob := b.runs(1, "receive", "--as", "bob", "--yes", "--once")
		bob.says(t, "waiting for calls|login")
		alice := b.runs(0, "send", path, "bob", "--as", "alice")
		b.grows(filepath.Join(bob.cmd.Dir, "big.parley-part"), 1<<20)
		b.moves(bob) // with five seconds left for that
		alice.ends(t, 0)
		bob.ends(t, 0)
		b.sameCall(alice)
		if got, want := sumOf(t, filepath.Join(bob.cmd.Dir, "big")), sumOf(t, path); got != want {
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
func (b *bulk) runs(i int, args ...string) *process {
	b.t.Helper()
	return b.hosts[i].parley(b.t, append(args, "--server", labServer, "--output", "ndjson", "--impair", "rate=20mbit")...)
}

// grows waits until a file has more than so many bytes.
func (b *bulk) grows(path string, size int64) {
	b.t.Helper()
	for deadline := time.Now().Add(2 * patience); sizeOf(path) <= size; time.Sleep(10 * time.Millisecond) { // between two looks
		if time.Now().After(deadline) {
			b.t.Fatalf("%s has %d bytes, and does not get more than %d", path, sizeOf(path), size)
		}
	}
}

// moves gives bob another address in place of his, and waits until he is called there.
func (b *bulk) moves(bob *process) {
	b.t.Helper()
	b.hosts[1].address("del", "203.0.113.12/24")
	b.hosts[1].address("add", "203.0.113.32/24")
	bob.says(b.t, `"event":"pair".*"local":"[a-z]+ 203\.0\.113\.32`)
}

// sameCall checks that a process has made one call, and no second try.
func (b *bulk) sameCall(p *process) {
	b.t.Helper()
	if n := strings.Count(p.out.String()+p.err.String(), `"event":"call"`); n != 1 {
		b.t.Errorf("%d calls were made, not one", n)
	}
}
