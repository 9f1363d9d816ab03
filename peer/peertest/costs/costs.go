// Package costs writes CPU profiles of benchmarks and names what took the most time in them.
package costs

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
)

// Start writes a CPU profile of this process to a file until stop is called.
func Start(path string) (stop func() error, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() error {
		pprof.StopCPUProfile()
		return f.Close()
	}, nil
}

// A Cost is a share of the CPU time of a profile.
type Cost struct {
	Name  string
	Share float64 // 1 for all
}

// String implements fmt.Stringer.
func (c Cost) String() string { return fmt.Sprintf("%s %.0f %%", c.Name, 100*c.Share) }

// Largest returns the first n costs as text.
func Largest(all []Cost, n int) string {
	var texts []string
	for _, c := range all[:min(n, len(all))] {
		texts = append(texts, c.String())
	}
	return strings.Join(texts, ", ")
}

// Read returns the costs in a profile, the largest first. Each sample counts once: for the
// innermost of its functions that has a name here, or else for the package of its innermost
// function.
func Read(path string) ([]Cost, error) {
	cmd := exec.Command("go", "tool", "pprof", "-raw", path)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool pprof: %w", err)
	}
	return read(text)
}

var (
	sampleLine   = regexp.MustCompile(`^\s*\d+\s+(\d+): ([\d ]+)$`)
	locationLine = regexp.MustCompile(`^\s*(?:(\d+): 0x[0-9a-f]+ M=\d+ )?(\S.*?) \S+:\d+:\d+ s=\d+`)
)

// read returns the costs in the output of pprof -raw.
func read(raw []byte) ([]Cost, error) {
	functions := map[string][]string{} // of a location, the innermost first
	type sample struct {
		time      float64
		locations []string
	}
	var samples []sample
	location := ""
	lines := bufio.NewScanner(bytes.NewReader(raw))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m := sampleLine.FindStringSubmatch(lines.Text()); m != nil {
			time, err := strconv.ParseFloat(m[1], 64)
			if err != nil {
				return nil, err
			}
			samples = append(samples, sample{time, strings.Fields(m[2])})
		} else if m := locationLine.FindStringSubmatch(lines.Text()); m != nil {
			location = cmp.Or(m[1], location)
			functions[location] = append(functions[location], m[2])
		}
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("no samples in the profile")
	}
	shares, sum := map[string]float64{}, 0.0
	for _, s := range samples {
		var stack []string
		for _, l := range s.locations {
			stack = append(stack, functions[l]...)
		}
		shares[nameOf(stack)] += s.time
		sum += s.time
	}
	var all []Cost
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		all = append(all, Cost{name, shares[name] / sum})
	}
	slices.SortStableFunc(all, func(a, b Cost) int { return cmp.Compare(b.Share, a.Share) })
	return all, lines.Err()
}

// names are those of costs by functions that have them, the first that matches.
var names = []struct {
	name     string
	function *regexp.Regexp
}{
	{"memory", regexp.MustCompile(`^runtime\.(mallocgc|newobject|makeslice|growslice|gc|bgsweep|bgscavenge|scan|greyobject|markroot|wbBuf|\(\*(mheap|mcache|mcentral|mspan|gcWork|sweep|pageAlloc))`)},
	{"goroutines and timers", regexp.MustCompile(`^runtime\.(schedule|findRunnable|park|mcall|goready|ready|futex|wakep|note|netpoll|sysmon|startm|stopm|selectgo|sel|chan|send|recv|goschedImpl|` +
		`\(\*(timer|hchan)|goexit0|newproc|stealWork|runq|resetspinning|checkTimers|usleep|osyield|lock|unlock|procyield|casgstatus|execute|gogo|systemstack_switch)`)},
	{"copies", regexp.MustCompile(`^runtime\.(memmove|typedmemmove|memclr)`)},
	{"encryption", regexp.MustCompile(`^(vendor/)?(crypto/|golang\.org/x/crypto/)`)},
	{"checksums", regexp.MustCompile(`^hash/crc32`)},
	{"locks", regexp.MustCompile(`^(sync|internal/sync)\.\(\*(RW)?Mutex\)`)},
	{"clocks", regexp.MustCompile(`^(time\.(Now|Since|Until|now)|runtime\.(nanotime|walltime))`)},
	{"SCTP", regexp.MustCompile(`^github\.com/pion/(sctp|datachannel)[./]`)},
	{"DTLS", regexp.MustCompile(`^github\.com/pion/dtls`)},
	{"SRTP", regexp.MustCompile(`^github\.com/pion/srtp`)},
	{"ICE and sockets", regexp.MustCompile(`^(github\.com/pion/(ice|stun|transport|webrtc/v4/internal/mux)|parley/peer/internal/(candidate|icenet|netaddr|tap|turnclient|udp)|net\.|internal/poll)`)},
	{"RTP and RTCP", regexp.MustCompile(`^(github\.com/pion/(rtp|rtcp|interceptor|webrtc)|parley/peer)`)},
	{"media", regexp.MustCompile(`^parley/(media|cmd)`)},
}

var (
	systemCall = regexp.MustCompile(`^(syscall|internal/runtime/syscall|runtime/internal/syscall|golang\.org/x/sys/unix)[./]`)
	writes     = regexp.MustCompile(`\.(\(\*?\w+\)\.)?(Write|write|Send|send)`)
	reads      = regexp.MustCompile(`\.(\(\*?\w+\)\.)?(Read|read|Recv|recv)`)
)

// nameOf returns the name of the cost of a stack, whose innermost function is the first.
func nameOf(stack []string) string {
	for _, f := range stack {
		if systemCall.MatchString(f) {
			for _, outer := range stack {
				switch {
				case strings.Contains(outer, "poll") && strings.HasPrefix(outer, "runtime."):
					return "goroutines and timers"
				case writes.MatchString(outer):
					return "system calls that send"
				case reads.MatchString(outer):
					return "system calls that receive"
				}
			}
			return "other system calls"
		}
		for _, n := range names {
			if n.function.MatchString(f) {
				return n.name
			}
		}
	}
	if len(stack) > 0 {
		name, _, _ := strings.Cut(stack[0], ".")
		return name
	}
	return "unknown"
}
