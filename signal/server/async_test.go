package server_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

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
// outside of a call, and none of the next user of a name before the leave of the one before. When
// all have gone no name and no call is left.
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
			say(`{"type":"leave","name":%q}`, to)
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

// checkChurn reads until the connection ends. Of each peer it knows the tag of the call, "" for
// none.
func checkChurn(t *testing.T, ws *websocket.Conn) {
	tags := make(map[string]string)
	for {
		var got struct {
			Type, Name    string
			Offer, Answer struct{ SDP string }
			Candidate     struct{ Candidate string }
		}
		if ws.ReadJSON(&got) != nil {
			return
		}
		tag := got.Offer.SDP + got.Answer.SDP + got.Candidate.Candidate
		called := slices.Contains(churnNames[:2], got.Name) // the client may have opened the call itself
		switch before := tags[got.Name]; {
		case got.Type == "login", got.Type == "error":
		case got.Type == "leave":
			if before == "" && !called {
				t.Errorf("leave of %s, which has no call", got.Name)
			}
			delete(tags, got.Name)
		case before != "" && before != tag:
			t.Errorf("%s of %s with the tag %s before the leave of %s", got.Type, got.Name, tag, before)
		case before == "" && got.Type != "offer" && !called:
			t.Errorf("%s of %s, which has no call", got.Type, got.Name)
		default:
			tags[got.Name] = tag
		}
	}
}

// heldNode is a cluster of one node that keeps messages back while held is set.
type heldNode struct {
	*cluster.Memory

	mu   sync.Mutex // guards what follows
	held bool
	kept []func()
}

func (n *heldNode) Send(to cluster.SessionID, m cluster.Message, b cluster.Batch) {
	n.mu.Lock()
	if n.held {
		m.Payload = slices.Clone(m.Payload)
		n.kept = append(n.kept, func() { n.Memory.Send(to, m, nil) })
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
	n.mu.Lock()
	kept := n.kept
	n.held, n.kept = false, nil
	n.mu.Unlock()
	for _, send := range kept {
		send()
	}
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
