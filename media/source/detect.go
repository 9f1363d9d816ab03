package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"parley/media"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/container/mp4"
)

// detect finds the container by the first bytes. The name only serves to say what was expected.
func detect(path string, r *bufio.Reader) (container, error) {
	head, err := r.Peek(12)
	if len(head) == 0 {
		return nil, media.ErrEmpty
	}
	switch {
	case bytes.HasPrefix(head, []byte("DKIF")):
		return demuxed(ivf.NewDemuxer), nil
	case bytes.HasPrefix(head, []byte("OggS")):
		return openOgg, nil
	case bytes.HasPrefix(head, []byte{0x1A, 0x45, 0xDF, 0xA3}):
		return openMatroska, nil
	case isMP4(head):
		return demuxed(mp4.NewDemuxer), nil
	case isWAV(head):
		return openWAV, nil
	case bytes.HasPrefix(head, []byte{0, 0, 1}), bytes.HasPrefix(head, []byte{0, 0, 0, 1}):
		return demuxed(annexb.NewDemuxer), nil
	}
	if err != nil && len(head) < 4 {
		return nil, errors.New("the file is too short to be any media")
	}
	signature := head[:min(4, len(head))]
	switch strings.ToLower(filepath.Ext(path)) {
	case ".ivf":
		return nil, fmt.Errorf("not an IVF file: signature is %q; expected \"DKIF\"", signature)
	case ".ogg", ".opus":
		return nil, fmt.Errorf("not an Ogg file: signature is %q; expected \"OggS\"", signature)
	case ".h264", ".264":
		return nil, fmt.Errorf("not an H.264 byte stream: it begins with % x; expected 00 00 00 01", signature)
	}
	return nil, fmt.Errorf("not media that can be sent: signature is %q; expected IVF, Ogg, WebM, Matroska, MP4, H.264, Y4M or WAV; "+
		"ffmpeg makes one of these of nearly everything: ffmpeg -i FILE -c:v libvpx -c:a libopus out.webm", signature)
}

// isMP4: a file begins with ftyp, or in old QuickTime with another of these.
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

// isWAV also knows RF64, for files over 4 GB (EBU Tech 3306), and what ffmpeg writes to a pipe.
func isWAV(head []byte) bool {
	return len(head) >= 12 && (string(head[:4]) == "RIFF" || string(head[:4]) == "RF64") && string(head[8:12]) == "WAVE"
}
