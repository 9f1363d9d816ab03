//go:build !linux

package main

import (
	"fmt"
	"os"
)

func roughRoad() {
	fmt.Println("rough-road needs Linux")
	os.Exit(1)
}
