//go:build !unix

package adapter

import "os/exec"

// shell returns a command that runs a command line.
func shell(command string) *exec.Cmd { return exec.Command("cmd", "/C", command) }

// signalGroup kills a command: there are no groups and no other signals.
func signalGroup(cmd *exec.Cmd, _ bool) { _ = cmd.Process.Kill() }
