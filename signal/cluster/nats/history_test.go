//go:build !quick

package nats

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"parley/signal/cluster"
)

// history is what clients did to a cluster, and what came of it.
type history struct {
	began time.Time

	mu         sync.Mutex // guards what follows, and what is in it
	operations []porcupine.Operation
	sessions   map[cluster.SessionID]*historySession
	byNumber   []*historySession // the first session has number 1
	pairs      map[pair]*traffic
	disturbed  []span // faults, except of the nodes that lose their lease
}

// never is after the end of a history.
const never = time.Duration(1<<63 - 1)

// span is a time from the beginning of a history.
type span struct{ from, to time.Duration }

func (s span) overlaps(from, to time.Duration) bool { return s.from <= to && from <= s.to }

// and returns the time that both spans have, and false if there is none.
func (s span) and(o span) (both span, ok bool) {
	both = span{max(s.from, o.from), min(s.to, o.to)}
	return both, both.from <= both.to
}

func overlaps(spans []span, from, to time.Duration) bool {
	return slices.ContainsFunc(spans, func(s span) bool { return s.overlaps(from, to) })
}

// historyNode is the process of a node.
type historyNode struct {
	*nodeProcess
	lease   time.Duration
	killed  time.Duration // when it was, or its lease had ended before; never unless it was
	renewed time.Duration // when the lease was renewed last
	ended   int           // how often the lease has ended
	dead    []span        // when the lease may have ended
	paused  []span
}

// mayBeDead reports whether other nodes may count the node as dead at some time in between.
func (n *historyNode) mayBeDead(from, to time.Duration) bool {
	return n.killed <= to || overlaps(n.dead, from, to)
}

// historySession is a session of a history.
type historySession struct {
	number   int
	id       cluster.SessionID
	node     *historyNode
	name     string
	claimed  bool
	released time.Duration // when that began; never unless it did
	detached time.Duration // never unless it was
	// uncertain is when an answer to its claim or release did not come: from then on it may hold
	// its name or not. Never unless that was so.
	uncertain time.Duration
	// mayClaim is when a claim that was not answered may have its effect; nil if it was answered.
	// The session has it with the secret of the session before, 0 for none.
	mayClaim *span
	before   int
}

// pair is a sender and a receiver.
type pair struct{ from, to *historySession }

// traffic is what was sent from one session to another, with numbers from 0.
type traffic struct {
	sent     []sentMessage
	received []int
	arrived  map[int]time.Duration
	gones    []time.Duration // when the sender has received Gone
}

type sentMessage struct {
	at    time.Duration
	gones int // how often the sender had received Gone before
}

func newHistory() *history {
	return &history{began: time.Now(), sessions: make(map[cluster.SessionID]*historySession), pairs: make(map[pair]*traffic)}
}

func (h *history) now() time.Duration { return time.Since(h.began) }

func (h *history) add(o operation, call, end time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.call, o.end = call, end
	h.operations = append(h.operations, porcupine.Operation{Input: o, Call: int64(call), Return: int64(end)})
}

// start starts the process of a node.
func (h *history) start(t testing.TB, o Options) *historyNode {
	n := &historyNode{lease: o.Lease, killed: never}
	n.nodeProcess = startNodeProcess(t, o, func(e event) { h.event(n, e) })
	return n
}

// kill ends the process of a node at once.
func (h *history) kill(n *historyNode) {
	h.mu.Lock()
	if n.killed = h.now(); n.renewed != 0 {
		n.killed = min(n.killed, n.renewed+n.lease)
	}
	h.mu.Unlock()
	n.end()
}

// traffic returns the traffic of a pair. The caller holds mu.
func (h *history) traffic(from, to *historySession) *traffic {
	t := h.pairs[pair{from, to}]
	if t == nil {
		t = &traffic{arrived: make(map[int]time.Duration)}
		h.pairs[pair{from, to}] = t
	}
	return t
}

// event records what a node reports by itself.
func (h *history) event(n *historyNode, e event) {
	now := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.Renewed {
		if e.Ended > n.ended {
			n.dead = append(n.dead, span{n.renewed + n.lease, now + lateness})
		}
		n.renewed, n.ended = now-e.Age-50*time.Millisecond, e.Ended
		return
	}
	to, from := h.sessions[e.Session], h.sessions[e.Message.From]
	if to == nil || from == nil {
		return // of a session that has not been attached by attach
	}
	switch e.Message.Kind {
	case cluster.Gone:
		t := h.traffic(to, from)
		t.gones = append(t.gones, now)
	case cluster.Data:
		number, err := strconv.Atoi(e.Message.Text)
		if err != nil {
			number = -1
		}
		t := h.traffic(from, to)
		t.received = append(t.received, number)
		if _, ok := t.arrived[number]; !ok {
			t.arrived[number] = now
		}
	}
}

