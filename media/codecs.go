package media

import (
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

// KindOf returns the kind of a MIME type, 0 if it is neither audio nor video.
func KindOf(mime string) webrtc.RTPCodecType {
	switch kind, _, _ := strings.Cut(strings.ToLower(mime), "/"); kind {
	case "video":
		return webrtc.RTPCodecTypeVideo
	case "audio":
		return webrtc.RTPCodecTypeAudio
	}
	return 0
}

// Kinds returns the kinds of media.
func Kinds() []string { return []string{"audio", "video"} }

// CodecName returns the subtype of a MIME type in the spelling of CanonicalMIME: VP8, H264, opus.
func CodecName(mime string) string {
	_, name, ok := strings.Cut(CanonicalMIME(mime), "/")
	if !ok {
		return mime
	}
	return name
}

// CanonicalMIME returns mime in the spelling of pion/webrtc. In SDP the case is free (RFC 4855
// section 3).
func CanonicalMIME(mime string) string {
	for _, known := range []string{
		webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1, webrtc.MimeTypeH264,
		webrtc.MimeTypeOpus, webrtc.MimeTypePCMU, webrtc.MimeTypePCMA, webrtc.MimeTypeG722,
	} {
		if strings.EqualFold(mime, known) {
			return known
		}
	}
	return mime
}

// CarriesMedia reports whether a MIME type is a codec of audio or video, as opposed to
// retransmission (RTX), redundancy, forward error correction, DTMF or comfort noise.
func CarriesMedia(mime string) bool {
	switch strings.ToLower(CodecName(mime)) {
	case "rtx", "red", "ulpfec", "flexfec-03", "telephone-event", "cn":
		return false
	}
	return true
}

// TicksToDuration converts ticks of a clock in Hz to a duration. It does not overflow before the
// result does.
func TicksToDuration(ticks int64, clock uint32) time.Duration {
	whole, rest := ticks/int64(clock), ticks%int64(clock)
	return time.Duration(whole)*time.Second + time.Duration(rest)*time.Second/time.Duration(clock)
}

// DurationToTicks converts a duration to ticks of a clock in Hz, rounded to the nearest tick.
func DurationToTicks(d time.Duration, clock uint32) int64 {
	whole, rest := d/time.Second, d%time.Second
	return int64(whole)*int64(clock) + int64(rest*time.Duration(clock)+time.Second/2)/int64(time.Second)
}

// VideoOrientationURI names the RTP header extension with the coordination of video orientation
// (3GPP TS 26.114 section 7.4.5).
const VideoOrientationURI = "urn:3gpp:video-orientation"

const (
	// VideoClockRate is the RTP clock rate of every video codec in Hz (RFC 7741 section 4.1, RFC
	// 6184 section 8.2.1).
	VideoClockRate = 90000
	// OpusClockRate is the RTP clock rate of Opus in Hz (RFC 7587 section 4.1).
	OpusClockRate = 48000
	// MaxFrameSize is the largest encoded frame in bytes. A key frame of 4K video at the highest
	// quality is below it.
	MaxFrameSize = 8 << 20
	// MaxDimension is the largest width or height of a decoded frame in pixels.
	MaxDimension = 8192
	// MaxSampleGap is the largest difference between the times of two samples of a file in seconds.
	// More is a broken file.
	MaxSampleGap = 3600
)
