// Package quality measures received media.
//
// A ToneMeter measures the tone and level of audio, a FrameIDReader reads the frame IDs of the test
// video. An Analyzer compares received test signals with those that were sent: losses, freezes,
// PSNR, latency, and how far audio and video are apart.
package quality
