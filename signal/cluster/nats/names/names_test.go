package names

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/signal/cluster"
)

var (
	alice = cluster.Name{Space: "call", Text: "alice"}
	bob   = cluster.Name{Space: "call", Text: "bob"}
	first = cluster.SessionID{Node: cluster.NodeID{1}, Number: 1}
	other = cluster.SessionID{Node: cluster.NodeID{1}, Number: 2}
)

// node is a node that can be closed.
type node struct {
	*Names
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu     sync.Mutex // guards closed
	closed bool
}

func newNode(t *testing.T, maxOperations int) *node {
	ctx, cancel := context.WithCancel(context.Background())
	n := &node{cancel: cancel}
	n.Names = New(ctx, n.spawn, maxOperations)
	t.Cleanup(n.close)
	return n
}

func (n *node) spawn(f func()) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.closed {
		n.wait.Go(f)
	}
	return !n.closed
}

func (n *node) close() {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.cancel()
	n.wait.Wait()
}

// do runs an operation and waits for it.
func (n *node) do(name cluster.Name, operation func()) {
	n.Enqueue(name, operation)
	n.wait.Wait()
}

// hold makes a session the holder of a name.
func (n *node) hold(name cluster.Name, session cluster.SessionID, revision uint64) {
	n.do(name, func() { n.Set(name, Record{Session: session}, revision) })
}

// TestOrder runs operations on two names. Those on one name run one after the other, in the order
// of Enqueue, also when ctx has ended; those on both run at the same time, if so many may.
func TestOrder(t *testing.T) {
	for _, maxOperations := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, maxOperations)
			var mu sync.Mutex
			got, running, most := make(map[cluster.Name][]int), make(map[cluster.Name]int), 0
			for i := range 20 {
				for _, name := range []cluster.Name{alice, bob} {
					n.Enqueue(name, func() {
						mu.Lock()
						running[name]++
						most = max(most, running[alice]+running[bob])
						if running[name] > 1 {
							t.Errorf("two operations on %s run at the same time", name.Text)
						}
						mu.Unlock()
						time.Sleep(time.Second) // of the bubble
						mu.Lock()
						defer mu.Unlock()
						running[name]--
						got[name] = append(got[name], i)
					})
				}
			}
			if !n.Busy() {
				t.Error("the names are not busy")
			}
			time.Sleep(5500 * time.Millisecond)
			mu.Lock()
			if most != maxOperations {
				t.Errorf("operations at the same time: got %d, want %d", most, maxOperations)
			}
			mu.Unlock()
			n.close()
			for name, order := range got {
				if !slices.IsSorted(order) || len(order) != 20 {
					t.Errorf("operations on %s: got %v, want 0 to 19", name.Text, order)
				}
			}
			if n.Busy() || len(n.entries) > 0 {
				t.Error("entries are left that nobody holds")
			}
			if n.Enqueue(alice, func() { t.Error("an operation runs after the end") }) {
				t.Error("Enqueue reports true after the end")
			}
		})
	}
}

// TestHolder checks who holds a name, and with which revision.
func TestHolder(t *testing.T) {
	n := newNode(t, 8)
	n.do(alice, func() {
		n.SetClaiming(alice, first)
		if holds, claiming := n.Find(alice, first); holds || !claiming {
			t.Errorf("during the claim: got %v, %v, want that it is claiming", holds, claiming)
		}
		if before := n.Set(alice, Record{Session: first, Identity: "hash"}, 5); before != (cluster.SessionID{}) {
			t.Errorf("session before: got %s, want none", before)
		}
		n.SetClaiming(alice, cluster.SessionID{})
	})
	n.do(bob, func() {}) // nobody holds it
	if r, revision := n.Holder(alice); r != (Record{Session: first, Identity: "hash"}) || revision != 5 {
		t.Errorf("holder: got %+v, %d", r, revision)
	}
	if holds, claiming := n.Find(alice, first); !holds || claiming {
		t.Errorf("after the claim: got %v, %v, want that it holds the name", holds, claiming)
	}
	if held := n.Held(); !slices.Equal(held, []cluster.Name{alice}) {
		t.Errorf("held names: got %v, want alice", held)
	}
	if n.Confirm(alice, other, 6) || !n.Confirm(alice, first, 7) {
		t.Error("Confirm: want false for another session, and true for the holder")
	}
	if _, ok := n.Clear(alice, other, NoRevision); ok {
		t.Error("Clear by a session that does not hold the name reports true")
	}
	if _, ok := n.Clear(alice, first, 7); ok {
		t.Error("Clear below the revision of the holder reports true")
	}
	if revision, ok := n.Clear(alice, first, 8); !ok || revision != 7 {
		t.Errorf("Clear: got %d, %v, want 7", revision, ok)
	}
	if n.Confirm(alice, first, 9) {
		t.Error("Confirm after Clear reports true")
	}
	if r, _ := n.Holder(alice); r != (Record{}) || len(n.entries) > 0 {
		t.Errorf("holder after Clear: got %+v, with %d entries, want none", r, len(n.entries))
	}
}

// TestSameLease checks which names may have been taken as those of a node that has failed.
func TestSameLease(t *testing.T) {
	n := newNode(t, 8)
	n.hold(alice, first, 1)
	n.hold(bob, other, 2)
	n.LeaseEnded()
	if n.SameLease(alice) || n.SameLease(bob) {
		t.Error("the names are of the same lease after its end")
	}
	n.Confirm(alice, first, 1)
	if !n.SameLease(alice) || n.SameLease(bob) {
		t.Error("want that the name that was seen since is of the same lease, and the other is not")
	}
}

// TestKey checks that keys are valid and differ.
func TestKey(t *testing.T) {
	valid, keys := regexp.MustCompile(`^[-=_A-Za-z0-9]+\.[-=_A-Za-z0-9]+$`), make(map[string]bool)
	for _, name := range []cluster.Name{{}, {Space: "a", Text: ""}, {Space: "", Text: "a"}, {Space: "a.b", Text: "c"}, {Space: "a", Text: "b.c"}, {Space: "*", Text: ">"}, {Space: "é", Text: "\x00 /"}} {
		if key := Key(name); !valid.MatchString(key) || keys[key] {
			t.Errorf("key of %q: got %s, want a valid one of its own", name, key)
		} else {
			keys[key] = true
		}
	}
}

// FuzzParseRecord parses values of hostile nodes. What can be parsed comes back as it was.
func FuzzParseRecord(f *testing.F) {
	for i, c := range []cluster.Claim{{Session: first}, {Session: first, Identity: "hash", Resume: cluster.SecretHash{1}}} {
		r := NewRecord(&c)
		value := r.Value()
		if parsed, err := ParseRecord(value); err != nil || parsed != r || r != (Record{c.Session, c.Identity, c.Resume}) {
			f.Errorf("record %d: got %+v, %v, want %+v", i, parsed, err, r)
		}
		f.Add(value)
	}
	for _, bad := range []string{``, `{}`, `{"v":2,"node":"0100000000000000","session":1}`, `{"v":1,"node":"01","session":1}`, `{"v":1,"node":"0100000000000000","session":0}`,
		`{"v":1,"node":"0100000000000000","session":1,"resume":"AA=="}`} {
		if _, err := ParseRecord([]byte(bad)); err == nil {
			f.Errorf("%s: got no error", strconv.Quote(bad))
		}
		f.Add([]byte(bad))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := ParseRecord(value)
		if err != nil {
			return
		}
		if again, err := ParseRecord(r.Value()); err != nil || again != r {
			t.Errorf("record: got %+v, %v, want %+v", again, err, r)
		}
	})
}
