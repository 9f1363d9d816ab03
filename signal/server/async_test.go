package server_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/cluster"
	"parley/signal/cluster/clustertest"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// asyncNode is a cluster of one node that answers later, in other goroutines, as a cluster over a
// network does. Messages of one session keep their order.
type asyncNode struct {
	*cluster.Memory
	wait sync.WaitGroup

	mu     sync.Mutex // guards queues
	queues map[cluster.SessionID][]func()
}

// newAsyncNode returns a node that is idle when the test has ended.
func newAsyncNode(t *testing.T) *asyncNode {
	n := &asyncNode{Memory: cluster.NewMemory(), queues: make(map[cluster.SessionID][]func())}
	t.Cleanup(n.wait.Wait)
	return n
}

func (n *asyncNode) Claim(c cluster.Claim, _ cluster.Batch, done func(error)) {
	n.later(c.Session, func() { n.Memory.Claim(c, nil, done) })
}

func (n *asyncNode) Send(to cluster.SessionID, m cluster.Message, _ cluster.Batch) {
	m.Payload = slices.Clone(m.Payload)
	n.later(m.From, func() { n.Memory.Send(to, m, nil) })
}

// later runs f after everything else of the same session.
func (n *asyncNode) later(id cluster.SessionID, f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queues[id] = append(n.queues[id], f)
	if len(n.queues[id]) == 1 {
		n.wait.Go(func() { n.run(id) })
	}
}

// run runs what is queued for a session until nothing is.
func (n *asyncNode) run(id cluster.SessionID) {
	for more := true; more; {
		n.mu.Lock()
		next := n.queues[id][0]
		n.mu.Unlock()
		for range rand.N(50) {
			runtime.Gosched()
		}
		next()
		n.mu.Lock()
		n.queues[id] = n.queues[id][1:]
		if more = len(n.queues[id]) > 0; !more {
			delete(n.queues, id)
		}
		n.mu.Unlock()
	}
}

// TestAsyncNode checks that the node of these tests keeps the promises that servers rely on.
func TestAsyncNode(t *testing.T) {
	clustertest.Run(t, func(t *testing.T) []cluster.Node { return []cluster.Node{newAsyncNode(t)} })
}

// TestChurn lets clients log in, call each other, hang up, close and vanish at random, and take
// names over, on a node that answers at once and on one that does not. No client gets a message
// outside of a call, and none of the next user of a name before the leave of the one before, unless
// the client has closed that call itself. When all have gone no name and no call is left.
func TestChurn(t *testing.T) {
	for name, node := range map[string]cluster.Node{"at once": cluster.NewMemory(), "later": newAsyncNode(t)} {
		t.Run(name, func(t *testing.T) {
			srv, url := signaltest.StartServer(t, &server.Options{
				Auth: users{}, Cluster: node, Limits: server.NoLimits(),
			})
			var clients sync.WaitGroup
			for i := range 8 {
				clients.Go(func() {
					random := rand.New(rand.NewPCG(1, uint64(i)))
					for k := range 40 {
						churn(t, url, fmt.Sprintf("%d.%d", i, k), random)
					}
				})
			}
			clients.Wait()
			eventually(t, "all names and calls are gone", func() bool { return srv.Stats() == server.Stats{} })
		})
	}
}

// churnNames are the names that the clients take from each other. Each calls the first two.
var churnNames = []string{"u0", "u1", "u2", "u3", "u4"}

// churn plays one connection. Everything that it says carries its tag.
func churn(t *testing.T, url, tag string, random *rand.Rand) {
	ws, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer ws.Close()
	checked := make(chan struct{})
	go func() {
		defer close(checked)
		checkChurn(t, ws)
	}()
	say := func(format string, args ...any) {
		_ = ws.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...))
	}
	say(`{"type":"login","name":%q,"token":"x"}`, churnNames[random.IntN(len(churnNames))])
	for range random.IntN(60) {
		to := churnNames[random.IntN(len(churnNames))]
		switch random.IntN(8) {
		case 0, 1, 2:
			say(`{"type":"offer","offer":{"type":"offer","sdp":%q},"name":%q}`, tag, churnNames[random.IntN(2)])
		case 3:
			say(`{"type":"answer","answer":{"type":"answer","sdp":%q},"name":%q}`, tag, to)
		case 4:
			say(`{"type":%q}`, beforeLeave+to)
			say(`{"type":"leave","name":%q}`, to)
			say(`{"type":%q}`, afterLeave+to)
		default:
			say(`{"type":"candidate","candidate":{"candidate":%q},"name":%q}`, tag, to)
		}
	}
	if random.IntN(2) == 0 {
		_ = shake(noReader{ws, checked})
	} else {
		_ = ws.Close()
	}
	<-checked
}

