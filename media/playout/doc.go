// Package playout buffers received audio for playback at the pace of a sound card.
package playout
