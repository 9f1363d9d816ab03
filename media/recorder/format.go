package recorder

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"parley/media"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/container/matroska"
	"parley/media/container/mp4"
	"parley/media/container/ogg"
	"parley/media/container/wav"

	"github.com/pion/webrtc/v4"
)

// format describes the files with one extension.
type format struct {
	extension string
	codecs    []string // MIME types that the container holds, in order of preference
	single    bool     // holds one track
	needsSize bool     // needs the size of the video, or the parameter sets of H.264, in its header
	newMuxer  func(media.Output, []media.OutputTrack) (media.Muxer, error)
}

// formats returns all formats, in the order in which errors name them.
func formats() []format {
	return []format{
		{extension: ".webm", codecs: matroska.WebMCodecs(), newMuxer: matroska.NewMuxer},
		{extension: ".mkv", codecs: matroska.Codecs(), needsSize: true, newMuxer: matroska.NewMuxer},
		{extension: ".mp4", codecs: mp4.Codecs(), needsSize: true, newMuxer: mp4.NewMuxer},
		{extension: ".ivf", codecs: []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1}, single: true, newMuxer: ivf.NewMuxer},
		{extension: ".ogg", codecs: []string{webrtc.MimeTypeOpus}, single: true, newMuxer: ogg.NewMuxer},
		{extension: ".wav", codecs: []string{webrtc.MimeTypePCMU, webrtc.MimeTypePCMA}, single: true, newMuxer: wav.NewMuxer},
		{extension: ".h264", codecs: []string{webrtc.MimeTypeH264}, single: true, newMuxer: annexb.NewMuxer},
	}
}

// formatOf returns the format of the file at path. The error is a *media.SpecError.
func formatOf(path string) (format, error) {
	extension := strings.ToLower(filepath.Ext(path))
	all := formats()
	for _, f := range all {
		if f.extension == extension {
			return f, nil
		}
	}
	return format{}, &media.SpecError{Spec: path, Reason: "unknown recording format: want a name that ends with " + listOf(all)}
}

// Codecs returns the MIME types of audio and video that can be recorded to path, in order of
// preference. The list of a kind that the format does not hold is nil, as are both for an unknown
// format.
func Codecs(path string) (audio, video []string) {
	f, err := formatOf(path)
	if err != nil {
		return nil, nil
	}
	for _, mime := range f.codecs {
		if media.KindOf(mime) == webrtc.RTPCodecTypeVideo {
			video = append(video, mime)
		} else {
			audio = append(audio, mime)
		}
	}
	for _, mime := range []string{webrtc.MimeTypePCMU, webrtc.MimeTypePCMA} {
		if f.transcodes(mime) {
			audio = append(audio, mime)
		}
	}
	return audio, video
}

// takes reports whether the container holds tracks of a kind.
func (f format) takes(kind webrtc.RTPCodecType) bool {
	return slices.ContainsFunc(f.codecs, func(mime string) bool { return media.KindOf(mime) == kind })
}

// holds reports whether the container holds a codec.
func (f format) holds(mime string) bool { return slices.Contains(f.codecs, mime) }

// transcodes reports whether a codec is recorded as Opus: G.711 where the container does not hold
// it.
func (f format) transcodes(mime string) bool {
	return isG711(mime) && !f.holds(mime) && f.holds(webrtc.MimeTypeOpus)
}

// unsupportedCodec returns the error for a codec that cannot be recorded to f. It names the formats
// that can.
func (f format) unsupportedCodec(mime string) error {
	var others []format
	for _, other := range formats() {
		if other.holds(mime) || other.transcodes(mime) {
			others = append(others, other)
		}
	}
	kind, name := media.KindOf(mime), media.CodecName(mime)
	if len(others) == 0 {
		return fmt.Errorf("%s %s cannot be recorded", kind, name)
	}
	return fmt.Errorf("%s does not hold %s %s: record to %s", f.extension, kind, name, listOf(others))
}

// listOf returns the extensions of formats as text.
func listOf(formats []format) string {
	var names []string
	for _, f := range formats {
		names = append(names, f.extension)
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
