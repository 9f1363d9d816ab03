// Package container opens media files of any format.
package container

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"parley/media"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/container/matroska"
	"parley/media/container/mp4"
	"parley/media/container/ogg"
	"parley/media/container/y4m"

	"github.com/pion/webrtc/v4"
)

// A Format is a file format.
type Format int

// The formats that Detect knows. WAV and Y4M hold raw audio and video, the others encoded frames.
const (
	IVF Format = iota + 1
	Ogg
	Matroska
	MP4
	AnnexB // H.264 byte stream
	WAV
	Y4M
)

// Detect returns the format of a stream by its first bytes, which it does not consume.
func Detect(r *bufio.Reader) (Format, error) {
	head, err := r.Peek(12)
	if len(head) == 0 {
		return 0, media.ErrEmpty
	}
	switch {
	case bytes.HasPrefix(head, []byte("DKIF")):
		return IVF, nil
	case bytes.HasPrefix(head, []byte("OggS")):
		return Ogg, nil
	case bytes.HasPrefix(head, []byte{0x1A, 0x45, 0xDF, 0xA3}):
		return Matroska, nil
	case isMP4(head):
		return MP4, nil
	case isWAV(head):
		return WAV, nil
	case bytes.HasPrefix(head, []byte(y4m.Magic)):
		return Y4M, nil
	case bytes.HasPrefix(head, []byte{0, 0, 1}), bytes.HasPrefix(head, []byte{0, 0, 0, 1}):
		return AnnexB, nil
	}
	if err != nil && len(head) < 4 {
		return 0, errors.New("the file is too short to be any media")
	}
	return 0, fmt.Errorf("unknown media format: signature is %q; want IVF, Ogg, WebM, Matroska, MP4, H.264, Y4M or WAV; "+
		"convert it: ffmpeg -i FILE -c:v libvpx -b:v 1M -c:a libopus OUT.webm", head[:min(4, len(head))])
}

// Open returns a demuxer for a stream of encoded frames. Raw audio and video (WAV, Y4M) are an
// error: their packages read them.
func Open(in media.Input) (media.Demuxer, error) {
	format, err := Detect(in.Reader)
	if err != nil {
		return nil, err
	}
	switch format {
	case IVF:
		return ivf.NewDemuxer(in)
	case Ogg:
		return ogg.NewDemuxer(in)
	case Matroska:
		return matroska.NewDemuxer(in)
	case MP4:
		return mp4.NewDemuxer(in)
	case AnnexB:
		return annexb.NewDemuxer(in)
	case Y4M:
		return nil, errors.New("a Y4M stream has video only")
	case WAV:
		return nil, errors.New("a WAV stream has audio only")
	}
	return nil, fmt.Errorf("format %d has no demuxer", format)
}

// isMP4 reports whether a file begins with ftyp, or with another box that old QuickTime files and
// fragments begin with.
func isMP4(head []byte) bool {
	if len(head) < 8 {
		return false
	}
	switch string(head[4:8]) {
	case "ftyp", "moov", "mdat", "wide", "styp", "moof":
		return true
	}
	return false
}

// isWAV also knows RF64 for files over 4 GiB (EBU Tech 3306), and BW64 (ITU-R BS.2088).
func isWAV(head []byte) bool {
	if len(head) < 12 || string(head[8:12]) != "WAVE" {
		return false
	}
	switch string(head[:4]) {
	case "RIFF", "RF64", "BW64":
		return true
	}
	return false
}

// FirstTrack returns the index of the first track of a kind that can be sent.
func FirstTrack(tracks []media.Track, kind webrtc.RTPCodecType) (int, error) {
	var reason error
	var others []string
	for i, t := range tracks {
		has := media.KindOf(t.Codec.MimeType)
		switch {
		case has != kind:
			if has != 0 {
				others = append(others, fmt.Sprintf("%s (%s)", has, media.CodecName(t.Codec.MimeType)))
			}
		case t.Err != nil:
			reason = cmp.Or(reason, t.Err)
		default:
			return i, nil
		}
	}
	switch {
	case reason != nil:
		return 0, reason
	case len(others) > 0:
		return 0, fmt.Errorf("the stream has no %s; it has %s", kind, others[0])
	}
	return 0, fmt.Errorf("the stream has no %s", kind)
}
