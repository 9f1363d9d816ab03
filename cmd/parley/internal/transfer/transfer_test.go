package transfer

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/peer/filetransfer"
)

// fakeCall is a call that does nothing.
type fakeCall struct{ ctx context.Context }

func (fakeCall) Peer() string               { return "alice" }
func (c fakeCall) Context() context.Context { return c.ctx }
func (fakeCall) Go(f func())                { go f() }
func (fakeCall) Hangup()                    {}
func (fakeCall) Emit(event.Event)           {}
func (fakeCall) Reporter() *event.Reporter  { return nil }
func (fakeCall) Logger() *slog.Logger       { return slog.New(slog.DiscardHandler) }

// A transfer that is offered again ends the one that has its files once that has stalled, and no
// other.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReceiver(ReceiverOptions{})
		offer := func(names ...string) *filetransfer.Offer {
			o := &filetransfer.Offer{}
			for _, name := range names {
				o.Entries = append(o.Entries, filetransfer.Entry{Name: name})
			}
			return o
		}
		begin := func(o *filetransfer.Offer) *transfer {
			tr := newTransfer(fakeCall{t.Context()}, "in")
			r.begin(tr)
			r.agree(tr, o, "")
			go func() { // as receive does
				<-tr.ctx.Done()
				close(tr.over)
				r.end(tr)
			}()
			return tr
		}
		stalled, other := begin(offer("a", "b")), begin(offer("c"))
		started := time.Now()
		r.takeOver(t.Context(), newTransfer(fakeCall{t.Context()}, "in"), offer("b"))
		if cause := context.Cause(stalled.ctx); !errors.Is(cause, errTakenOver) {
			t.Errorf("the stalled transfer: got %v, want %v", cause, errTakenOver)
		}
		if took := time.Since(started); took != stallTime {
			t.Errorf("the take-over took %s, want %s", took, stallTime)
		}
		if other.ctx.Err() != nil {
			t.Errorf("a transfer of other files has ended: %v", context.Cause(other.ctx))
		}

		// One that goes on keeps its files.
		busy := begin(offer("a"))
		stop := make(chan struct{})
		go func() {
			for tick := time.NewTicker(time.Second); ; {
				select {
				case <-tick.C:
					busy.lastEvent.Store(time.Now().UnixNano())
				case <-stop:
					tick.Stop()
					return
				}
			}
		}()
		r.takeOver(t.Context(), newTransfer(fakeCall{t.Context()}, "in"), offer("a"))
		close(stop)
		if busy.ctx.Err() != nil {
			t.Errorf("a transfer that goes on has ended: %v", context.Cause(busy.ctx))
		}
		for _, tr := range []*transfer{busy, other} {
			tr.end(nil)
		}
	})
}

func TestSummary(t *testing.T) {
	o := &filetransfer.Offer{Entries: []filetransfer.Entry{
		{Name: "trip", Dir: true}, {Name: "trip/a", Size: 1 << 20}, {Name: "trip/b\x1b", Size: 1}, {Name: "x\x1b", Size: 2}, {Name: "y"}, {Name: "z"},
	}}
	if got, want := summary(o), `5 files, 1.0 MiB: trip/, x\x1b, y, …`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := summary(&filetransfer.Offer{Entries: []filetransfer.Entry{{Name: "n", Size: 17}}}), "a file, 17 bytes: n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Progress shows the part that is there, and the rate of what went over the network.
func TestMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(4 << 20)
		m.name = "a"
		time.Sleep(time.Second)
		if m.add(filetransfer.Progress{Bytes: 10}) {
			t.Error("it draws for a few bytes")
		}
		m.add(filetransfer.Progress{Bytes: 1<<20 - 10, Skipped: true})
		time.Sleep(time.Second)
		if !m.add(filetransfer.Progress{Bytes: 1 << 20}) {
			t.Error("it does not draw")
		}
		const want = "████████████░░░░░░░░░░░░  50 %  2.0 MiB of 4.0 MiB"
		if got := m.String(); len(got) < len(want) || got[:len(want)] != want {
			t.Errorf("got %s, want %s…", got, want)
		}
	})
}
