// Package libcodec encodes and decodes with OpenH264, libvpx and libopus.
//
// The libraries need cgo and Linux, and libvpx the tag vpx: in other builds the package is empty.
// OpenH264 and libopus are those inside pion/mediadevices.
package libcodec
