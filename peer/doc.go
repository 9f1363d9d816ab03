// Package peer runs one WebRTC call on Pion.
//
// It knows no flags, devices, terminal or signaling server: a [Signaler] sends its messages, tracks
// are webrtc.TrackLocal and webrtc.TrackRemote, and events report what happens.
//
// # Calls
//
//	New ──► Run ───────────────────────────────► nil or *Error
//	         │  ▲
//	  events │  │ DeliverOffer, DeliverAnswer, DeliverCandidate, DeliverLeave,
//	         ▼  │ Say, AddTrack, Hangup, ...
//	        owner
//
// Pion's callbacks and the methods of [Call] post to a mailbox and return. The goroutine of Run
// handles the messages one after the other and calls Config.OnEvent. When Run returns, all
// goroutines and sockets of the call are closed.
//
// A Call consists of parts with one job each, all used by that goroutine: a negotiator exchanges
// offers and answers, an applier applies them to the transports (the connections, each with one
// PeerConnection), candidates trickles ICE candidates, a reconnector restarts ICE, changes tracks
// the changes that have to be negotiated, and a verification computes the verification code.
//
// # Negotiation
//
// Package jsep decides, as a pure function, which description is sent or applied when. Pion has no
// rollback (pion/webrtc#2133), so an offer of a later negotiation is applied only together with its
// answer, and is rolled back by dropping it. The first offer is applied at once, because gathering
// begins with it; its PeerConnection is replaced when it is rolled back. A description is checked
// before Pion applies it, because Pion cannot return from a half-applied one.
//
// Parleys, terminals and pages, send an [Extension] beside each offer and answer. It numbers
// offers, so that lost, repeated and late messages are recognized, and rejects an offer with a
// reason. When two offers cross (glare), the polite peer rolls back its own: a terminal with a
// page, and of two terminals the one that is not Config.Impolite. Other peers are expected to roll
// back by themselves, as browsers do.
//
// # Changes
//
// Tracks are added, removed and replaced, and the call is held and resumed, while it is connected.
// All changes that are requested while an offer is out are negotiated by one more offer. A change
// that the peer rejects is undone. Directions are written into descriptions, not set on Pion's
// transceivers, which would stop for good.
//
// # Reconnecting
//
// When the path of a call is silent, an ICE restart is offered, and again when signaling is
// restored or the addresses of the host change. The old path stays in use until the answer has
// come, unless it has failed.
//
// # Verification
//
// The signaling server could intercept a call with certificates of its own. Both peers compute the
// same code from both certificates. A call may require a code before it connects
// (VerificationConfig.Code), or hold back media and text until the code is confirmed
// (VerificationConfig.Required).
//
// # Data channels and text
//
// An event reports a data channel when it is open. Its messages are events, unless the owner
// detaches it, see package datachannel. Text is sent on the channel that the caller opened or, if
// the peer opens one with the same label, on that one: the original text page listens only there.
package peer
