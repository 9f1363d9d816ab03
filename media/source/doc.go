// Package source opens and paces what a call sends: the test signal, files, standard input and
// programs.
//
// A stream of encoded frames has one player, whichever of its tracks are sent: one demuxer, one
// pacer and one loop base. Raw audio (WAV) and raw video (Y4M) are encoded.
//
//	file, "-", exec: ── input ── demuxer ── player ──┬── video Source ── localtrack.Track
//	                                                 └── audio Source ── localtrack.Track
//
// The package is pure Go. A VideoEncoder for raw video comes from the caller.
package source
