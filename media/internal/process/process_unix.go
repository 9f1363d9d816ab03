//go:build unix

package process

import (
	"os/exec"
	"syscall"
)

// Shell returns a command that runs a command line with the shell of the system.
func Shell(line string) *exec.Cmd { return exec.Command("/bin/sh", "-c", line) }

// setGroup gives the command a process group of its own.
func setGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalGroup terminates or kills all processes of the group. A group without processes is no
// error.
func signalGroup(cmd *exec.Cmd, kill bool) {
	signal := syscall.SIGTERM
	if kill {
		signal = syscall.SIGKILL
	}
	_ = syscall.Kill(-cmd.Process.Pid, signal)
}