// attach makes a session of a node that is to claim a name, or returns nil if the node has ended.
func (h *history) attach(n *historyNode, name string) *historySession {
	e, ok := n.do(command{Op: "attach"})
	if !ok {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &historySession{number: len(h.byNumber) + 1, id: e.Session, node: n, name: name, released: never, detached: never, uncertain: never}
	h.sessions[s.id] = s
	h.byNumber = append(h.byNumber, s)
	return s
}

func (h *history) detach(s *historySession) {
	h.mu.Lock()
	s.detached = h.now()
	h.mu.Unlock()
	s.node.do(command{Op: "detach", Session: s.id.Number})
}

// claim claims the name of a session, with the secret of another one, or nil.
func (h *history) claim(s, before *historySession) (result string) {
	o := operation{kind: opClaim, name: s.name, session: s.number, result: "unavailable"}
	c := command{Op: "claim", Session: s.id.Number, Name: s.name, Secret: uint32(s.number)}
	if before != nil {
		o.holder, c.Present = before.number, uint32(before.number)
	}
	call := h.now()
	e, ok := s.node.do(c)
	if ok {
		o.result, o.revision = e.Result, e.Revision
	}
	end := h.now()
	switch o.result {
	case "unavailable": // it may have an effect, also later, which is undone
		h.mu.Lock()
		s.uncertain, s.mayClaim, s.before = call, &span{call, end + disturbance}, o.holder
		h.mu.Unlock()
		return o.result
	case "taken":
		h.mu.Lock()
		if holder := h.sessions[e.Session]; holder != nil {
			o.found = holder.number
		}
		h.mu.Unlock()
		if e.Session.Node == s.id.Node {
			h.addLocal(o, call, end)
			return o.result
		}
	}
	h.add(o, call, end)
	h.mu.Lock()
	defer h.mu.Unlock()
	s.claimed = o.result == "ok"
	return o.result
}

// addLocal records a result that a node has found without asking others: a session that has lost
// its name to another node has it until the message about that arrives.
func (h *history) addLocal(o operation, call, end time.Duration) {
	h.mu.Lock()
	disturbed := overlaps(h.disturbed, call-disturbance, end)
	h.mu.Unlock()
	if !disturbed {
		h.add(o, max(call-staleness, 0), end)
	}
}

// release releases the name of a session, with the defect of a faulty node if unfenced is set.
func (h *history) release(s *historySession, unfenced bool) {
	c := command{Op: "release", Session: s.id.Number, Name: s.name}
	if unfenced {
		c.Op = "unfenced"
	}
	call := h.now()
	h.mu.Lock()
	s.released = call
	h.mu.Unlock()
	_, ok := s.node.do(c)
	end := h.now()
	if !ok || end-call > releaseTimeout/2 { // it is tried again later, or ends with the node
		h.mu.Lock()
		defer h.mu.Unlock()
		s.uncertain = min(s.uncertain, call)
		return
	}
	h.add(operation{kind: opRelease, name: s.name, session: s.number}, call, end)
}

// lookup looks a name up at a node. It returns the session that was found, nil for none.
func (h *history) lookup(n *historyNode, name string) (found *historySession, err error) {
	call := h.now()
	e, ok := n.do(command{Op: "lookup", Name: name})
	end := h.now()
	if !ok || e.Result == "unavailable" {
		return nil, cluster.ErrUnavailable
	}
	o := operation{kind: opLookup, name: name}
	if e.Result != "ok" {
		h.add(o, call, end)
		return nil, nil
	}
	h.mu.Lock()
	found = h.sessions[e.Session]
	h.mu.Unlock()
	if found == nil {
		return nil, fmt.Errorf("session %s, which holds %s, does not exist", e.Session, name)
	}
	o.found = found.number
	if found.node == n {
		h.addLocal(o, call, end)
	} else {
		h.add(o, call, end)
	}
	return found, nil
}

// send sends a message with the next number. The calls for one sender do not overlap.
func (h *history) send(s, to *historySession) {
	h.mu.Lock()
	t := h.traffic(s, to)
	number := len(t.sent)
	t.sent = append(t.sent, sentMessage{at: h.now()})
	h.mu.Unlock()
	e, ok := s.node.do(command{Op: "send", Session: s.id.Number, To: to.id, Text: strconv.Itoa(number)})
	h.mu.Lock()
	defer h.mu.Unlock()
	if ok {
		t.sent[number].gones = e.Gones
	}
}

const (
	// lateness is how long after the end of a fault a node may need to find out about it.
	lateness = 5 * time.Second
	// staleness is how long a session that has lost its name to another node may be found by its
	// own, and disturbance how long that may be so if the other node was disturbed, and how long a
	// request that was not answered may take to have its effect.
	staleness   = 3 * time.Second
	disturbance = 80 * time.Second
	// resolution bounds the time in which a message has arrived, or its sender is informed.
	resolution = 20 * time.Second
)

// operation is the input of a step of the model: one whose effect is known. Sessions are numbered
// from 1.
type operation struct {
	kind      operationKind
	name      string
	session   int
	holder    int    // claim: whose secret is presented, 0 for none
	found     int    // lookup, and claim of a taken name: who holds it, 0 for nobody
	revision  uint64 // of the key after a claim
	result    string
	call, end time.Duration
}

func (o operation) String() string {
	return fmt.Sprintf("%s to %s: %s of %s, session %d, secret of %d, found %d, revision %d, %s",
		o.call.Round(time.Millisecond), o.end.Round(time.Millisecond), o.kind, o.name, o.session, o.holder, o.found, o.revision, o.result)
}

type operationKind string

const (
	opClaim   operationKind = "claim"
	opRelease operationKind = "release"
	opLookup  operationKind = "lookup"
)

// holding is a state of the model: which session holds a name.
type holding struct {
	session  int           // 0 for none
	since    time.Duration // at the earliest
	revision uint64        // of the latest claim
}

// registers is the model of a history: a register for each name.
//
// What nobody has observed is no operation of the model, as the checker would have to try each such
// operation at any time and in any order: a claim without an answer, a name that returns to a
// session whose node had lost its lease, a name that is free because a lease has ended. Instead,
// a step takes place from each state that such changes may have led to by then.
type registers struct {
	sessions []*historySession // the first has number 1
	unknown  []*historySession // those of the name whose claim has got no answer
}

func (h *history) registers(name string) *registers {
	r := &registers{sessions: h.byNumber}
	for _, s := range h.byNumber {
		if s.name == name && s.mayClaim != nil {
			r.unknown = append(r.unknown, s)
		}
	}
	return r
}

func (r *registers) model() porcupine.Model {
	return (&porcupine.NondeterministicModel{
		Init: func() []any { return []any{holding{}} },
		Step: func(state, input, _ any) (next []any) {
			for _, s := range r.step(state.(holding), input.(operation)) {
				next = append(next, s)
			}
			return next
		},
		DescribeOperation: func(input, _ any) string { return input.(operation).String() },
	}).ToModel()
}

// step returns the states after an operation; none if the operation cannot follow.
func (r *registers) step(h holding, o operation) []holding {
	free, dead := r.mayBeFree(h, o.end), false
	if h.session != 0 {
		dead = r.sessions[h.session-1].node.mayBeDead(o.call, o.end)
	}
	switch {
	case o.kind == opClaim && o.result == "ok":
		if (free || dead || h.session == o.holder) && o.revision > h.revision {
			return []holding{{o.session, o.call, o.revision}}
		}
	case o.kind == opRelease:
		if h.session == o.session {
			return []holding{{0, o.call, h.revision}}
		}
		return []holding{h}
	case o.found == 0 && o.kind == opLookup:
		var next []holding
		if free {
			next = append(next, holding{0, h.since, h.revision})
		}
		if dead || h.session != 0 && r.sessions[h.session-1].uncertain <= o.end {
			next = append(next, h)
		}
		return next
	case o.found == h.session:
		if o.kind == opLookup || o.found != o.holder {
			return []holding{h}
		}
	case free && (o.kind == opLookup || o.found != o.holder):
		if since, ok := r.mayHold(r.sessions[o.found-1], span{h.since, o.end}); ok {
			return []holding{{o.found, since, h.revision}}
		}
	}
	return nil
}

// mayBeFree reports whether a name may have no holder at a time: not the one that it had, since a
// claim without an answer may have taken it, and was undone.
func (r *registers) mayBeFree(h holding, at time.Duration) bool {
	if h.session == 0 {
		return true
	}
	s := r.sessions[h.session-1]
	if s.uncertain <= at {
		return true
	}
	return slices.ContainsFunc(r.unknown, func(u *historySession) bool {
		when, ok := u.mayClaim.and(span{h.since, at})
		return ok && (u.before == h.session || s.node.mayBeDead(when.from, when.to))
	})
}

// mayHold reports whether a session may have got a free name, within a time, by a claim without an
// answer, or because its node has a lease again. It returns when, at the earliest.
func (r *registers) mayHold(s *historySession, within span) (since time.Duration, ok bool) {
	if s.mayClaim != nil {
		when, ok := s.mayClaim.and(within)
		return when.from, ok
	}
	for _, d := range s.node.dead {
		if when, ok := d.and(within); ok && s.claimed && s.released > d.from {
			return when.from, true
		}
	}
	return 0, false
}

// checkNames checks that no name had two holders, that none was lost, and that a release frees its
// own claim only.
func (h *history) checkNames() (wrong []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	byName := make(map[string][]porcupine.Operation)
	for _, o := range h.operations {
		name := o.Input.(operation).name
		byName[name] = append(byName[name], o)
	}
	for name, operations := range byName {
		result, info := porcupine.CheckOperationsVerbose(h.registers(name).model(), operations, time.Minute)
		switch result {
		case porcupine.Illegal:
			wrong = append(wrong, fmt.Sprintf("no order of the operations on %s is that of one holder at a time: %s", name, around(operations, info)))
		case porcupine.Unknown:
			wrong = append(wrong, fmt.Sprintf("the %d operations on %s could not be checked in a minute: %s", len(operations), name, around(operations, info)))
		}
	}
	return wrong
}

// around returns the operations of a history about the first one that has no place.
func around(operations []porcupine.Operation, info porcupine.LinearizationInfo) string {
	longest := 0
	for _, linearizations := range info.PartialLinearizations() {
		for _, l := range linearizations {
			longest = max(longest, len(l))
		}
	}
	slices.SortFunc(operations, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var b strings.Builder
	for _, o := range operations[max(0, longest-25):min(len(operations), longest+15)] {
		fmt.Fprintf(&b, "\n\t%s", o.Input)
	}
	return b.String()
}

// checkMessages checks that each message has arrived once and in order, or that its sender was
// informed in time.
func (h *history) checkMessages() (wrong []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p, t := range h.pairs {
		wrong = append(wrong, p.check(t)...)
	}
	return wrong
}

func (p pair) check(t *traffic) (wrong []string) {
	report := func(format string, values ...any) {
		wrong = append(wrong, fmt.Sprintf("session %s to %s: ", p.from.id, p.to.id)+fmt.Sprintf(format, values...))
	}
	last := -1
	for _, number := range t.received {
		switch {
		case number < 0 || number >= len(t.sent):
			report("message %d arrived and was never sent", number)
		case number <= last:
			report("message %d arrived after message %d: reordered or twice", number, last)
		}
		last = max(last, number)
	}
	if p.from.node.killed != never || p.from.detached != never {
		return wrong // nobody is there to be informed
	}
	for number, m := range t.sent {
		resolved, ok := t.resolved(number)
		limit := m.at + resolution + p.from.node.pausedFor()
		switch {
		case !ok:
			report("message %d, sent at %s, was lost and the sender not informed", number, m.at)
		case resolved > limit && p.to.node.killed == never:
			report("message %d, sent at %s, arrived, or its loss was reported, at %s only", number, m.at, resolved)
		}
	}
	return wrong
}

// resolved returns when a message arrived, or its sender was informed. It reports false if neither
// was so.
func (t *traffic) resolved(number int) (at time.Duration, ok bool) {
	at, ok = t.arrived[number]
	if gones := t.sent[number].gones; gones < len(t.gones) && (!ok || t.gones[gones] < at) {
		return t.gones[gones], true
	}
	return at, ok
}

func (n *historyNode) pausedFor() (d time.Duration) {
	for _, s := range n.paused {
		d += s.to - s.from
	}
	return d
}

// settled reports whether all messages have arrived or their senders are informed.
func (h *history) settled() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p, t := range h.pairs {
		if p.from.node.killed != never || p.from.detached != never {
			continue
		}
		for number := range t.sent {
			if _, ok := t.resolved(number); !ok {
				return false
			}
		}
	}
	return true
}

// counts describes the size of a history.
func (h *history) counts() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	kinds := make(map[string]int)
	for _, o := range h.operations {
		in := o.Input.(operation)
		kinds[strings.TrimSpace(string(in.kind)+" "+in.result)]++
	}
	var sent, arrived, reported, ended int
	nodes := make(map[*historyNode]bool)
	for p, t := range h.pairs {
		sent += len(t.sent)
		for number := range t.sent {
			if _, ok := t.arrived[number]; ok {
				arrived++
			} else if _, ok := t.resolved(number); ok {
				reported++
			}
		}
		nodes[p.from.node] = true
	}
	for n := range nodes {
		ended += n.ended
	}
	text := fmt.Sprintf("%d sessions, %d operations:", len(h.byNumber), len(h.operations))
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		text += fmt.Sprintf(" %s %d,", kind, kinds[kind])
	}
	return text + fmt.Sprintf(" %d messages: %d arrived, %d reported as lost, %d of or to ended sessions; %d leases ended",
		sent, arrived, reported, sent-arrived-reported, ended)
}
