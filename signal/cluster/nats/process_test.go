//go:build !quick

package nats

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/signal/cluster"
)

// nodeEnvironment carries the options of a node to its process.
const nodeEnvironment = "PARLEY_TEST_NODE"

// command is a request to a node in another process.
type command struct {
	ID      int
	Op      string // attach, claim, release, lookup, send, ready
	Session uint64 // the number of a session of the node
	Name    string
	Secret  uint32 // the resume secret of the claim, 0 for none
	Present uint32 // the secret to present, 0 for none
	To      cluster.SessionID
	Text    string
}

// event is the answer to a command, or a message that a session has received.
type event struct {
	ID      int
	Session cluster.SessionID // of attach and lookup, and that which has received a message
	Result  string            // of claim and lookup: ok, taken, absent or unavailable
	Message *receivedMessage
}

type receivedMessage struct {
	Kind cluster.Kind
	From cluster.SessionID
	Text string
}

// runNode runs a node, if this process was started for that, until its input ends.
func runNode() {
	text := os.Getenv(nodeEnvironment)
	if text == "" {
		return
	}
	var o Options
	err := json.Unmarshal([]byte(text), &o)
	var n *Node
	if err == nil {
		n, err = Start(context.Background(), o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var mu sync.Mutex // guards encoder
	encoder := json.NewEncoder(os.Stdout)
	emit := func(e event) {
		mu.Lock()
		defer mu.Unlock()
		_ = encoder.Encode(e)
	}
	emit(event{Result: n.ID().String()})
	decoder := json.NewDecoder(os.Stdin)
	for {
		var c command
		if decoder.Decode(&c) != nil {
			break
		}
		execute(n, c, emit)
	}
	_ = n.Close()
	os.Exit(0)
}

// reporter emits the messages of a session.
type reporter struct {
	session cluster.SessionID
	emit    func(event)
}

func (r *reporter) Receive(m cluster.Message, _ cluster.Batch) {
	r.emit(event{Session: r.session, Message: &receivedMessage{m.Kind, m.From, string(m.Payload)}})
}

func resultOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case isTaken(err):
		return "taken"
	case errors.Is(err, cluster.ErrAbsent):
		return "absent"
	}
	return "unavailable"
}

func secretHash(secret uint32) (h cluster.SecretHash) {
	binary.BigEndian.PutUint32(h[:], secret)
	return h
}

func execute(n *Node, c command, emit func(event)) {
	self := cluster.SessionID{Node: n.ID(), Number: c.Session}
	switch c.Op {
	case "attach":
		r := &reporter{emit: emit}
		r.session = n.Attach(r)
		emit(event{ID: c.ID, Session: r.session})
	case "claim":
		claim := cluster.Claim{Name: call(c.Name), Session: self}
		if c.Secret != 0 {
			claim.Resume = secretHash(c.Secret)
		}
		if c.Present != 0 {
			claim.Presented = secretHash(c.Present)
		}
		n.Claim(claim, nil, func(err error) { emit(event{ID: c.ID, Result: resultOf(err)}) })
	case "release":
		n.Release(call(c.Name), self)
		if !n.enqueue(call(c.Name), func() { emit(event{ID: c.ID}) }) {
			emit(event{ID: c.ID})
		}
	case "lookup":
		go func() {
			session, err := n.Lookup(context.Background(), call(c.Name))
			emit(event{ID: c.ID, Session: session, Result: resultOf(err)})
		}()
	case "send":
		n.Send(c.To, cluster.Message{Kind: cluster.Data, From: self, Payload: []byte(c.Text)}, nil)
		emit(event{ID: c.ID})
	}
}

// nodeProcess is a node in another process.
type nodeProcess struct {
	id      cluster.NodeID
	command *exec.Cmd
	stdin   io.WriteCloser
	onEvent func(event) // of messages
	ended   chan struct{}

	mu      sync.Mutex // guards what follows
	encoder *json.Encoder
	last    int
	waiting map[int]chan event
}

