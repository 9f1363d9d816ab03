package browser

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// waits returns how long this test, and what it has started, had to wait for a processor: on a
// machine with too much to do video freezes by itself, whatever the network does. It knows from
// Linux alone, and elsewhere says 0.
type waits struct {
	waited map[string]time.Duration // by thread, ever
	stolen time.Duration            // by other machines on the same processors, ever
}

// look is how long since the last look: by the thread that waited longest.
func (w *waits) look() (longest time.Duration) {
	now := map[string]time.Duration{}
	for pid := range descendants(os.Getpid()) {
		threads, _ := filepath.Glob("/proc/" + pid + "/task/*/schedstat")
		for _, path := range threads {
			text, _ := os.ReadFile(path) // it may have ended
			fields := strings.Fields(string(text))
			if len(fields) != 3 { // time on a processor, time waiting for one, how often (Linux, sched-stats.rst)
				continue
			}
			ns, _ := strconv.ParseInt(fields[1], 10, 64)
			now[path] = time.Duration(ns)
			if before, known := w.waited[path]; known {
				longest = max(longest, now[path]-before)
			}
		}
	}
	stolen := stolenTime()
	if w.waited != nil {
		longest += stolen - w.stolen
	}
	w.waited, w.stolen = now, stolen
	return longest
}

// descendants are a process and all that it and its children have started.
func descendants(root int) map[string]bool {
	parents := map[string]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(text[max(0, strings.LastIndex(string(text), ")")):]), " ") // names may have anything in them
		if fields := strings.Fields(rest); len(fields) > 1 {
			parents[filepath.Base(filepath.Dir(path))] = fields[1]
		}
	}
	all := map[string]bool{strconv.Itoa(root): true}
	for grown := true; grown; {
		grown = false
		for pid, parent := range parents {
			if all[parent] && !all[pid] {
				all[pid], grown = true, true
			}
		}
	}
	return all
}

// stolenTime is what a virtual machine did not get, by proc_stat(5).
func stolenTime() time.Duration {
	text, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 {
		return 0
	}
	const tick = time.Second / 100
	ticks, _ := strconv.ParseInt(fields[8], 10, 64)
	return time.Duration(ticks) * tick
}
