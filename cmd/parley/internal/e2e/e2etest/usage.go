package e2etest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Usage is what a process has used until a moment.
type Usage struct {
	At     time.Time
	CPU    time.Duration
	Memory int // bytes, resident
}

// UsageOf returns the usage of a process, from /proc. Without /proc CPU and Memory are 0.
func UsageOf(t *testing.T, p *Process) Usage {
	t.Helper()
	u := Usage{At: time.Now()}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Cmd.Process.Pid))
	if err != nil {
		return u
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may have spaces
	fields := strings.Fields(rest)
	number := func(i int) int { // as in proc(5), where the state is the third
		n, err := strconv.Atoi(fields[i-3])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
	u.CPU = time.Duration(number(14)+number(15)) * tick
	u.Memory = number(24) * os.Getpagesize()
	return u
}
