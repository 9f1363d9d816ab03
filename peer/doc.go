// Package peer is one WebRTC call on Pion: negotiation, ICE, data channels,
// tracks and what can be measured of them. It knows no flags, no devices, no
// terminal and no signaling server: a [Signaler] carries its messages, tracks
// come in as webrtc.TrackLocal and go out as webrtc.TrackRemote.
//
// # A call
//
//	 New ──► Run ───────────────────────────────► nil or *Error
//	          │  ▲
//	   Event  │  │  Deliver(offer, answer, candidate, leave)
//	  (what   │  │  Say, Hangup
//	happened) ▼  │
//	       the owner
//
// Run is the only goroutine that touches the negotiation. Pion's callbacks and
// the methods of [Call] post to its mailbox and return; Run takes one message
// after the other and calls Config.OnEvent for what the owner should know. When
// Run returns, every goroutine and socket of the call is gone.
//
// # Negotiation
//
// Which description is sent or applied when is decided by a pure function, see
// negotiate.go; the rest of the package carries the decision out. Three things
// differ from what browsers do, because Pion has no rollback
// (pion/webrtc#2133):
//
//   - Both sides call at once (glare): the description of a parley, terminal or
//     page, names its session "parley" (s=parley, or parley-answer). Against such a peer the user
//     name that sorts lower keeps its offer, and the other starts over with a
//     new connection and answers. Any other peer is taken for a browser, which
//     rolls back by itself: its offer is ignored and its answer awaited. An offer
//     that came while ours was made, and not sent yet, is simply answered.
//   - In a call that is up, the one that would lose makes no offers, and asks
//     the other for one: an offer without sections, see wish.go.
//   - A description is checked before Pion sees it (jsep.Parse), because a
//     refused one leaves Pion in a state it cannot leave.
//
// # Who is it
//
// The signaling server could put itself between two sides, so both show a code
// made of both certificates (verify.go). A call may demand a code, which is
// checked before anything connects, or hold back what it sends until somebody
// has compared it (confirm.go).
//
// # Changes
//
// Tracks are added, removed and exchanged, and the call is held and resumed, in
// mid-call (change.go). However many changes come while an offer is out, they
// are one more offer. One that the other side does not take is answered with what
// is in force, and taken back (refuse.go). Directions are written into our descriptions and not into
// Pion's transceivers, which it would stop for good.
//
// # Text
//
// The caller opens one reliable channel. The original text page opens one of
// the same label itself and hears nothing but that, so a channel that the peer
// opened is preferred for sending, see textChannels.
//
// # Channels
//
// An event reports a data channel once it is open. Its messages are events, or an owner detaches
// it, see package datachannel.
package peer
