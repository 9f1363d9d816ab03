package peer

import (
	"fmt"
	"slices"
	"strings"

	"parley/peer/internal/jsep"

	"github.com/pion/webrtc/v4"
)

// Codecs are the MIME types that descriptions of ours may name: what browsers have in common (RFC 7742 §5, RFC 7874 §3),
// and AV1 and VP9. Pion has H.265 and G.722 too, which nobody here reads or makes.
func Codecs() []string {
	return []string{
		webrtc.MimeTypeOpus, webrtc.MimeTypePCMU, webrtc.MimeTypePCMA,
		webrtc.MimeTypeVP8, webrtc.MimeTypeH264, webrtc.MimeTypeAV1, webrtc.MimeTypeVP9,
	}
}

// format is a codec with one set of parameters.
type format struct {
	mime       string
	parameters string
	payload    webrtc.PayloadType
	again      webrtc.PayloadType // of retransmissions (RFC 4588), 0 for none
}

// formats are all, with the payload types that Pion gives them. VP9 has its profile of 8 bits alone: the decoders of this
// program take no other.
func formats() []format {
	all := []format{
		{webrtc.MimeTypeOpus, jsep.OpusParameters, 111, 0}, {webrtc.MimeTypePCMU, "", 0, 0}, {webrtc.MimeTypePCMA, "", 8, 0},
		{webrtc.MimeTypeVP8, "", 96, 97},
	}
	for _, h := range []struct {
		mode    int
		profile string
		payload webrtc.PayloadType
		again   webrtc.PayloadType
	}{
		{1, "42001f", 102, 103}, {0, "42001f", 104, 105}, {1, "42e01f", 106, 107}, {0, "42e01f", 108, 109},
		{1, "4d001f", 127, 125}, {0, "4d001f", 39, 40}, {1, "64001f", 112, 113},
	} {
		all = append(all, format{webrtc.MimeTypeH264,
			fmt.Sprintf("level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s", h.mode, h.profile), h.payload, h.again})
	}
	return append(all, format{webrtc.MimeTypeAV1, "", 45, 46}, format{webrtc.MimeTypeVP9, "profile-id=0", 98, 99})
}

// engine knows the codecs of a call.
func (c *Config) engine() (*webrtc.MediaEngine, error) {
	e := &webrtc.MediaEngine{}
	for _, f := range formats() {
		if !slices.ContainsFunc(c.Media.Codecs, func(mime string) bool { return strings.EqualFold(mime, f.mime) }) {
			continue
		}
		if err := f.register(e); err != nil {
			return nil, fmt.Errorf("failed to register %s: %w", f.mime, err)
		}
	}
	return e, nil
}

func (f format) register(e *webrtc.MediaEngine) error {
	codec := webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: f.mime, ClockRate: 8000, SDPFmtpLine: f.parameters}, PayloadType: f.payload,
	}
	if f.mime == webrtc.MimeTypeOpus {
		codec.ClockRate, codec.Channels = 48000, 2 // whatever it carries (RFC 7587 §4.1)
	}
	if !strings.HasPrefix(f.mime, "video/") {
		return e.RegisterCodec(codec, webrtc.RTPCodecTypeAudio)
	}
	codec.ClockRate = 90000
	codec.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "goog-remb"}, {Type: "ccm", Parameter: "fir"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
	if err := e.RegisterCodec(codec, webrtc.RTPCodecTypeVideo); err != nil {
		return err
	}
	return e.RegisterCodec(webrtc.RTPCodecParameters{
		RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeRTX, ClockRate: 90000, SDPFmtpLine: fmt.Sprintf("apt=%d", f.payload)},
		PayloadType:        f.again,
	}, webrtc.RTPCodecTypeVideo)
}
