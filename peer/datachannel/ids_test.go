package datachannel

import (
	"errors"
	"sync"
	"testing"
	"time"
)

func TestIDs(t *testing.T) {
	i := newIDs()
	now := time.Now()
	for range 2 {
		if id, ok, err := i.take(now); ok || err != nil {
			t.Fatalf("ID %d, %v before the parity is known", id, err)
		}
	}
	i.choose(3) // of our parity, so that Pion's are 1 and 5
	i.choose(4)
	i.choose(9)
	i.learn(5)
	want := func(want uint16) {
		t.Helper()
		if id, ok, err := i.take(now); id != want || !ok || err != nil {
			t.Fatalf("ID %d, %v, %v; want %d", id, ok, err, want)
		}
	}
	want(11) // three are chosen, and Pion has two
	want(13)
	i.free(13, now)
	want(15)
	i.choose(65531)
	i.next = 65527
	want(65527)
	want(65529)
	want(65533)
	if _, _, err := i.take(now); !errors.Is(err, ErrNoID) {
		t.Errorf("with nothing left: %v", err)
	}
	i.free(11, now.Add(time.Second))
	now = now.Add(reuseDelay)
	want(13)
	if _, _, err := i.take(now); !errors.Is(err, ErrNoID) {
		t.Errorf("used again at once: %v", err)
	}
	now = now.Add(time.Second)
	want(11)
}

// openAndClose opens n channels and closes each, a few at a time, which the peer answers. It calls
// progress now and then.
func openAndClose(t *testing.T, s *Set, n int, progress func(done int)) {
	t.Helper()
	const atOnce, often = 8, 1000
	var all sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for i := range n {
		turn <- struct{}{}
		all.Go(func() {
			defer func() { <-turn }()
			ch, err := openWhenPossible(s)
			if err != nil {
				t.Error(err)
				return
			}
			ch.discard()
		})
		if (i+1)%often == 0 {
			progress(i + 1)
		}
	}
	all.Wait()
}

// openWhenPossible opens a channel, and waits while there is no ID.
func openWhenPossible(s *Set) (*Channel, error) {
	opened := make(chan *Channel, 1)
	for {
		err := s.Open(Options{Detached: true}, func(ch *Channel) bool { opened <- ch; return true })
		switch {
		case err == nil:
			return <-opened, nil
		case !errors.Is(err, ErrNoID):
			return nil, err
		}
		time.Sleep(time.Millisecond)
	}
}

// echo sends back what comes on each channel that the peer opens, until the peer closes it.
func (s *side) echo(t *testing.T) {
	go func() {
		for {
			select {
			case ch := <-s.opened:
				s.spawn(func() {
					for {
						data, text, err := ch.Receive(t.Context())
						if err != nil || ch.Write(t.Context(), data, text) != nil {
							return
						}
					}
				})
			case <-t.Context().Done():
				return
			}
		}
	}()
}

// TestIDsAreReused: stream identifiers come back, many times over, when only a few are left.
func TestIDsAreReused(t *testing.T) {
	a, b := sides(t)
	b.echo(t)
	first, err := openWhenPossible(a.Set) // its ID is Pion's
	if err != nil {
		t.Fatal(err)
	}
	if first.ID()%2 != 1 {
		t.Fatalf("the DTLS server has the ID %d", first.ID())
	}
	a.mu.Lock()
	a.ids.next, a.ids.delay = maxID-40, 100*time.Millisecond
	a.ids.next |= 1
	a.mu.Unlock()
	openAndClose(t, a.Set, 400, func(int) {})
	ch, err := openWhenPossible(a.Set)
	if err != nil || ch.ID() < maxID-40 {
		t.Fatalf("ID %d, %v", ch.ID(), err)
	}
	if err := ch.Write(timeout(t), []byte("works"), true); err != nil {
		t.Fatal(err)
	}
	if data, _, err := ch.Receive(timeout(t)); string(data) != "works" || err != nil {
		t.Errorf("received %q, %v", data, err)
	}
}

func TestNegotiatedIDInUse(t *testing.T) {
	a, b := sides(t)
	ours, _ := open(t, a, b, Options{})
	if err := a.Open(Options{Negotiated: true, ID: ours.ID()}, nil); err == nil {
		t.Errorf("the ID %d is used twice", ours.ID())
	}
}