// noReader is a client that another goroutine reads from.
type noReader struct {
	*websocket.Conn
	ended <-chan struct{}
}

func (c noReader) ReadMessage() (int, []byte, error) {
	<-c.ended
	return 0, nil, &websocket.CloseError{Code: websocket.CloseNormalClosure}
}

// checkChurn reads until the connection ends.
func checkChurn(t *testing.T, ws *websocket.Conn) {
	c := churnChecker{tags: make(map[string]string), leaving: make(map[string]bool), mayHaveEnded: make(map[string]bool)}
	for {
		var m churnMessage
		if ws.ReadJSON(&m) != nil {
			return
		}
		if wrong := c.check(m); wrong != "" {
			t.Error(wrong)
		}
	}
}

// churnMessage is what a client receives.
type churnMessage struct {
	Type, Name, Message string
	Offer, Answer       struct{ SDP string }
	Candidate           struct{ Candidate string }
}

// What a client sends before and after a leave, and the server answers with an error: so the client
// knows between which messages its call has ended.
const (
	beforeLeave = "before the leave of "
	afterLeave  = "after the leave of "
)

// churnChecker checks what a client receives.
type churnChecker struct {
	tags    map[string]string // of each call, by the name of the peer
	leaving map[string]bool   // peers whose call this client is closing; true if something came from the peer meanwhile
	// mayHaveEnded are the peers whose call this client has closed, unless what came meanwhile has
	// opened the next.
	mayHaveEnded map[string]bool
}

// check returns what is wrong with the next message, "" if nothing is.
func (c *churnChecker) check(m churnMessage) string {
	if m.Type == "login" || m.Type == "error" {
		c.noteLeave(m.Message)
		return ""
	}
	tag, before := m.Offer.SDP+m.Answer.SDP+m.Candidate.Candidate, c.tags[m.Name]
	called := slices.Contains(churnNames[:2], m.Name) // the client may have opened the call itself
	opens := m.Type == "offer" || called
	_, leaving := c.leaving[m.Name]
	if leaving {
		c.leaving[m.Name] = true
	}
	switch {
	case m.Type == "leave":
		delete(c.tags, m.Name)
		delete(c.mayHaveEnded, m.Name)
		if before == "" && !called {
			return fmt.Sprintf("leave of %s, which has no call", m.Name)
		}
	case before != "" && before != tag && !(opens && (leaving || c.mayHaveEnded[m.Name])):
		return fmt.Sprintf("%s of %s with the tag %s before the leave of %s", m.Type, m.Name, tag, before)
	case before == "" && !opens:
		return fmt.Sprintf("%s of %s, which has no call", m.Type, m.Name)
	default:
		c.tags[m.Name] = tag
		if before != tag {
			delete(c.mayHaveEnded, m.Name)
		}
	}
	return ""
}

// noteLeave notes the answer of the server to what the client has sent before and after a leave.
func (c *churnChecker) noteLeave(message string) {
	if name, ok := strings.CutPrefix(message, "Command not found: "+beforeLeave); ok {
		c.leaving[name] = false
	} else if name, ok := strings.CutPrefix(message, "Command not found: "+afterLeave); ok {
		if c.leaving[name] {
			c.mayHaveEnded[name] = true
		} else {
			delete(c.tags, name)
			delete(c.mayHaveEnded, name)
		}
		delete(c.leaving, name)
	}
}

