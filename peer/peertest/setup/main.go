// Command setup measures the time from the start of a call to a data channel that is open at both
// ends, between two processes on one host with trickle ICE. Parley and libwebrtc (npm @roamhq/wrtc)
// take turns in one run. The result is a Markdown table of medians.
//
//	go run ./peer/peertest/setup [-calls 30]
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
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
	var open []*callPair
	for _, p := range pairs {
		c, err := startPair(p)
		if err != nil {
			return err
		}
		defer c.close()
		open = append(open, c)
	}
	for range calls + 1 { // in turn, so that a busy moment is everybody's
		for i, c := range open {
			d, err := c.once()
			if err != nil {
				return fmt.Errorf("%s calls %s: %w", pairs[i][0].name, pairs[i][1].name, err)
			}
			times[i] = append(times[i], d)
		}
	}
	fmt.Println("| who calls whom | median | fastest | slowest |\n|---|---|---|---|")
	for i, p := range pairs {
		t := times[i][1:] // the first one warms up
		slices.Sort(t)
		fmt.Printf("| %s, %s | %s | %s | %s |\n", p[0].name, p[1].name, ms(t[len(t)/2]), ms(t[0]), ms(t[len(t)-1]))
	}
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

// callPair is two processes that call each other.
type callPair struct {
	ends  [2]*process
	heard chan heard
}

type heard struct {
	from int
	message
	err error
}

type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func startPair(kinds [2]kind) (*callPair, error) {
	c := &callPair{heard: make(chan heard, 64)}
	for i, k := range kinds {
		cmd := exec.Command(k.args[0], k.args[1:]...)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		c.ends[i] = &process{cmd, in}
		go c.listen(i, out)
	}
	return c, nil
}

func (c *callPair) listen(i int, out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		h := heard{from: i}
		h.err = json.Unmarshal(lines.Bytes(), &h.message)
		c.heard <- h
	}
	c.heard <- heard{from: i, err: errors.New("the process ended")}
}

func (c *callPair) write(i int, m message) error {
	line, err := json.Marshal(m)
	if err == nil {
		_, err = c.ends[i].in.Write(append(line, '\n'))
	}
	return err
}

// once makes a call, the first end to the second.
func (c *callPair) once() (time.Duration, error) {
	if err := errors.Join(c.write(0, message{Do: "make", Offers: true}), c.write(1, message{Do: "make"})); err != nil {
		return 0, err
	}
	var begun time.Time
	made, open := 0, 0
	timeout := time.After(30 * time.Second)
	for {
		var h heard
		select {
		case h = <-c.heard:
		case <-timeout:
			return 0, errors.New("no channel opened within 30 s")
		}
		switch {
		case h.err != nil:
			return 0, h.err
		case h.Do == "made":
			if made++; made == 2 {
				begun = time.Now()
				if err := c.write(0, message{Do: "call"}); err != nil {
					return 0, err
				}
			}
		case h.Do == "open":
			if open++; open == 2 {
				return time.Since(begun), nil
			}
		case made == 2: // what is left over of the last call is nobody's
			if err := c.write(1-h.from, h.message); err != nil {
				return 0, err
			}
		}
	}
}

func (c *callPair) close() {
	for i, p := range c.ends {
		_ = c.write(i, message{Do: "bye"}) // it may have ended
		_ = p.in.Close()
	}
	go func() {
		for range c.heard { // so that listen ends
		}
	}()
	for _, p := range c.ends {
		_ = p.cmd.Wait()
	}
}
