// Package receiver turns the RTP packets of a remote track into frames.
//
// A Receiver puts packets in order, waits for retransmissions, joins packets to frames, requests
// key frames after losses and keeps statistics. It decodes nothing: sinks that need audio samples
// or images decode frames themselves.
package receiver
