package mediain

import (
	"image"
	"slices"
	"strings"

	"github.com/pion/webrtc/v4"

	"parley/media/decoder"
	"parley/media/device"
	"parley/media/playout"
	"parley/media/recorder"
	"parley/peer"
)

// NewDecoder are all that could decode, the best first.
func NewDecoder(mime string) (decoder.Decoder, error) {
	return decoder.First(device.NewDecoder, decoder.NewFFmpeg, decoder.NewKeyFrame)(mime)
}

// Watcher handles the decoded frames.
type Watcher interface {
	// show handles a frame, which is valid until it returns.
	Show(img image.Image)
	NewDecoder(mime string) (decoder.Decoder, error)
}

// Decodable returns the video codecs that this build decodes by itself, and all that something on
// this machine decodes.
func Decodable() (own, all []string) {
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeH264, webrtc.MimeTypeAV1} {
		if d, err := device.NewDecoder(mime); err == nil {
			d.Close()
			own = append(own, mime)
		}
		if d, err := NewDecoder(mime); err == nil {
			d.Close()
			all = append(all, mime)
		}
	}
	return own, all
}

// OfferedCodecs returns the codecs of our descriptions: those that are sent, and those that can be
// received. What is to be seen or heard needs a decoder, unless there is a recording, an echo or
// --input as well, and what is recorded has to fit into the file.
func (r *Receivers) OfferedCodecs(sent []string) []string {
	var audio, video []string
	if !r.RecordPartly {
		audio, video = recorder.Codecs(r.Record)
	}
	return slices.DeleteFunc(peer.Codecs(), func(mime string) bool {
		holds := video
		if strings.HasPrefix(mime, "audio/") {
			holds = audio
		}
		if holds != nil && !slices.Contains(holds, mime) && !slices.Contains(sent, mime) {
			return true
		}
		if r.Record != "" || r.KeepAll {
			return false
		}
		unseen := r.Decodable != nil && strings.HasPrefix(mime, "video/") && !slices.Contains(r.Decodable, mime)
		unheard := r.Speaker != nil && strings.HasPrefix(mime, "audio/") && !playout.CanPlay(mime)
		return (unseen || unheard) && !slices.Contains(sent, mime)
	})
}

// watchTrack decodes a track for the watcher, if there is one. request asks for a
// key frame.
func (r *Receivers) watchTrack(e peer.TrackReceived, request func()) *decoder.Viewer {
	if r.Watcher == nil || e.Track.Kind() != webrtc.RTPCodecTypeVideo {
		return nil
	}
	v := decoder.NewViewer(decoder.ViewerOptions{
		NewDecoder: r.Watcher.NewDecoder, Show: r.Watcher.Show, RequestKeyFrame: request, Warn: r.Warn, Logger: r.Logger,
	})
	r.work.Go(func() { v.Run(r.ctx) })
	return v
}
