//go:build !unix

package pipe

import "os/exec"

// shell is a command line.
func shell(command string) *exec.Cmd { return exec.Command("cmd", "/C", command) }

// killGroup ends a command.
func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
