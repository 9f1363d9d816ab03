package mutator

import (
	"context"
	"slices"
	"testing"

	"parley/signal"
)

// reoffer returns an offer of a call that is up.
func reoffer(number uint64) signal.Message {
	return signal.Message{Type: signal.Offer, SDP: "v=0\r\n", Extension: &signal.Extension{Version: signal.ExtensionVersion, Number: number}}
}

// answered returns the answer to an offer.
func answered(number uint64) signal.Message {
	m := reoffer(number)
	m.Type = signal.Answer
	return m
}

// TestReoffers: the changes of offers of a call that is up leave the first offer alone.
func TestReoffers(t *testing.T) {
	for list, want := range map[string][]uint64{
		"no-ssrc":        {1, 2, 3},
		"drop-reoffer":   {1, 3},
		"repeat-reoffer": {1, 2, 2, 3, 3},
		"stale-reoffer":  {1, 2, 3, 1},
	} {
		m, err := New(list)
		if err != nil {
			t.Fatal(err)
		}
		var sent []uint64
		send := func(_ context.Context, message signal.Message) error {
			sent = append(sent, message.Extension.Number)
			return nil
		}
		for number := range uint64(3) {
			if err := m.Send(t.Context(), reoffer(number+1), send); err != nil {
				t.Fatal(err)
			}
			m.Deliver(answered(number+1), func(signal.Message) {})
		}
		if !slices.Equal(sent, want) {
			t.Errorf("%s: sent the offers %v, want %v", list, sent, want)
		}
	}
}

// TestDropReanswer: the first answer after the one of the call is dropped, once.
func TestDropReanswer(t *testing.T) {
	m, err := New("drop-reanswer")
	if err != nil {
		t.Fatal(err)
	}
	var delivered []uint64
	for _, number := range []uint64{1, 2, 2, 3} {
		m.Deliver(answered(number), func(message signal.Message) { delivered = append(delivered, message.Extension.Number) })
	}
	if want := []uint64{1, 2, 3}; !slices.Equal(delivered, want) {
		t.Errorf("delivered the answers %v, want %v", delivered, want)
	}
}

// TestUnknownChange: a change that does not exist is an error that names it.
func TestUnknownChange(t *testing.T) {
	if _, err := New("no-ssrc,no-such-change"); err == nil {
		t.Error("there is no error")
	}
}
