// Package ends runs the two ends of a call as processes, which exchange lines of JSON with the one
// that measures: an End is one by package peer, and end.js has those of other libraries.
package ends

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

// Message is a line between an end and the process that measures.
type Message struct {
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

// Pair is two processes that call each other.
type Pair struct {
	// Rewrite changes the lines that are carried to the other end; nil for none.
	Rewrite func(from int, line string) (string, error)

	ends    [2]*exec.Cmd
	in      [2]io.WriteCloser
	heard   chan heard
	readers sync.WaitGroup
}

// heard is a line of an end, or why there are no more.
type heard struct {
	from int
	text string
	Message
	err error
}

// Start starts the two ends. Close has to be called, unless there is an error.
func Start(caller, callee []string) (*Pair, error) {
	p := &Pair{heard: make(chan heard, 64)}
	for i, command := range [2][]string{caller, callee} {
		if err := p.start(i, command); err != nil {
			p.Close()
			return nil, err
		}
	}
	return p, nil
}

func (p *Pair) start(i int, command []string) error {
	cmd := exec.Command(command[0], command[1:]...)
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
	p.ends[i], p.in[i] = cmd, in
	p.readers.Go(func() { p.read(i, out) })
	return nil
}

// read reads the lines of an end until it closes its stdout.
func (p *Pair) read(i int, out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		h := heard{from: i, text: lines.Text()}
		h.err = json.Unmarshal(lines.Bytes(), &h.Message)
		p.heard <- h
	}
	p.heard <- heard{from: i, err: errors.New("the process ended")}
}

// Processes returns the caller and the callee.
func (p *Pair) Processes() [2]*exec.Cmd { return p.ends }

// Connect has the first end call the second with a number of channels. It returns the time from the
// start of the call until both have open channels.
func (p *Pair) Connect(channels int, patience time.Duration) (time.Duration, error) {
	err := errors.Join(p.Write(0, Message{Do: "make", Offers: true, Channels: channels}), p.Write(1, Message{Do: "make", Channels: channels}))
	if err != nil {
		return 0, err
	}
	late := time.After(patience)
	for made := 0; made < 2; { // what is left over of the call before is dropped
		h, err := p.next(late)
		if err != nil {
			return 0, fmt.Errorf("not made: %w", err)
		}
		if h.Do == "made" {
			made++
		}
	}
	begun := time.Now()
	if err := p.Write(0, Message{Do: "call"}); err != nil {
		return 0, err
	}
	for open := 0; open < 2; {
		h, err := p.next(late)
		switch {
		case err != nil:
			return 0, fmt.Errorf("not open: %w", err)
		case h.Do == "open":
			open++
		default:
			if err := p.relay(h); err != nil {
				return 0, err
			}
		}
	}
	return time.Since(begun), nil
}

// Until carries what the ends say to each other until an end says what is waited for.
func (p *Pair) Until(do string, from int, patience time.Duration) (Message, error) {
	late := time.After(patience)
	for {
		h, err := p.next(late)
		if err != nil {
			return Message{}, fmt.Errorf("no %q: %w", do, err)
		}
		if h.Do == do && h.from == from {
			return h.Message, nil
		}
		if err := p.relay(h); err != nil {
			return Message{}, err
		}
	}
}

// next returns the next line of an end.
func (p *Pair) next(late <-chan time.Time) (heard, error) {
	select {
	case <-late:
		return heard{}, errors.New("the time has passed")
	case h := <-p.heard:
		return h, h.err
	}
}

// relay carries a line to the other end.
func (p *Pair) relay(h heard) (err error) {
	if p.Rewrite != nil {
		if h.text, err = p.Rewrite(h.from, h.text); err != nil {
			return err
		}
	}
	_, err = io.WriteString(p.in[1-h.from], h.text+"\n")
	return err
}

// Write has an end do something.
func (p *Pair) Write(i int, m Message) error {
	line, err := json.Marshal(m)
	if err == nil {
		_, err = p.in[i].Write(append(line, '\n'))
	}
	return err
}

// Close ends both processes, and waits for them.
func (p *Pair) Close() {
	for i, cmd := range p.ends {
		if cmd == nil {
			continue
		}
		_ = p.Write(i, Message{Do: "bye"}) // it may have ended
		_ = p.in[i].Close()
	}
	go func() {
		p.readers.Wait()
		close(p.heard)
	}()
	for range p.heard { // so that the readers end
	}
	for _, cmd := range p.ends {
		if cmd != nil {
			_ = cmd.Wait() // how it ended does not matter any more
		}
	}
}
