package peer

import (
	"strings"
	"testing"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"
)

func index(i uint16) *uint16 { return &i }
func named(s string) *string { return &s }

// orderFaults are messages that come when they should not. 46 (a candidate
// before the description) is TestCandidatesBeforeTheDescription, 51 (glare)
// TestGlare; 57 (an old session of the signaling server) is the
// server's.
func orderFaults() map[string]func(*testing.T) {
	up := func(fault func(*testing.T, *side, *side)) func(*testing.T) {
		return func(t *testing.T) {
			a, b := pair(t, nil)
			a.awaitConnected()
			b.awaitConnected()
			fault(t, a, b)
			a.call.Say("still here")
			b.awaitText("still here")
		}
	}
	return map[string]func(*testing.T){
		"47_candidate_after_the_end": up(func(_ *testing.T, a, b *side) {
			b.call.DeliverCandidate(webrtc.ICECandidateInit{})
			b.call.DeliverCandidate(webrtc.ICECandidateInit{Candidate: "candidate:1 1 udp 2122252543 192.0.2.7 5000 typ host"})
		}),
		"48_candidate_of_another_time": up(func(_ *testing.T, a, b *side) {
			b.call.DeliverCandidate(webrtc.ICECandidateInit{
				Candidate:        "candidate:1 1 udp 2122252543 192.0.2.7 5000 typ host ufrag stale",
				UsernameFragment: named("stale"),
			})
		}),
		"49_candidate_of_no_section": up(func(_ *testing.T, a, b *side) {
			line := "candidate:1 1 udp 2122252543 192.0.2.7 5000 typ host"
			for _, init := range []webrtc.ICECandidateInit{
				{Candidate: line}, {Candidate: line, SDPMid: named("nobody")}, {Candidate: line, SDPMLineIndex: index(99)},
				{Candidate: line, SDPMid: named(strings.Repeat("x", 1<<16)), SDPMLineIndex: index(65535)},
			} {
				b.call.DeliverCandidate(init)
			}
		}),
		"50_an_offer_twice": func(t *testing.T) {
			var offer string
			a, b := pair(t, func(caller, _ *Config) {
				caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
					if kind == "offer" {
						offer = s
					}
					return s, true
				}
			})
			a.awaitConnected()
			b.awaitConnected()
			b.call.DeliverOffer(SessionDescription{SDP: offer})
			b.call.DeliverOffer(SessionDescription{SDP: strings.Replace(offer, "a=group:BUNDLE", "a=x-other:1\r\na=group:BUNDLE", 1)})
			a.call.Say("still here")
			b.awaitText("still here")
		},
		"52_answer_after_the_end": func(t *testing.T) {
			a, b := pair(t, nil)
			a.awaitConnected()
			b.awaitConnected()
			offer := a.call.stats.live[0].pc.LocalDescription().SDP
			a.call.Hangup()
			a.awaitEnd()
			b.awaitEnd()
			for _, s := range []*side{a, b} {
				s.call.DeliverAnswer(SessionDescription{SDP: offer})
				s.call.DeliverOffer(SessionDescription{SDP: offer})
				s.call.DeliverCandidate(webrtc.ICECandidateInit{Candidate: "candidate:1 1 udp 1 192.0.2.7 5000 typ host"})
				s.call.DeliverLeave()
				s.call.Say("never received")
				s.call.RestartICE()
			}
		},
		"53_offer_while_gathering": func(t *testing.T) {
			server := newReflector(t, func(*stun.Message, string) *stun.Message { return nil })
			a, b := pair(t, func(caller, answerer *Config) {
				for _, c := range []*Config{caller, answerer} { // gathering waits for it
					c.ICE.Servers = []webrtc.ICEServer{{URLs: []string{"stun:" + server.address}}}
				}
			})
			b.awaitConnected()
			a.awaitConnected()
			a.call.RestartICE()
			a.call.Say("still here")
			b.awaitText("still here")
		},
		"54_track_removed_while_an_offer_is_out": trackRemovedInFlight,
		"55_hung_up_at_each_step": func(t *testing.T) {
			for name, step := range map[string]func(*faulty){
				"before ICE":  func(*faulty) {},
				"before DTLS": func(f *faulty) { f.connect() },
				"in DTLS": func(f *faulty) {
					f.connect()
					f.Outgoing(func(record []byte) [][]byte { // one flight, and no more
						f.call.Hangup()
						return [][]byte{record}
					})
					f.handshakeFails(f.Config())
				},
				"before SCTP": func(f *faulty) { f.connect().handshake() },
				"in SCTP":     func(f *faulty) { f.connect().handshake().associate() },
			} {
				t.Run(name, func(t *testing.T) {
					f := callHostile(t, nil)
					step(f)
					f.call.Hangup()
					if end, err := f.awaitEnd(); end != Left || err != nil {
						t.Errorf("ended with %v, %v", end, err)
					}
				})
			}
		},
		"56_a_thousand_renegotiations": func(t *testing.T) {
			offers := 0 // of the goroutine of a
			a, b := pair(t, func(caller, _ *Config) {
				caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
					if kind == "offer" {
						offers++
					}
					return s, true
				}
			})
			a.awaitConnected()
			b.awaitConnected()
			for range 1000 {
				a.call.RestartICE()
			}
			a.call.Say("still here")
			b.awaitText("still here")
			a.call.Hangup()
			a.awaitEnd()
			if offers < 2 || offers > 200 {
				t.Errorf("%d offers were made of a thousand changes", offers)
			}
		},
	}
}
