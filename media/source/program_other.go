//go:build !unix

package source

import "os/exec"

func shell(command string) *exec.Cmd { return exec.Command("cmd", "/C", command) }

// setGroup has nothing to do.
func setGroup(*exec.Cmd) {}

// endGroup kills the program: there is no gentler way, and no group.
func endGroup(cmd *exec.Cmd, _ bool) { _ = cmd.Process.Kill() }
