// Package track defines what a local track may offer to the call that sends it.
//
// A track is a [webrtc.TrackLocal]. One that implements an interface of this package as well is
// asked or given more about the call. The methods are called from goroutines of the call, also at
// the same time, and must not block.
package track

import "github.com/pion/webrtc/v4"

// KeyFrameRequester is a video track that can make a key frame on request.
type KeyFrameRequester interface {
	// RequestKeyFrame asks for a key frame. RequestKeyFrame is called when the peer asks for one
	// (PLI or FIR, RFC 8834 section 5.1.1), at most once in 300 ms, and when the track is sent
	// again after a pause.
	RequestKeyFrame()
}

// LossObserver is a track that adds redundancy for what the network loses.
type LossObserver interface {
	// SetLoss sets the share of packets that were lost lately, 0 to 1. SetLoss is called for each
	// receiver report of the peer (RFC 3550 section 6.4.1).
	SetLoss(share float64)
}

// BitrateSetter is a track whose bitrate follows the bandwidth estimation.
type BitrateSetter interface {
	// SetBitrate sets how much the track may send from now on, in bit/s. SetBitrate is called when
	// that differs by more than two percent from what it was.
	SetBitrate(bps int)
}

// Simulcast is a video track that is sent in several encodings at once (RFC 8853).
type Simulcast interface {
	// Layers returns one track for each encoding, the same ones each time. They have the ID and
	// StreamID of the track, and each a RID of its own. Without layers the track is sent by itself.
	Layers() []webrtc.TrackLocal
}

// CodecReporter is a track that knows its codec before it is bound.
type CodecReporter interface {
	// Codec returns the MIME type of what the track sends, such as [webrtc.MimeTypeVP8].
	Codec() string
}

// CongestionReporter is implemented by the [webrtc.TrackLocalWriter] that a call gives to its
// tracks.
type CongestionReporter interface {
	// Full reports whether a frame that is written now would wait in a queue of the network, or be
	// lost. A track that encodes frames drops them before encoding while it is true.
	Full() bool
}

// BurstWriter is implemented by the [webrtc.TrackLocalWriter] that a call gives to its tracks.
type BurstWriter interface {
	// BeginBurst lets the packets that are written until EndBurst leave the host together, which
	// takes fewer system calls. The packets of one frame are a burst.
	BeginBurst()
	// EndBurst sends the packets of the burst.
	EndBurst()
}
