package decoder

import (
	"time"

	"parley/media"
)

// ViewerStats is what a Viewer has decoded so far.
type ViewerStats struct {
	// SSRC of the latest frame.
	SSRC uint32
	// Frames were decoded to a picture, KeyFrames of them stand on their own.
	Frames, KeyFrames uint64
	// Took is the time that decoding took, all together.
	Took time.Duration
	// Freezes are the times that a picture stood for so long that somebody sees it, Frozen for how long all together.
	Freezes uint64
	Frozen  time.Duration
}

// Stats is what has been decoded so far. It may be called from any goroutine.
func (v *Viewer) Stats() ViewerStats {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.stats
}

// decoded notes a frame whose decoding began at a moment, and gave a picture or not.
func (v *Viewer) decoded(f media.Frame, begun time.Time, picture bool) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stats.SSRC != f.SSRC {
		v.stats, v.seen = ViewerStats{SSRC: f.SSRC}, freezes{}
	}
	v.stats.Took += now.Sub(begun)
	if !picture {
		return
	}
	v.stats.Frames++
	if f.Key {
		v.stats.KeyFrames++
	}
	if still, frozen := v.seen.next(now); frozen {
		v.stats.Freezes, v.stats.Frozen = v.stats.Freezes+1, v.stats.Frozen+still
	}
}

const (
	usualPictures = 30                     // that an average is of
	leastFreeze   = 150 * time.Millisecond // beyond it
	longestFreeze = 5 * time.Second        // what is longer is a pause
)

// freezes finds pictures that stood longer than three times the average of the latest, and 150 ms beyond it
// (https://www.w3.org/TR/webrtc-stats/#dom-rtcinboundrtpstreamstats-freezecount).
type freezes struct {
	last  time.Time
	times [usualPictures]time.Duration // between two pictures, a ring
	count int
	sum   time.Duration // of times
}

// next takes the moment of a picture, and tells how long the one before stood, and if that was a freeze.
func (f *freezes) next(now time.Time) (still time.Duration, frozen bool) {
	if f.last.IsZero() {
		f.last = now
		return 0, false
	}
	still = now.Sub(f.last)
	f.last = now
	if f.count > 0 {
		average := f.sum / time.Duration(min(f.count, usualPictures))
		frozen = still > max(3*average, average+leastFreeze) && still <= longestFreeze
	}
	slot := &f.times[f.count%usualPictures]
	f.sum += still - *slot
	*slot = still
	f.count++
	return still, frozen
}
