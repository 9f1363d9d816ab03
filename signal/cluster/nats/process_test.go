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

	dto "github.com/prometheus/client_model/go"

	"parley/signal/cluster"
	"parley/signal/cluster/nats/names"
)

// nodeEnvironment carries the options of a node to its process.
const nodeEnvironment = "PARLEY_TEST_NODE"

// command is a request to a node in another process.
type command struct {
	ID      int
	Op      string // attach, detach, claim, release, unfenced (a faulty release), lookup, send, ready
	Session uint64 // the number of a session of the node
	Name    string
	Secret  uint32 // the resume secret of the claim, 0 for none
	Present uint32 // the secret to present, 0 for none
	To      cluster.SessionID
	Text    string
}

// event is the answer to a command, or a message that a session has received.
type event struct {
	ID       int
	Session  cluster.SessionID // of attach, lookup, the holder of a taken name, and the receiver of a message
	Result   string            // of claim, lookup and ready: ok, taken, absent or unavailable
	Revision uint64            // of a claim that succeeded: of the key
	Gones    int               // of send: how often the sender had received Gone from the receiver
	Message  *receivedMessage
	Renewed  bool          // the lease was renewed
	Age      time.Duration // with Renewed: since then
	Ended    int           // with Renewed: how often the lease has ended
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
	h := &nodeHost{n: n, emit: emit, reporters: make(map[uint64]*reporter)}
	go h.reportLease()
	decoder := json.NewDecoder(os.Stdin)
	for {
		var c command
		if decoder.Decode(&c) != nil {
			break
		}
		h.execute(c)
	}
	_ = n.Close()
	os.Exit(0)
}

// nodeHost executes the commands to a node.
type nodeHost struct {
	n         *Node
	emit      func(event)
	reporters map[uint64]*reporter // by number of the session
}

// reportLease emits when the lease is renewed, as long as the process runs.
func (h *nodeHost) reportLease() {
	for before := int64(0); ; time.Sleep(20 * time.Millisecond) {
		if renewed := h.n.renewed.Load(); renewed != before {
			before = renewed
			var m dto.Metric
			_ = h.n.metrics.leasesLost.Write(&m)
			h.emit(event{Renewed: true, Age: h.n.LeaseAge(), Ended: int(m.GetCounter().GetValue())})
		}
	}
}

// reporter emits the messages of a session.
type reporter struct {
	session cluster.SessionID
	emit    func(event)

	mu    sync.Mutex // guards gones
	gones map[cluster.SessionID]int
}

func (r *reporter) Receive(m cluster.Message, _ cluster.Batch) {
	if m.Kind == cluster.Gone {
		r.mu.Lock()
		r.gones[m.From]++
		r.mu.Unlock()
	}
	r.emit(event{Session: r.session, Message: &receivedMessage{m.Kind, m.From, string(m.Payload)}})
}

func (r *reporter) gonesFrom(id cluster.SessionID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gones[id]
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

// execute executes a command. Only runNode calls it.
func (h *nodeHost) execute(c command) {
	n, emit := h.n, h.emit
	self := cluster.SessionID{Node: n.ID(), Number: c.Session}
	switch c.Op {
	case "attach":
		r := &reporter{emit: emit, gones: make(map[cluster.SessionID]int)}
		r.session = n.Attach(r)
		h.reporters[r.session.Number] = r
		emit(event{ID: c.ID, Session: r.session})
	case "detach":
		n.Detach(self)
		delete(h.reporters, c.Session)
		emit(event{ID: c.ID})
	case "claim":
		claim := cluster.Claim{Name: call(c.Name), Session: self}
		if c.Secret != 0 {
			claim.Resume = secretHash(c.Secret)
		}
		if c.Present != 0 {
			claim.Presented = secretHash(c.Present)
		}
		n.Claim(claim, nil, func(err error) {
			e := event{ID: c.ID, Result: resultOf(err)}
			if taken := (*cluster.TakenError)(nil); errors.As(err, &taken) {
				e.Session = taken.Holder
			}
			if err == nil {
				_, e.Revision = n.names.Holder(claim.Name)
			}
			emit(e)
		})
	case "release", "unfenced":
		if c.Op == "unfenced" {
			n.releaseUnfenced(call(c.Name), self)
		} else {
			n.Release(call(c.Name), self)
		}
		if !n.names.Enqueue(call(c.Name), func() { emit(event{ID: c.ID}) }) {
			emit(event{ID: c.ID})
		}
	case "lookup":
		go func() {
			session, err := n.Lookup(context.Background(), call(c.Name))
			emit(event{ID: c.ID, Session: session, Result: resultOf(err)})
		}()
	case "send":
		gones := h.reporters[c.Session].gonesFrom(c.To)
		n.Send(c.To, cluster.Message{Kind: cluster.Data, From: self, Payload: []byte(c.Text)}, nil)
		emit(event{ID: c.ID, Gones: gones})
	case "ready":
		emit(event{ID: c.ID, Result: resultOf(n.Ready())})
	}
}

// releaseUnfenced is a release with a defect that the histories have to show: it removes the key
// whatever its revision is.
func (n *Node) releaseUnfenced(name cluster.Name, session cluster.SessionID) {
	n.names.Clear(name, session, names.NoRevision)
	n.names.Enqueue(name, func() {
		ctx, cancel := context.WithTimeout(n.ctx, releaseTimeout)
		defer cancel()
		if b := n.buckets.Load(); b != nil {
			_ = b.names.Purge(ctx, names.Key(name))
		}
	})
}

// nodeProcess is a node in another process.
type nodeProcess struct {
	id      cluster.NodeID
	command *exec.Cmd
	stdin   io.WriteCloser
	onEvent func(event) // of messages and leases
	ended   chan struct{}

	mu      sync.Mutex // guards what follows
	encoder *json.Encoder
	last    int
	waiting map[int]chan event
}

// startNodeProcess starts a node, with more environment variables. Its messages go to onEvent, in
// their order.
func startNodeProcess(t testing.TB, o Options, onEvent func(event), environment ...string) *nodeProcess {
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
	p.command.Env = append(append(os.Environ(), nodeEnvironment+"="+string(options)), environment...)
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
	p.id, _ = cluster.ParseNodeID(first.Result)
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
		if e.Message != nil || e.Renewed {
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

// TestPausedNode pauses the process of a node until its lease has ended, and for a minute: a name
// that is claimed meanwhile is lost, the others are not, and each session in a call learns that it
// has ended.
func TestPausedNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ lease, pause time.Duration }{{testLease, 0}, {20 * time.Second, time.Minute}} {
		t.Run(c.lease.String(), func(t *testing.T) {
			t.Parallel()
			testPausedNode(t, c.lease, c.pause)
		})
	}
}

// testPausedNode pauses a node for at least pause.
func testPausedNode(t *testing.T, lease, pause time.Duration) {
	server := natstestServer(t)
	o := Options{Servers: []string{server}, Lease: lease}
	received := make(chan event, 1000)
	p := startNodeProcess(t, o, func(e event) {
		if e.Message != nil {
			received <- e
		}
	})
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
	over := time.After(pause)
	if m := bob.next(t); m.Kind != cluster.Gone {
		t.Errorf("message after the end of the lease: got %+v, want Gone", m)
	}
	bob.mustClaim(t, "0")
	<-over
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
