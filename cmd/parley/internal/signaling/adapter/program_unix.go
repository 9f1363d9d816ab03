//go:build unix

package adapter

import (
	"os/exec"
	"syscall"
)

// shell returns a command that runs a command line in a process group of its own.
func shell(command string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// signalGroup terminates or kills a command with all that it has started.
func signalGroup(cmd *exec.Cmd, kill bool) {
	s := syscall.SIGTERM
	if kill {
		s = syscall.SIGKILL
	}
	_ = syscall.Kill(-cmd.Process.Pid, s) // it may have ended
}
