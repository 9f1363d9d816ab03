package peer

import (
	"testing"

	"github.com/pion/webrtc/v4"
)

// Who hears that a call is connected knows by which pair, whatever the order of
// Pion's callbacks, and hears of each pair once.
func TestThePairIsToldFirst(t *testing.T) {
	for range 10 {
		a, b := pair(t, func(caller, answerer *Config) { caller.ICE.Loopback, answerer.ICE.Loopback = true, true })
		for _, s := range []*side{a, b} {
			s.awaitConnected()
			s.mu.Lock()
			var last *PairSelected
			for _, e := range s.events {
				switch e := e.(type) {
				case PairSelected:
					if last != nil && *last == e {
						t.Errorf("%v was told twice", e)
					}
					last = &e
				case StateChanged:
					if e.State == webrtc.PeerConnectionStateConnected && last == nil {
						t.Error("it is connected by no pair")
					}
				}
			}
			s.mu.Unlock()
		}
		a.call.Hangup()
		for _, s := range []*side{a, b} {
			if _, err := s.awaitEnd(); err != nil {
				t.Error(err)
			}
		}
	}
}
