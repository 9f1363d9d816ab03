package chat

import (
	"fmt"
	"sync"

	"parley/cmd/parley/internal/chat/tui"
)

// maxInbox is how many events wait for the owner of a chat before texts of a
// peer that floods it are dropped.
const maxInbox = 4096

// inbox carries events of calls to the goroutine of Chat.loop. post does not wait: loop may be
// waiting for the goroutine that posts.
type inbox struct {
	ready chan struct{} // has one element when there is something

	mu      sync.Mutex // guards the following
	items   []any      // tui.Event, or a func() that the owner calls
	dropped int
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// post adds a tui.Event or a func().
func (b *inbox) post(item any) {
	b.mu.Lock()
	if len(b.items) >= maxInbox && expendable(item) {
		b.dropped++
	} else {
		b.items = append(b.items, item)
	}
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// expendable reports whether an event can be lost without harm: what others say, as fast as they
// please.
func expendable(item any) bool {
	switch item := item.(type) {
	case tui.Said:
		return !item.Mine
	case tui.Noted, tui.Progress:
		return true
	}
	return false
}

// take is everything that was posted.
func (b *inbox) take() []any {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	if b.dropped > 0 {
		items = append(items, tui.Noted{Text: fmt.Sprintf("%d lines came too fast, and are not shown", b.dropped), Alert: true})
	}
	b.items, b.dropped = nil, 0
	return items
}
