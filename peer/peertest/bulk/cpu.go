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

// peakOf is the largest resident memory that a running process has had, in MiB, and 0 if it has
// ended.
func peakOf(cmd *exec.Cmd) (peak int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte("VmHWM:"))
	_, _ = fmt.Sscan(string(rest), &peak) // a process that has ended has no such line
	return peak >> 10
}
