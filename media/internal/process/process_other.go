//go:build !unix

package process

import "os/exec"

// Shell returns a command that runs a command line with the shell of the system.
func Shell(line string) *exec.Cmd { return exec.Command("cmd", "/C", line) }

// setGroup does nothing.
func setGroup(*exec.Cmd) {}

// signalGroup kills the process: there are no groups and no other signals.
func signalGroup(cmd *exec.Cmd, _ bool) { _ = cmd.Process.Kill() }
