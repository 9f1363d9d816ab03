package browser

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"parley/signal/web/webtest"
)

// standstills are the times in which the video of a tab stood still, by its own account, beside the
// times that the machine kept it waiting.
type standstills struct {
	t    *testing.T
	tab  *webtest.Tab
	stop chan struct{}
	work sync.WaitGroup

	looks []machineLook // read it after the work
}

// machineLook is how long somebody had to wait, until a moment.
type machineLook struct {
	at     time.Time
	waited time.Duration
}

// standstill is one of them: froze is how long it took in all, and excuse how much of that may be
// the machine's.
type standstill struct{ froze, excuse time.Duration }

func (s standstill) String() string {
	return fmt.Sprintf("%v, %v of which for the machine", s.froze.Round(time.Millisecond), s.excuse.Round(time.Millisecond))
}

// lookTime is the time between two looks.
const lookTime = 250 * time.Millisecond

// watchStandstills begins to watch. It needs Tab.KeepPeers.
func watchStandstills(t *testing.T, tab *webtest.Tab) *standstills {
	t.Helper()
	if err := tab.Eval(fmt.Sprintf(`(() => {
		const peer = window[Symbol.for('webtest.peers')].at(-1), seen = window.standstills = [];
		let before;
		window.watching = setInterval(async () => {
			const video = [...(await peer.getStats()).values()].find(s => s.type === 'inbound-rtp' && s.kind === 'video');
			if (!video) return;
			const froze = video.totalFreezesDuration - before;
			if (froze > 0) seen.push({At: Date.now(), Froze: froze});
			before = video.totalFreezesDuration;
		}, %d);
	})()`, lookTime.Milliseconds()/2), nil); err != nil {
		t.Fatal(err)
	}
	s := &standstills{t: t, tab: tab, stop: make(chan struct{})}
	s.work.Go(s.look)
	t.Cleanup(s.end)
	return s
}

func (s *standstills) look() {
	var machine waits
	machine.look()
	ticker := time.NewTicker(lookTime)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			waited := machine.look()
			s.looks = append(s.looks, machineLook{time.Now(), waited})
		case <-s.stop:
			return
		}
	}
}

func (s *standstills) end() {
	if s.stop != nil {
		close(s.stop)
		s.work.Wait()
		s.stop = nil
	}
}

// longest ends the watch, and returns the standstill of which most is not the machine's.
func (s *standstills) longest() (longest standstill) {
	s.t.Helper()
	var seen []struct{ At, Froze float64 } // ms since 1970, s
	if err := s.tab.Eval("(clearInterval(window.watching), window.standstills)", &seen); err != nil {
		s.t.Fatal(err)
	}
	time.Sleep(2 * lookTime) // what made the latest wait is known then
	s.end()
	for _, f := range seen {
		froze := time.Duration(f.Froze * float64(time.Second))
		over := time.UnixMilli(int64(f.At))
		// The end is reported a little later than it happens, and the looks are not more exact than
		// their distance.
		excuse := s.waited(over.Add(-froze-2*lookTime), over.Add(lookTime))
		s.t.Logf("a standstill of %v", standstill{froze, excuse})
		if froze-excuse >= longest.froze-longest.excuse {
			longest = standstill{froze, excuse}
		}
	}
	return longest
}

// waited is how long somebody had to wait from one moment to another.
func (s *standstills) waited(from, to time.Time) (total time.Duration) {
	for _, l := range s.looks {
		if l.at.After(from) && l.at.Before(to) {
			total += l.waited
		}
	}
	return total
}
