package peer

import (
	"testing"
	"time"

	"parley/peer/datachannel"
)

// Who sends to an echo and does not read what it says is stopped, and does not
// make it keep everything.
func TestAnEchoStopsWhoDoesNotRead(t *testing.T) {
	const size, count = 60_000, 1000
	echoed := make(chan *datachannel.Channel, 1)
	a, _ := pair(t, func(caller, answerer *Config) {
		caller.Channels = []datachannel.Options{{Label: "flood", Detached: true}}
		answerer.OnEvent = func(e Event) {
			switch e := e.(type) {
			case ChannelOpened:
				echoed <- e.Channel
			case MessageReceived:
				_ = e.Channel.Send(e.Data, e.Text) // an error is of a call that is over
			}
		}
	})
	ours := await(a, func(ChannelOpened) bool { return true }).Channel
	ctx := patient(t)
	flooded := make(chan error, 1)
	go func() {
		message := make([]byte, size)
		for range count {
			if err := ours.Write(ctx, message, false); err != nil {
				flooded <- err
				return
			}
		}
		flooded <- nil
	}()
	theirs := <-echoed
	// Stopped is who gets next to nothing through: pace gives way once a second.
	const span, few = 2 * time.Second, 20
	for before := ours.Sent(); ; before = ours.Sent() {
		select {
		case err := <-flooded:
			t.Fatalf("all was taken (%v), and %d bytes wait to be sent back", err, theirs.Pending())
		case <-time.After(span):
		}
		if ours.Sent() < before+few*size {
			break
		}
	}
	if most := uint64(highWater + (maxQueuedData+100)*size); theirs.Pending() > most {
		t.Errorf("%d bytes wait to be sent back, %d at most should", theirs.Pending(), most)
	}
	a.call.Hangup()
	<-flooded
}
