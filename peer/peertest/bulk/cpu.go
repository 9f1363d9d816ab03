package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// cpuOf is how much processor time a running process has used, in user and
// system mode: fields 14 and 15 of /proc/PID/stat, in ticks of 10 ms (proc(5)).
// cpuOf returns 0 if the process has ended.
func cpuOf(cmd *exec.Cmd) time.Duration {
	const utime, stime, tick = 14 - 3, 15 - 3, 10 * time.Millisecond
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte(") ")) // its name may have spaces
	fields := bytes.Fields(rest)
	if len(fields) <= stime {
		return 0
	}
	user, _ := strconv.Atoi(string(fields[utime]))
	system, _ := strconv.Atoi(string(fields[stime]))
	return time.Duration(user+system) * tick
}
