// Package codec reads and writes the bitstream headers of H.264, VP8, VP9, AV1, Opus and G.711.
package codec