// TestChurnChecker checks that the checker finds what it looks for, and accepts what follows a
// leave of the client itself.
func TestChurnChecker(t *testing.T) {
	for name, c := range map[string]struct{ received, want string }{
		"the next user without a leave":                 {"offer u2 a, offer u2 b", "offer of u2 with the tag b before the leave of a"},
		"the next user after a leave":                   {"offer u2 a, leave u2, offer u2 b", ""},
		"the next user after the client's own leave":    {"offer u2 a, before u2, after u2, offer u2 b", ""},
		"the next user during the client's own leave":   {"offer u2 a, before u2, offer u2 b, after u2, offer u2 c", ""},
		"two users after the client's own leave":        {"offer u2 a, before u2, after u2, offer u2 b, offer u2 c", "offer of u2 with the tag c before the leave of b"},
		"two users after a message during the leave":    {"offer u2 a, before u2, candidate u2 a, after u2, offer u2 b, offer u2 c", "offer of u2 with the tag c before the leave of b"},
		"a message after the client's own leave":        {"offer u2 a, before u2, after u2, candidate u2 a", "candidate of u2, which has no call"},
		"a message of the next user during the leave":   {"offer u2 a, before u2, candidate u2 b", "candidate of u2 with the tag b before the leave of a"},
		"the leave of another call":                     {"offer u2 a, before u3, after u3, offer u2 b", "offer of u2 with the tag b before the leave of a"},
		"a message without a call":                      {"candidate u2 a", "candidate of u2, which has no call"},
		"a message of a call of the client":             {"candidate u0 a", ""},
		"a leave without a call":                        {"leave u2", "leave of u2, which has no call"},
		"a leave after the client's own leave":          {"offer u2 a, before u2, after u2, leave u2", "leave of u2, which has no call"},
		"a leave that crosses the client's own":         {"offer u2 a, before u2, leave u2, after u2, offer u2 b", ""},
		"the next user of a name that the client calls": {"answer u0 a, candidate u0 b", "candidate of u0 with the tag b before the leave of a"},
	} {
		t.Run(name, func(t *testing.T) {
			checker := churnChecker{tags: make(map[string]string), leaving: make(map[string]bool), mayHaveEnded: make(map[string]bool)}
			var wrong []string
			for received := range strings.SplitSeq(c.received, ", ") {
				fields := append(strings.Fields(received), "")
				m := churnMessage{Type: fields[0], Name: fields[1]}
				switch m.Type {
				case "offer":
					m.Offer.SDP = fields[2]
				case "answer":
					m.Answer.SDP = fields[2]
				case "candidate":
					m.Candidate.Candidate = fields[2]
				case "before":
					m = churnMessage{Type: "error", Message: "Command not found: " + beforeLeave + m.Name}
				case "after":
					m = churnMessage{Type: "error", Message: "Command not found: " + afterLeave + m.Name}
				}
				if w := checker.check(m); w != "" {
					wrong = append(wrong, w)
				}
			}
			if got := strings.Join(wrong, "; "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// heldNode is a cluster of one node that keeps messages back while held is set.
type heldNode struct {
	*cluster.Memory

	mu   sync.Mutex // guards what follows
	held bool
	kept []keptMessage
}

type keptMessage struct {
	from cluster.SessionID
	send func()
}

func (n *heldNode) Send(to cluster.SessionID, m cluster.Message, b cluster.Batch) {
	n.mu.Lock()
	if n.held {
		m.Payload = slices.Clone(m.Payload)
		n.kept = append(n.kept, keptMessage{m.From, func() { n.Memory.Send(to, m, nil) }})
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	n.Memory.Send(to, m, b)
}

func (n *heldNode) hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = true
}

// release sends what was kept back, in its order.
func (n *heldNode) release() {
	for _, k := range n.takeKept() {
		k.send()
	}
}

// releaseLastFirst sends what the latest session has sent, then what the one before has sent, and
// so on.
func (n *heldNode) releaseLastFirst() {
	kept := n.takeKept()
	slices.SortStableFunc(kept, func(a, b keptMessage) int { return cmp.Compare(b.from.Number, a.from.Number) })
	for _, k := range kept {
		k.send()
	}
}

func (n *heldNode) takeKept() []keptMessage {
	n.mu.Lock()
	defer n.mu.Unlock()
	kept := n.kept
	n.held, n.kept = false, nil
	return kept
}

// TestCrossing lets messages of alice and bob cross between their sessions.
func TestCrossing(t *testing.T) {
	const (
		offerToAlice  = `{"type":"offer","offer":` + offerSDP + `,"name":"alice"}`
		offerOfBob    = `{"type":"offer","offer":` + offerSDP + `,"name":"bob"}`
		leaveBob      = `{"type":"leave","name":"bob"}`
		leaveAlice    = `{"type":"leave","name":"alice"}`
		answerToBob   = `{"type":"answer","answer":` + answerSDP + `,"name":"bob"}`
		answerToAlice = `{"type":"answer","answer":` + answerSDP + `,"name":"alice"}`
	)
	for _, test := range []struct {
		name, before string
		crossing     []string // what is said while messages are kept back: by whom, and the frame
		after        string
		calls        int
	}{
		{"two offers open one call", "", []string{"alice", offerToBob, "bob", offerToAlice}, `
			alice < ` + offerOfBob + `
			bob < ` + offerOfAlice + `
			alice > ` + answerToBob + `
			bob < ` + answerToAlice + `
			bob > ` + answerToAlice + `
			alice < ` + answerToBob, 1},
		{"two leaves close one call", `
			alice > ` + offerToBob + `
			bob < ` + offerOfAlice, []string{"alice", leaveBob, "bob", leaveAlice}, `
			alice quiet
			bob quiet`, 0},
		{"a leave does not close the next call", `
			alice > ` + offerToBob + `
			bob < ` + offerOfAlice, []string{"alice", leaveBob, "alice", offerToBob, "bob", leaveAlice}, `
			bob < ` + offerOfAlice + `
			bob > ` + answerToAlice + `
			alice < ` + answerToBob, 1},
		{"a leave is not for the call that the peer has opened", "", []string{"bob", offerToAlice, "alice", offerToBob, "alice", leaveBob}, `
			bob < ` + offerOfAlice + `
			bob < ` + leaveAlice + `
			alice < ` + offerOfBob + `
			alice > ` + answerToBob + `
			bob quiet
			alice < ` + leaveBob, 0},
		{"an offer meets the end of its call", `
			alice > ` + offerToBob + `
			bob < ` + offerOfAlice, []string{"alice", leaveBob, "bob", offerToAlice}, `
			bob < ` + leaveAlice + `
			bob quiet
			alice quiet`, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			node := &heldNode{Memory: cluster.NewMemory()}
			srv, url := signaltest.StartServer(t, &server.Options{Cluster: node, Limits: server.NoLimits()})
			s := newScript(t, url)
			defer s.end()
			s.play(signIn("alice", "bob") + test.before)
			node.hold()
			for frames := test.crossing; len(frames) > 0; frames = frames[2:] {
				s.play(frames[0] + " > " + frames[1])
				barrier(t, s.conns[frames[0]])
			}
			node.release()
			s.play(test.after)
			if calls := srv.Stats().Calls; calls != test.calls {
				t.Errorf("open calls: got %d, want %d", calls, test.calls)
			}
		})
	}
}

// TestLateOffer lets an offer of alice arrive after one of a client that has taken her name since:
// the call of that client ends at both ends, and then the late one.
func TestLateOffer(t *testing.T) {
	for _, dialect := range []signal.Dialect{signal.DialectCall, signal.DialectRelay} {
		t.Run(string(dialect), func(t *testing.T) {
			node := &heldNode{Memory: cluster.NewMemory()}
			srv, url := signaltest.StartServer(t, &server.Options{Auth: users{}, Cluster: node, Limits: server.NoLimits()})
			s := newScript(t, url)
			defer s.end()
			login, offer := `{"type":"login","name":"%s","token":"x"}`, `{"type":"offer","offer":{"type":"offer","sdp":"%s"},"name":"bob"}`
			unknown, answer := `{"type":"?"}`, `{"type":"error","code":"unknown_type","message":"Command not found: ?"}`
			if dialect == signal.DialectRelay {
				login = `{"inst":"init","id":"%s","token":"x","reply":true,"errors":true}`
				offer = `{"inst":"send","peerId":"bob","message":{"type":"offer","sdp":"%s"}}`
				unknown, answer = `{"inst":"?"}`, `{"type":"error","code":"unknown_type","message":"inst is neither init nor send"}`
			}
			signIn := func(client, name string) {
				s.play(client + " > " + fmt.Sprintf(login, name) + "\n" + client + ` < {"type":"login","success":true}`)
			}
			call := func(client, sdp string) { // until the server has the offer
				s.play(client + " > " + fmt.Sprintf(offer, sdp) + "\n" + client + " > " + unknown + "\n" + client + " < " + answer)
			}
			signIn("bob", "bob")
			signIn("alice", "alice")
			node.hold()
			call("alice", "late")
			signIn("other", "alice")
			call("other", "next")
			node.releaseLastFirst()
			if dialect == signal.DialectRelay {
				s.play(`
					bob < {"type":"offer","sdp":"next"}
					bob < {"type":"offer","sdp":"late"}`)
			} else {
				s.play(`
					bob < {"type":"offer","offer":{"type":"offer","sdp":"next"},"name":"alice"}
					bob < {"type":"leave","name":"alice"}
					bob < {"type":"offer","offer":{"type":"offer","sdp":"late"},"name":"alice"}
					bob < {"type":"leave","name":"alice"}
					other < {"type":"leave","name":"bob"}`)
			}
			eventually(t, "no call is left", func() bool { return srv.Stats().Calls == 0 })
		})
	}
}
