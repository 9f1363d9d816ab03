// Package source makes and measures what a call carries.
//
// Sources are local tracks that make their own media: a test picture with a frame number that a program can read
// back, a tone, and files at their own pace, or what comes on standard input or from a program in the format of one:
// IVF, WebM, Matroska, MP4, Ogg and H.264 as they are, WAV and Y4M encoded. OpenVideo and OpenAudio turn the words of a
// command line into one.
//
// A Receiver reads one remote track: it puts packets in order, joins them to frames, and measures without decoding
// what it does not have to. It hands packets to a Mirror, which sends them back, and frames to a Recorder, which
// writes them without encoding again.
//
//	remote track ── Receiver ──┬── packets, as they come ──> Mirror ──> the other end again
//	                 │         └── frames, in order ───────> Recorder ─> .webm .mp4 .ivf .ogg .h264
//	                 └─ Stats
//
// A Voice is a media.FrameSink that decodes Opus for a sound card: a jitter buffer that conceals losses and follows the card's
// clock.
//
// The package is pure Go and knows neither signaling nor calls: it sees tracks through small interfaces that the
// types of pion/webrtc satisfy.
package source
