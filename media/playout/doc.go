// Package playout buffers received audio for playback at the pace of an audio device.
package playout
