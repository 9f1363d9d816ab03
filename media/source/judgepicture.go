package source

import (
	"image"
	"math"
	"time"
)

const (
	// A number that is this much later than the one before, or earlier by any, is believed when the next goes on from
	// there: the source has begun anew, or a picture that is no test picture looked like one.
	mostJump = 10_000
	// A rate is found out over this time at least, and is one of the usual ones within this share: the numbers count a
	// schedule, and only the times at which pictures come are uneven.
	rateTime  = 2 * time.Second
	rateShare = 0.03
)

// usualRates are those that a test picture has, in pictures a second.
func usualRates() []float64 {
	return []float64{1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 25, 30, 50, 60}
}

// pictureJudge follows the numbers of pictures.
type pictureJudge struct {
	o       JudgeOptions
	q       Quality
	begun   bool
	ours    bool // the latest number is one that we have sent
	highest uint32
	doubt   uint32 // a number that is not believed yet
	doubts  bool
	first   mark          // since the source began
	fresh   time.Duration // time of the latest new number
	frozen  time.Duration
	seen    marks
	line    line // numbers over seconds, since first
	psnr    []float64
	likened likeness
}

// take takes a picture, with its number if it was read.
func (p *pictureJudge) take(img image.Image, number uint32, ok bool, at time.Duration) {
	p.q.Pictures++
	if !ok || !p.believe(number, at) {
		return
	}
	p.q.Numbers++
	p.ours = p.o.Epoch != nil && p.o.Epoch.Sent(number)
	switch {
	case !p.begun:
		p.begun, p.first = true, mark{number, at}
	case number == p.highest:
		p.q.Repeated++
		return
	case number < p.highest:
		p.q.Backward++
		return
	default:
		p.left(number)
		p.frozen = max(p.frozen, at-p.fresh)
	}
	p.highest, p.fresh = number, at
	p.seen.add(mark{number, at})
	p.line.add((at - p.first.at).Seconds(), float64(number-p.first.number))
	p.liken(img, number)
}

// believe tells if a number can be the next one.
func (p *pictureJudge) believe(number uint32, at time.Duration) bool {
	if !p.begun || number <= p.highest && p.highest-number < 100 || number > p.highest && number-p.highest < mostJump {
		p.doubts = false
		return true
	}
	if p.doubts && number > p.doubt && number-p.doubt < 100 { // it goes on from there: a new beginning
		p.doubts, p.highest = false, number-1
		p.first, p.seen, p.line = mark{number, at}, marks{}, line{}
		return true
	}
	p.doubt, p.doubts = number, true
	return false
}

// left counts what is missing before a number.
func (p *pictureJudge) left(number uint32) {
	missing := uint64(0)
	for n := p.highest + 1; n < number; n++ {
		if !p.ours || p.o.Epoch.Sent(n) {
			missing++
		}
	}
	p.q.Missing += missing
	if missing > 0 {
		p.q.Skips++
	}
}

// rate is in pictures a second, 0 if it is not known.
func (p *pictureJudge) rate() float64 {
	if p.o.Rate > 0 && (p.ours || p.o.Epoch == nil) {
		return p.o.Rate
	}
	if p.fresh-p.first.at < rateTime {
		return 0
	}
	slope := p.line.slope()
	for i, usual := range usualRates() {
		share := rateShare
		if i > 0 { // half of the way to the next at most
			share = min(share, (usual/usualRates()[i-1]-1)/2)
		}
		if math.Abs(slope-usual) < share*usual {
			return usual
		}
	}
	return 0
}

// line is the line that fits points best, by the sums of them. Its zero value is ready.
type line struct{ n, x, y, xx, xy float64 }

func (l *line) add(x, y float64) {
	l.n, l.x, l.y, l.xx, l.xy = l.n+1, l.x+x, l.y+y, l.xx+x*x, l.xy+x*y
}

// slope is 0 where there is no line.
func (l *line) slope() float64 {
	if spread := l.n*l.xx - l.x*l.x; spread > 0 {
		return (l.n*l.xy - l.x*l.y) / spread
	}
	return 0
}

// liken compares a picture with the one that was sent.
func (p *pictureJudge) liken(img image.Image, number uint32) {
	if rate := p.rate(); rate > 0 && p.q.Numbers%uint64(p.o.PictureEvery) == 0 { //nolint:gosec // positive
		width, height := p.o.Width, p.o.Height
		if !p.ours && p.o.Epoch != nil {
			width, height = 0, 0
		}
		if db, ok := p.likened.psnr(img, number, rate, width, height); ok && len(p.psnr) < mostMarks {
			p.psnr = append(p.psnr, db)
		}
	}
}

func (p *pictureJudge) quality(now time.Duration) Quality {
	q := p.q
	if p.begun {
		frozen := milliseconds(max(p.frozen, now-p.fresh))
		q.Frozen = &frozen
	}
	if s := spread(p.psnr); s != nil {
		q.PSNR = &s.Median
	}
	return q
}
