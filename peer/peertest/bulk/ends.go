package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/pion/webrtc/v4"
)

// message is a line between an end (end.js, end.go) and the process that measures.
type message struct {
	Do        string                   `json:"do"` // make, call, send, bye; made, open, received; offer, answer and candidate are carried as they are
	Offers    bool                     `json:"offers,omitempty"`
	Channels  int                      `json:"channels,omitempty"`
	Size      int                      `json:"size,omitempty"`  // of a message, in bytes
	Ms        float64                  `json:"ms,omitempty"`    // how long
	Bytes     int64                    `json:"bytes,omitempty"` // received
	Least     int64                    `json:"least,omitempty"` // bytes received on a channel
	Most      int64                    `json:"most,omitempty"`
	SDP       string                   `json:"sdp,omitempty"`
	Candidate *webrtc.ICECandidateInit `json:"candidate,omitempty"`
}

// endPair is two processes of one library that call each other.
type endPair struct {
	ends  [2]*endProcess
	heard chan heard
	way   *detour
}

type endProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

type heard struct {
	from int
	text string
	message
	err error
}

// load is what an end sends.
type load struct {
	channels int
	size     int // of a message, in bytes
	duration time.Duration
}

// measureEnds has one end of a library send messages to another.
func measureEnds(command []string, way *detour, l load) (result, error) {
	p := &endPair{heard: make(chan heard, 64), way: way}
	defer p.close()
	for i := range p.ends {
		if err := p.start(i, command[0], command[1:]...); err != nil {
			return result{}, err
		}
	}
	if err := errors.Join(p.write(0, message{Do: "make", Offers: true, Channels: l.channels}), p.write(1, message{Do: "make", Channels: l.channels})); err != nil {
		return result{}, err
	}
	if err := p.connect(); err != nil {
		return result{}, err
	}
	way.started()
	before := [2]time.Duration{cpuOf(p.ends[0].cmd), cpuOf(p.ends[1].cmd)}
	if err := p.write(0, message{Do: "send", Ms: float64(l.duration.Milliseconds()), Size: l.size}); err != nil {
		return result{}, err
	}
	h, err := p.until("received", 1, l.duration+time.Minute)
	if err != nil {
		return result{}, err
	}
	way.ended()
	return result{bytes: h.Bytes, least: h.Least, most: h.Most, took: time.Duration(h.Ms * float64(time.Millisecond)),
		cpu: [2]time.Duration{cpuOf(p.ends[0].cmd) - before[0], cpuOf(p.ends[1].cmd) - before[1]}}, nil
}

// start runs one end.
func (p *endPair) start(i int, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.ends[i] = &endProcess{cmd, in}
	go func() {
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			h := heard{from: i, text: lines.Text()}
			h.err = json.Unmarshal(lines.Bytes(), &h.message)
			p.heard <- h
		}
		p.heard <- heard{from: i, err: errors.New("the process ended")}
	}()
	return nil
}

// connect sets the call up.
func (p *endPair) connect() error {
	for range p.ends {
		if _, err := p.until("made", -1, time.Minute); err != nil {
			return err
		}
	}
	if err := p.write(0, message{Do: "call"}); err != nil {
		return err
	}
	for range p.ends {
		if _, err := p.until("open", -1, time.Minute); err != nil {
			return err
		}
	}
	return nil
}

// until carries what the ends say to each other until one of them, or the one
// of that number, says what is waited for.
func (p *endPair) until(do string, from int, patience time.Duration) (heard, error) {
	late := time.After(patience)
	for {
		select {
		case <-late:
			return heard{}, fmt.Errorf("no %q within %v", do, patience)
		case h := <-p.heard:
			if h.err != nil {
				return h, h.err
			}
			if h.Do == do && (from < 0 || h.from == from) {
				return h, nil
			}
			if err := p.relay(h); err != nil {
				return h, err
			}
		}
	}
}

func (p *endPair) relay(h heard) error {
	text, err := p.way.rewrite(h.from, h.text)
	if err != nil {
		return err
	}
	_, err = p.ends[1-h.from].in.Write([]byte(text + "\n"))
	return err
}

func (p *endPair) write(i int, m message) error {
	line, err := json.Marshal(m)
	if err == nil {
		_, err = p.ends[i].in.Write(append(line, '\n'))
	}
	return err
}

func (p *endPair) close() {
	go func() {
		for range p.heard { // so that the readers end
		}
	}()
	for i, e := range p.ends {
		if e == nil {
			continue
		}
		_ = p.write(i, message{Do: "bye"}) // it may have ended
		_ = e.in.Close()
		_ = e.cmd.Wait()
	}
}
