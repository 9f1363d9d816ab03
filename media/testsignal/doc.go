// Package testsignal generates test video and audio that carry their own position in time.
//
// Every frame of the test video shows its frame number as black and white cells, the frame ID; the
// test audio repeats a timecode under its tone. Both count from an Epoch. A receiver reads them
// with ReadFrameID and a TimecodeDetector, and so finds what was lost and how late the rest is.
package testsignal
