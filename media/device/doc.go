// Package device makes sources of what is attached to the machine: cameras, microphones and screens.
//
// OpenVideo and OpenAudio turn "camera", "camera:ID", "screen", "microphone:ID" into a media.Source, which encodes by
// itself: H.264, or VP8 and VP9 in a build with libvpx, and Opus. List tells what there is, Codecs and Lacks what this
// build can do.
//
//	camera ─┐ pictures, the newest only      ┌───────────┐
//	screen ─┴──────> capture ─> latest ────> │  encoder  │ ─> localtrack.Track ─> bound senders
//	microphone ────> chunks of samples ────> └───────────┘
//
// There is one capture for all calls that share a device (Shared), and one encoder for each codec and size that they
// want; a ladder has them send less while the network or the machine carries less. A call gets the first codec of those
// negotiated that this build encodes to.
//
// A Speaker plays the voices of several calls.
//
// A device that goes away during a call (unplugged, stalled) does not end the source: it keeps quiet, tells (Warn in
// words, OnPresence each call), and comes back by itself when the device does.
//
// All of that needs cgo and Linux. Elsewhere the same functions are there and return errors that say so.
//
// Cameras and the encoders for H.264 and Opus are those of pion/mediadevices; VP8 and VP9 are libvpx, see vpxEncoder.
// The tracks of mediadevices are not used: they send with a payload type of their own, name another stream on each call
// and stamp pictures when they are encoded. Nor are its microphone, which hands out samples that the sound card
// overwrites (pion/mediadevices issue 500) and prints to stderr when the program starts, and its screen, because Xlib
// ends the whole process when the display goes away.
package device
