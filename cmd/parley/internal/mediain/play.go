package mediain

import (
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/media/playout"
)

// playWait is how long a lost audio packet is waited for: it is not sent again, and only the order
// may have changed.
const playWait = 40 * time.Millisecond

// playTrack returns the buffer from which a track is played, nil if it is not, and a function that
// ends that.
func (r *Receivers) playTrack(kind webrtc.RTPCodecType) (*playout.Buffer, func()) {
	if r.Speaker == nil || kind != webrtc.RTPCodecTypeAudio {
		return nil, func() {}
	}
	v, err := playout.NewBuffer(playout.Options{Warn: r.Warn})
	if err != nil {
		r.Warn(fmt.Sprintf("%s is not played: %v", kind, err))
		return nil, func() {}
	}
	r.Speaker.Add(v)
	return v, func() {
		r.Speaker.Remove(v)
		r.Logger.Debug("played", "peer", r.Peer, "stats", v.Stats())
	}
}
