// Package device captures cameras, microphones and screens, and plays to speakers.
//
// OpenVideo and OpenAudio return sources for "camera", "camera:ID", "screen" and "microphone:ID".
// They encode by themselves: H.264 and Opus, and VP8 and VP9 in a build with libvpx. List returns
// the devices, Codecs and Lacks what this build can do.
//
//	camera ─┐ raw frames, the newest only    ┌─────────┐
//	screen ─┴────> capture ──> frameSlot ──> │ encoder │ ─> localtrack.Track ─> bound senders
//	microphone ──> chunks of samples ──────> └─────────┘
//
// All calls that open a device of a Shared have one capture of it, and one encoder per codec and
// size. A qualityScaler sends less while the network or the encoder is overused. A call gets the
// first of the negotiated codecs that this build encodes.
//
// A Speaker mixes the playout.Buffers of several calls.
//
// A device that is lost during a call (unplugged, stalled) does not end the source. The source
// sends nothing, reports it (Warn as text, OnPresence to each call), and continues when the device
// is back.
//
// Devices need cgo and Linux. In other builds the functions return errors that say so.
//
// Package videodevice has the cameras and screens, audiodevice microphones and speakers, rawframe
// the frames between capture and encoder; libcodec encodes.
package device
