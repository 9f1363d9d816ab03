//go:build unix

package webtest

import (
	"os/exec"
	"syscall"
)

// ownGroup keeps the guard's kill away from the test process.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