// startNodeProcess starts a node. Its messages go to onEvent, in their order.
func startNodeProcess(t testing.TB, o Options, onEvent func(event)) *nodeProcess {
	t.Helper()
	o.Logger = nil
	options, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &nodeProcess{command: exec.Command(self, "-test.run=^$"), onEvent: onEvent, ended: make(chan struct{}), waiting: make(map[int]chan event)}
	p.command.Env = append(os.Environ(), nodeEnvironment+"="+string(options))
	p.command.Stderr = os.Stderr
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.command.StdoutPipe()
	if err == nil {
		err = p.command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.encoder = json.NewEncoder(p.stdin)
	decoder := json.NewDecoder(bufio.NewReaderSize(stdout, 1<<16))
	var first event
	if err := decoder.Decode(&first); err != nil {
		p.kill()
		t.Fatalf("node in another process: %v", err)
	}
	p.id, _ = parseNodeID(first.Result)
	go p.read(decoder)
	return p
}

func (p *nodeProcess) read(decoder *json.Decoder) {
	defer close(p.ended)
	for {
		var e event
		if decoder.Decode(&e) != nil {
			break
		}
		if e.Message != nil {
			p.onEvent(e)
			continue
		}
		p.mu.Lock()
		c := p.waiting[e.ID]
		delete(p.waiting, e.ID)
		p.mu.Unlock()
		if c != nil {
			c <- e
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, c := range p.waiting {
		close(c)
		delete(p.waiting, id)
	}
	p.waiting = nil
}

// do executes a command. It reports false if the process has ended before it answered.
func (p *nodeProcess) do(c command) (event, bool) {
	answer := make(chan event, 1)
	p.mu.Lock()
	if p.waiting == nil {
		p.mu.Unlock()
		return event{}, false
	}
	p.last++
	c.ID = p.last
	p.waiting[c.ID] = answer
	_ = p.encoder.Encode(c)
	p.mu.Unlock()
	e, ok := <-answer
	return e, ok
}

func (p *nodeProcess) kill() {
	_ = p.command.Process.Kill()
	_ = p.stdin.Close()
	_ = p.command.Wait()
}

// end kills the process and waits for what it has written.
func (p *nodeProcess) end() {
	_ = p.command.Process.Kill()
	<-p.ended
	_ = p.stdin.Close()
	_ = p.command.Wait()
}

func (p *nodeProcess) pause()  { _ = p.command.Process.Signal(syscall.SIGSTOP) }
func (p *nodeProcess) resume() { _ = p.command.Process.Signal(syscall.SIGCONT) }

// TestPausedNode pauses the process of a node for longer than its lease: a name that is claimed
// meanwhile is lost, the others are not, and each session in a call learns that it has ended.
func TestPausedNode(t *testing.T) {
	t.Parallel()
	server := natstestServer(t)
	o := Options{Servers: []string{server}, Lease: testLease}
	received := make(chan event, 1000)
	p := startNodeProcess(t, o, func(e event) { received <- e })
	t.Cleanup(p.end)
	other := startNode(t, o)
	var sessions [2]cluster.SessionID
	for i := range sessions {
		e, _ := p.do(command{Op: "attach"})
		sessions[i] = e.Session
		if e, _ := p.do(command{Op: "claim", Session: e.Session.Number, Name: strconv.Itoa(i)}); e.Result != "ok" {
			t.Fatalf("claim: got %q", e.Result)
		}
	}
	bob := attach(other)
	p.do(command{Op: "send", Session: sessions[0].Number, To: bob.SessionID, Text: "before"})
	if m := bob.next(t); string(m.Payload) != "before" {
		t.Fatalf("message: got %+v", m)
	}
	p.pause()
	if m := bob.next(t); m.Kind != cluster.Gone {
		t.Errorf("message after the end of the lease: got %+v, want Gone", m)
	}
	bob.mustClaim(t, "0")
	p.resume()
	want := map[cluster.Kind]bool{cluster.Gone: true, cluster.Lost: true}
	for len(want) > 0 {
		select {
		case e := <-received:
			if e.Session != sessions[0] || !want[e.Message.Kind] {
				t.Fatalf("session %s received %+v", e.Session, e.Message)
			}
			delete(want, e.Message.Kind)
		case <-time.After(patience):
			t.Fatalf("not received: %v", want)
		}
	}
	eventually(t, "the other name is held again", func() bool {
		holder, err := other.Lookup(t.Context(), call("1"))
		return err == nil && holder == sessions[1]
	})
}
