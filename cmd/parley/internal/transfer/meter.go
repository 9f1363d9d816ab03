package transfer

import (
	"fmt"
	"strings"
	"time"

	"parley/cmd/parley/internal/sanitize"
	"parley/peer/filetransfer"
)

// meter measures a transfer.
type meter struct {
	name    string // of the file under way
	total   int64  // bytes of all files
	here    int64  // of these, how many are there
	sent    int64  // of these, how many went over the network
	began   time.Time
	drawn   time.Time
	rate    float64 // bytes a second, of late
	rateAt  time.Time
	sentAt  int64
	refresh time.Duration
}

func newMeter(total int64) meter {
	now := time.Now()
	return meter{total: total, began: now, drawn: now, rateAt: now, refresh: 100 * time.Millisecond}
}

// add counts bytes; true if it is time to draw.
func (m *meter) add(e filetransfer.Progress) bool {
	m.here += e.Bytes
	if !e.Skipped {
		m.sent += e.Bytes
	}
	if m.here%(1<<20) >= e.Bytes && m.here < m.total { // looking at the clock for each message costs
		return false
	}
	now := time.Now()
	if now.Sub(m.drawn) < m.refresh {
		return false
	}
	m.drawn = now
	if since := now.Sub(m.rateAt); since >= time.Second || m.rate == 0 {
		rate := float64(m.sent-m.sentAt) / since.Seconds()
		if m.rate > 0 {
			rate = 0.7*m.rate + 0.3*rate
		}
		m.rate, m.rateAt, m.sentAt = rate, now, m.sent
	}
	return true
}

// barWidth is the length of the bar in characters.
const barWidth = 24

// String is the progress in one line: a bar, the rate, the time left.
func (m *meter) String() string {
	part := 1.0
	if m.total > 0 {
		part = float64(m.here) / float64(m.total)
	}
	full := int(part * barWidth)
	line := fmt.Sprintf("%s%s %3.0f %%  %s of %s", strings.Repeat("█", full), strings.Repeat("░", barWidth-full),
		part*100, filetransfer.FormatSize(m.here), filetransfer.FormatSize(m.total))
	if m.rate > 0 {
		left := time.Duration(float64(m.total-m.here) / m.rate * float64(time.Second)).Round(time.Second)
		line += fmt.Sprintf("  %s/s  %s left", filetransfer.FormatSize(int64(m.rate)), left)
	}
	return line + "  " + shortened(sanitize.Text(m.name), 30)
}

// shortened keeps the end of a name, which says more than its start.
func shortened(name string, most int) string {
	runes := []rune(name)
	if len(runes) <= most {
		return name
	}
	return "…" + string(runes[len(runes)-most+1:])
}

// outcome is what was moved, for people.
func (m *meter) outcome(t *transfer) string {
	verb, way := "sent", "to"
	if t.direction == "in" {
		verb, way = "received", "from"
	}
	n := t.offer.Files()
	what := fmt.Sprintf("%d files", n)
	if n == 1 {
		what = "a file"
	}
	line := fmt.Sprintf("%s %s, %s, %s %s", verb, what, filetransfer.FormatSize(m.total), way, sanitize.Text(t.call.Peer()))
	took := time.Since(m.began)
	if m.sent < m.total {
		line += fmt.Sprintf("; %s were there or empty", filetransfer.FormatSize(m.total-m.sent))
	}
	if m.sent > 0 {
		line += fmt.Sprintf("; %.1f s, %s/s", took.Seconds(), filetransfer.FormatSize(int64(float64(m.sent)/took.Seconds())))
	}
	return line
}
