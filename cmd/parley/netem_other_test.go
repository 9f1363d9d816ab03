//go:build !linux

package main

import (
	"fmt"
	"os"
)

func netemBridge() {
	fmt.Println("netem-bridge needs Linux")
	os.Exit(1)
}
