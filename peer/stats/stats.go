package stats

import (
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
	"parley/peer/internal/interceptors/rtpstats"
)

// Stats is what a call has measured of its sending side and its path. What was not measured is nil
// or absent, never 0. Received frames are measured by their reader.
type Stats struct {
	// RTT of the selected candidate pair, by STUN.
	RTT      *time.Duration
	Tracks   []SentTrack
	Channels []datachannel.Stats
	// Report has all of it by the names of W3C, in both directions.
	Report Report
}

// SentTrack is one outgoing RTP stream.
type SentTrack struct {
	Kind    webrtc.RTPCodecType
	Codec   string // MIME type
	Packets uint64
	Bytes   uint64 // payload
	// By the latest reception report of the peer, nil without one.
	Lost   *int64
	Jitter *time.Duration
	RTT    *time.Duration
}

// NewSentTrack returns what was measured of an outgoing stream. It reports false for a track that
// has not been bound.
func NewSentTrack(out Outbound, recorder *rtpstats.Recorder) (SentTrack, bool) {
	ssrc, codec := out.Track.Binding()
	s, ok := recorder.Outbound(ssrc)
	if !ok {
		return SentTrack{}, false
	}
	track := SentTrack{Kind: out.Track.Kind(), Codec: codec.MimeType, Packets: s.PacketsSent, Bytes: s.BytesSent}
	if s.RoundTripTimeMeasurements > 0 {
		jitter := time.Duration(s.Jitter * float64(time.Second))
		track.Lost, track.RTT, track.Jitter = &s.PacketsLost, &s.RoundTripTime, &jitter
	}
	return track, true
}

// DataChannel returns the data-channel object of a channel.
func DataChannel(ch *datachannel.Channel) Object {
	state := webrtc.DataChannelStateOpen
	if ch.Closed() {
		state = webrtc.DataChannelStateClosed
	}
	s := ch.Stats()
	return Object{"id": fmt.Sprintf("D%d", ch.ID()), "type": "data-channel", "timestamp": timestamp(time.Now()),
		"label": s.Label, "protocol": ch.Protocol(), "dataChannelIdentifier": ch.ID(), "state": state.String(),
		"messagesSent": s.MessagesSent, "bytesSent": s.BytesSent,
		"messagesReceived": s.MessagesReceived, "bytesReceived": s.BytesReceived}
}

// PeerConnection returns the peer-connection object of a call.
func PeerConnection(opened, closed int) Object {
	return Object{"id": "PC", "type": "peer-connection", "timestamp": timestamp(time.Now()),
		"dataChannelsOpened": opened, "dataChannelsClosed": closed}
}
