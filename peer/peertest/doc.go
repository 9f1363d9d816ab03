// Package peertest provides a hostile peer for tests: it answers an offer and connects by ICE
// correctly, and then does on the layers above what a test asks for: DTLS with a configuration of
// its own, SRTP and SCTP packets made by hand.
//
//	offer ──► Answer ──► Connect (ICE) ──► DTLS ──► Write, RTP, Associate ...
//
// The package is built on the parts of Pion, and does not import package peer.
package peertest
