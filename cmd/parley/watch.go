package main

import (
	"image"

	"github.com/pion/webrtc/v4"

	"parley/media"
	"parley/media/device"
	"parley/peer"
)

// decoders are all that could decode, the best first.
func decoders(mime string) (media.Decoder, error) {
	return media.FirstDecoder(device.NewDecoder, media.NewFFmpegDecoder, media.NewKeyFrameDecoder)(mime)
}

// watcher looks at the pictures that come.
type watcher interface {
	// show takes a picture, which is valid until it returns.
	show(img image.Image)
	newDecoder(mime string) (media.Decoder, error)
}

// preferDecodable asks for the codecs that this build decodes by itself, if none was asked for.
func (s *settings) preferDecodable() {
	if len(s.codecs) > 0 {
		return
	}
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeH264} {
		if d, err := device.NewDecoder(mime); err == nil {
			d.Close()
			s.codecs = append(s.codecs, mime)
		}
	}
}

// watchTrack decodes a track for the watcher, if there is one. request asks for a
// key frame.
func (c *session) watchTrack(e peer.TrackReceived, request func()) media.FrameSink {
	if c.watcher == nil || e.Track.Kind() != webrtc.RTPCodecTypeVideo {
		return nil
	}
	v := media.NewViewer(media.ViewerOptions{
		NewDecoder: c.watcher.newDecoder, Show: c.watcher.show, RequestKeyFrame: request,
		Tell: func(sentence string) { c.report.warn("%s", printable(sentence)) }, Logger: c.logger,
	})
	c.work.Go(func() { v.Run(c.ctx) })
	return v
}
