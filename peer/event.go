package peer

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// Event is something that happened in a call: one of the types below.
type Event interface{ event() }

// StateChanged reports a new state of the call.
type StateChanged struct {
	State webrtc.PeerConnectionState
	// Since is the time since the first offer was sent or received.
	Since time.Duration
	// Silence is how long a disconnected or failed call has received nothing.
	Silence time.Duration
}

// ICEStateChanged reports a new ICE state of a connection.
type ICEStateChanged struct{ State webrtc.ICEConnectionState }

// SignalingStateChanged reports a new signaling state of the call.
type SignalingStateChanged struct{ State webrtc.SignalingState }

// CandidateFound reports a candidate that was gathered or received.
type CandidateFound struct {
	Remote   bool
	Type     string // host, srflx, prflx, relay
	Protocol string // udp, tcp
	Address  string // IP address or .local name, and port; validated, safe to print
}

// GatheringComplete reports that all candidates of a connection were gathered.
type GatheringComplete struct{}

// PairSelected reports the candidate pair in use.
type PairSelected struct {
	Local, Remote CandidateFound
	Relayed       bool
}

// ChannelOpened reports that a data channel is open.
type ChannelOpened struct{ Channel *datachannel.Channel }

// ChannelClosed reports that a data channel is closed.
type ChannelClosed struct{ Channel *datachannel.Channel }

// MessageReceived is a message of a data channel.
type MessageReceived struct {
	Channel *datachannel.Channel
	Text    bool // a string, which is valid UTF-8; else binary
	Data    []byte
}

// TextSent reports that a line of Say was sent on a channel.
type TextSent struct {
	Channel *datachannel.Channel
	Text    string
}

// TextRejected reports that a line of Say will not be sent. Reason wraps datachannel.ErrTooLong if
// the peer accepts no message of that size, and is ErrOver if the line waited for a channel until
// the call ended.
type TextRejected struct {
	Text   string
	Reason error
}

// VerificationCode reports the verification code: the peer has the same, unless a third party
// intercepts the call. It comes before the call is connected, and again when the code is confirmed.
type VerificationCode struct {
	Code string
	// Verified reports that the code is the expected one (VerificationConfig.Code) or was
	// confirmed.
	Verified bool
}

// TrackReceived reports a track of the peer. The owner of the call reads it until an error.
type TrackReceived struct {
	Track    *webrtc.TrackRemote
	Receiver *webrtc.RTPReceiver
	// RID is the ID of a simulcast layer (RFC 8852), "" for other tracks. Track may have a RID all
	// the same, by which the receiver assigns packets.
	RID string
	// Mid is the mid of the m-section.
	Mid string
	// Local is the track that is sent in the same m-section, nil for none.
	Local webrtc.TrackLocal
	// WriteRTCP sends feedback, such as a PLI, to the peer.
	WriteRTCP func([]rtcp.Packet) error
}

// TrackMuted reports that the peer has announced that it pauses or resumes its track of a kind,
// because of a hold or a missing device.
type TrackMuted struct {
	Kind  webrtc.RTPCodecType
	Mid   string // of the m-section
	Muted bool
}

// TrackSending reports that the peer accepted a track of ours.
type TrackSending struct {
	Track webrtc.TrackLocal
	Codec webrtc.RTPCodecParameters
}

// TrackRejected reports that a track of ours is not sent.
type TrackRejected struct {
	Track  webrtc.TrackLocal
	Reason string
}

// AddressesChanged reports that the addresses of the host have changed. The call restarts ICE by
// itself if its path needs that.
type AddressesChanged struct{ Addresses []string }

// Warned reports something that was rejected or dropped and does not end the call.
type Warned struct{ Text string }

func (ICEStateChanged) event() {}

func (SignalingStateChanged) event() {}

func (StateChanged) event() {}

func (CandidateFound) event() {}

func (PairSelected) event() {}

func (GatheringComplete) event() {}

func (ChannelOpened) event() {}

func (ChannelClosed) event() {}

func (MessageReceived) event() {}

func (TextSent) event() {}

func (TextRejected) event() {}

func (VerificationCode) event() {}

func (TrackReceived) event() {}

func (TrackMuted) event() {}

func (TrackSending) event() {}

func (TrackRejected) event() {}

func (Warned) event() {}

func (AddressesChanged) event() {}
