// Command setup measures the time from the start of a call to a data channel that is open at both
// ends, between two processes on one host with trickle ICE. Parley and libwebrtc (npm @roamhq/wrtc)
// take turns in one run. The result is a Markdown table of medians.
//
//	go run ./peer/peertest/setup [-calls 30]
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"parley/peer/peertest/ends"
)

func main() {
	calls := flag.Int("calls", 30, "`NUMBER` of calls of each kind")
	dir := flag.String("node", "peer/peertest/setup", "`FOLDER` of end.js and its node_modules")
	isEnd := flag.Bool("end", false, "be one end of a call, driven by stdin")
	flag.Parse()
	run := func() error { return measure(*calls, *dir) }
	if *isEnd {
		run = runEnd
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

// kind is who is at an end.
type kind struct {
	name string
	args []string
}

func measure(calls int, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ours := kind{"parley", []string{self, "-end"}}
	theirs := kind{"libwebrtc", []string{"node", dir + "/end.js"}}
	pairs := [][2]kind{{ours, ours}, {theirs, theirs}, {ours, theirs}, {theirs, ours}}
	times := make([][]time.Duration, len(pairs))
	var open []*ends.Pair
	for _, p := range pairs {
		c, err := ends.Start(p[0].args, p[1].args)
		if err != nil {
			return err
		}
		defer c.Close()
		open = append(open, c)
	}
	for range calls + 1 { // in turn, so that a busy moment is everybody's
		for i, c := range open {
			d, err := c.Connect(1, 30*time.Second)
			if err != nil {
				return fmt.Errorf("%s calls %s: %w", pairs[i][0].name, pairs[i][1].name, err)
			}
			times[i] = append(times[i], d)
		}
	}
	fmt.Println("| caller, answerer | median | fastest | slowest |\n|---|---:|---:|---:|")
	for i, p := range pairs {
		t := times[i][1:] // the first one warms up
		slices.Sort(t)
		fmt.Printf("| %s, %s | %s | %s | %s |\n", p[0].name, p[1].name, ms(t[len(t)/2]), ms(t[0]), ms(t[len(t)-1]))
	}
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
