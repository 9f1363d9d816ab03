// Package peertest is the other side of a call as nobody wants it: it answers an
// offer properly, connects by ICE, and then does what a test tells it on the
// layers above: DTLS with a configuration of its own, SRTP and SCTP packets made
// by hand.
//
//	offer ──► Answer ──► Connect (ICE) ──► DTLS ──► Write, RTP, Associate ...
//
// It knows Pion's parts alone, and nothing of package peer.
package peertest
