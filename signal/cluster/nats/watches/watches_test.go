package watches

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/signal/cluster"
)

var (
	alice  = cluster.Name{Space: "call", Text: "alice"}
	holder = cluster.SessionID{Node: cluster.NodeID{9}, Number: 9}
	first  = cluster.SessionID{Number: 1}
	second = cluster.SessionID{Number: 2}
)

// testBus is a bus on which the test publishes.
type testBus struct {
	ctx  context.Context
	wait sync.WaitGroup

	mu          sync.Mutex // guards what follows
	err         error      // of Subscribe
	subscribers []func([]byte)
	ended       int // subscriptions
	published   int
	present     bool // a lookup finds holder
	got         []cluster.SessionID
}

// start returns watches that end with the test.
func start(t *testing.T) (*testBus, *Watches) {
	ctx, cancel := context.WithCancel(context.Background())
	b := &testBus{ctx: ctx}
	t.Cleanup(func() {
		cancel()
		b.wait.Wait()
	})
	return b, New(b)
}

func (b *testBus) Subscribe(_ context.Context, _ cluster.Name, receive func([]byte)) (end func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil, b.err
	}
	b.subscribers = append(b.subscribers, receive)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.ended++
	}, nil
}

func (b *testBus) Publish(cluster.Name, []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.published++
}

func (b *testBus) Spawn(f func()) bool   { b.wait.Go(f); return true }
func (b *testBus) Done() <-chan struct{} { return b.ctx.Done() }

func (b *testBus) Lookup(context.Context, cluster.Name) (cluster.SessionID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.present {
		return holder, nil
	}
	return cluster.SessionID{}, cluster.ErrAbsent
}

func (b *testBus) Deliver(to cluster.SessionID, m cluster.Message, _ cluster.Batch) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.Kind == cluster.Present && m.From == holder && m.FromName == alice.Text {
		b.got = append(b.got, to)
	}
	return true
}

// state returns which sessions were notified, in order of their numbers, how many subscriptions
// were made, and how many have ended.
func (b *testBus) state() (got []cluster.SessionID, made, ended int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	got = slices.SortedFunc(slices.Values(b.got), func(x, y cluster.SessionID) int { return int(x.Number) - int(y.Number) })
	return got, len(b.subscribers), b.ended
}

// TestNotify has two sessions watch a name, which is claimed at this node, at another one, and
// without a message about that: both are notified, once, and the subscription ends.
func TestNotify(t *testing.T) {
	for name, claim := range map[string]func(b *testBus, w *Watches){
		"at this node":    func(_ *testBus, w *Watches) { w.Announce(alice, holder, nil) },
		"at another node": func(b *testBus, _ *Watches) { b.subscribers[0](appendSession(nil, holder)) },
		"unnoticed": func(b *testBus, _ *Watches) {
			b.mu.Lock()
			b.present = true
			b.mu.Unlock()
			time.Sleep(lookupInterval)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, w := start(t)
				for _, session := range []cluster.SessionID{first, second} {
					if err := w.Watch(t.Context(), alice, session); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * firstLookup) // nobody holds the name
				b.subscribers[0]([]byte("malformed"))
				b.subscribers[0](appendSession(nil, cluster.SessionID{}))
				if got, made, ended := b.state(); len(got) > 0 || made != 1 || ended != 0 {
					t.Fatalf("before the claim: got %d notified, %d subscriptions and %d ended, want 0, 1 and 0", len(got), made, ended)
				}
				for range 2 {
					claim(b, w)
					synctest.Wait()
				}
				if got, _, ended := b.state(); !slices.Equal(got, []cluster.SessionID{first, second}) || ended != 1 {
					t.Errorf("notified: got %v, with %d subscriptions ended, want both sessions once, and 1", got, ended)
				}
			})
		})
	}
}

// TestUnwatch ends the watches of a name: the subscription ends with the last one.
func TestUnwatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, w := start(t)
		for _, session := range []cluster.SessionID{first, second} {
			if err := w.Watch(t.Context(), alice, session); err != nil {
				t.Fatal(err)
			}
		}
		w.Unwatch(alice, first)
		w.Unwatch(alice, first)
		if _, _, ended := b.state(); ended != 0 {
			t.Error("the subscription has ended while a session watches the name")
		}
		w.Unwatch(alice, second)
		w.Announce(alice, holder, nil)
		if got, _, ended := b.state(); len(got) > 0 || ended != 1 || b.published != 1 {
			t.Errorf("after the last watch: got %d notified, %d subscriptions ended and %d claims published, want 0, 1 and 1", len(got), ended, b.published)
		}
	})
}

// TestSubscribeFails returns the error of a subscription, and subscribes again at the next watch.
func TestSubscribeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, w := start(t)
		b.err = errors.New("no connection")
		if err := w.Watch(t.Context(), alice, first); !errors.Is(err, b.err) {
			t.Errorf("watch: got %v, want %v", err, b.err)
		}
		b.err = nil
		if err := w.Watch(t.Context(), alice, first); err != nil {
			t.Errorf("watch after the failure: %v", err)
		}
		if _, made, _ := b.state(); made != 1 {
			t.Errorf("subscriptions: got %d, want 1", made)
		}
	})
}
