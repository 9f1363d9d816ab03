// Package videodevice captures cameras, screens and the test pattern.
//
// It needs cgo and Linux: in other builds it is empty. Cameras come from pion/mediadevices, whose
// tracks are not used: they have a payload type and stream ID of their own for each call, and their
// timestamps are those of encoding. Nor is its screen: Xlib ends the process when the display is
// lost.
package videodevice
