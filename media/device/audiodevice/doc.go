// Package audiodevice captures microphones and plays to speakers, by PulseAudio or ALSA.
//
// It needs cgo and Linux: in other builds it is empty. The microphone of pion/mediadevices is not
// used, since it returns samples that the audio device overwrites (pion/mediadevices issue 500).
package audiodevice
