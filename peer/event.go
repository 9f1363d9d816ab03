package peer

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// Event is something that happened in a call: one of the types below.
type Event interface{ event() }

// StateChanged tells a new state of the connection.
type StateChanged struct {
	State webrtc.PeerConnectionState
	// Since is the time since the first offer was sent or came in.
	Since time.Duration
	// Silence, of a connection that is disconnected or failed, is how long
	// nothing has come by its path.
	Silence time.Duration
}

// ICEStateChanged tells a new state of ICE of a connection.
type ICEStateChanged struct{ State webrtc.ICEConnectionState }

// SignalingStateChanged tells a new state of offer and answer of a connection.
type SignalingStateChanged struct{ State webrtc.SignalingState }

// CandidateFound tells a candidate of either side, as it was sent or came in.
type CandidateFound struct {
	Remote   bool
	Type     string // host, srflx, prflx, relay
	Protocol string // udp, tcp
	Address  string // IP address or .local name, and port; validated, safe to print
}

// GatheringComplete tells that all candidates of this side were found. The other
// side is not told.
type GatheringComplete struct{}

// PairSelected tells the candidate pair in use.
type PairSelected struct {
	Local, Remote CandidateFound
	Relayed       bool
}

// ChannelOpened tells that a data channel is ready to send.
type ChannelOpened struct{ Channel *datachannel.Channel }

// ChannelClosed tells that a data channel is gone.
type ChannelClosed struct{ Channel *datachannel.Channel }

// MessageReceived is a message of a data channel.
type MessageReceived struct {
	Channel *datachannel.Channel
	Text    bool // a string, which is valid UTF-8; else binary
	Data    []byte
}

// TextSent is a line given to Say, once it was handed to a channel.
type TextSent struct {
	Channel *datachannel.Channel
	Text    string
}

// TextRejected is a line given to Say that will not be sent, and why: Reason wraps
// datachannel.ErrTooLong where the other side takes no message of that size.
type TextRejected struct {
	Text   string
	Reason error
}

// VerificationCode tells the verification code, see verify.go: the other end shows the
// same, unless somebody sits between. It comes before the connection, and once
// more when the code has been confirmed.
type VerificationCode struct {
	Code string
	// Verified: it is the one that was expected (VerificationConfig.Code), or confirmed.
	Verified bool
}

// TrackReceived hands a track of the other side over: the receiver of the
// event owns reading it, until it ends with an error.
type TrackReceived struct {
	Track    *webrtc.TrackRemote
	Receiver *webrtc.RTPReceiver
	// RID names the layer that this is of a track with several (RFC 8852), "" for
	// one without. Track may have one all the same, which the receiver goes by.
	RID string
	// Local is the track that this side sends in the same media section, nil
	// if none.
	Local webrtc.TrackLocal
	// WriteRTCP sends feedback, such as a PLI, to the other side.
	WriteRTCP func([]rtcp.Packet) error
}

// TrackMuted tells that the other side has said, in mid-call, that it sends no
// more by its track of a kind for now, or that it goes on: it is on hold, or its
// device is gone.
type TrackMuted struct {
	Kind  webrtc.RTPCodecType
	Muted bool
}

// TrackSending tells that the other side agreed to a track of ours.
type TrackSending struct {
	Track webrtc.TrackLocal
	Codec webrtc.RTPCodecParameters
}

// TrackRejected tells that the other side has no place for a track of ours.
type TrackRejected struct {
	Track  webrtc.TrackLocal
	Reason string
}

// AddressesChanged tells that this machine has other addresses than before; the
// call looks for a new path by itself.
type AddressesChanged struct{ Addresses []string }

// Warned tells of something refused or dropped that does not end the call.
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
