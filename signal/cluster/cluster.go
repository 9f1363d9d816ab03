// Package cluster assigns names to sessions and passes messages between sessions, on one node or on
// several.
//
// A session is one login of one client. It belongs to the node whose process serves the client. A
// node uses a Directory to claim the name of a session and to find the session of a name, and a
// Router to send messages to sessions. Memory implements both for a single node.
package cluster

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// Node is the part of a cluster that runs in this process.
type Node interface {
	// ID returns the ID of this node.
	ID() NodeID
	Directory
	Router
}

// NodeID identifies a node from its start to its end. A process that starts again has a new one.
type NodeID [8]byte

// String returns the ID in hexadecimal.
func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// ParseNodeID returns the ID that String has formatted, and false for another text.
func ParseNodeID(text string) (id NodeID, ok bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(id) {
		return id, false
	}
	return NodeID(raw), true
}

// SessionID identifies a session. SessionID is never used twice.
type SessionID struct {
	// Node is the node that serves the session.
	Node NodeID
	// Number identifies the session within the node. Number is at least 1.
	Number uint64
}

// String returns the ID in hexadecimal.
func (id SessionID) String() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(id.Node[:], id.Number))
}

// Name is the name of a session within a name space. Equal texts in different spaces are different
// names.
type Name struct {
	// Space is the name space: one for each dialect.
	Space string
	// Text is what clients use, 1 to 64 bytes.
	Text string
}

// Directory maps each name to the session that holds it. No name has two holders. All methods may
// be called concurrently.
type Directory interface {
	// Claim asks for c.Name on behalf of c.Session. It calls done once, with the result: nil if
	// the session holds the name, a *TakenError if another session keeps it, or another error if
	// that cannot be decided now. It may call done before it returns, and never blocks. It passes
	// b to Receive if it sends Lost to a session of this process.
	Claim(c Claim, b Batch, done func(error))
	// Lookup returns the session that holds a name, or ErrAbsent if none does, or another error if
	// that cannot be found out before ctx ends.
	Lookup(ctx context.Context, n Name) (SessionID, error)
	// Release frees a name, unless another session has taken it in the meantime.
	Release(n Name, session SessionID)
}

// Watcher is a Node that notifies sessions of names. All methods may be called concurrently. They
// do not call Receive, except Announce.
type Watcher interface {
	// Watch makes the next Announce of a name, at any node, send Present to a session of this node.
	// It returns once no later Announce can be missed, or an error if that is not so before ctx
	// ends. A session can watch several names.
	Watch(ctx context.Context, n Name, session SessionID) error
	// Unwatch ends a watch. A Present that is being delivered may still arrive afterwards.
	Unwatch(n Name, session SessionID)
	// Announce sends Present to the sessions that watch a name, and ends their watches. The caller
	// is the node of holder, which has claimed the name and receives messages now.
	Announce(n Name, holder SessionID, b Batch)
}

// Requester is a Node that passes requests from one node to another. All methods may be called
// concurrently.
type Requester interface {
	// HandleRequests makes handle answer the requests of other nodes, and is called at most once.
	// handle is called concurrently, and its ctx ends with the node.
	HandleRequests(handle func(ctx context.Context, request []byte) (reply []byte)) error
	// Request sends a request to another node, at most once, and returns the reply. Both have at
	// most MaxRequest bytes. The error is ErrAbsent if the cluster has no such node, and otherwise
	// ErrUnavailable.
	Request(ctx context.Context, node NodeID, request []byte) (reply []byte, err error)
}

// MaxRequest bounds a request of a node and its reply, in bytes.
const MaxRequest = 256 << 10

// Claim is the request of a session for a name.
type Claim struct {
	Name    Name
	Session SessionID
	// Identity is the verified identity of the user, or "" if there is none. The claim takes the
	// name from a session with the same identity.
	Identity string
	// Replace takes the name from any session.
	Replace bool
	// Resume is the hash of the secret by which the client can prove later, at any node, that the
	// session was its own. Zero: it cannot.
	Resume SecretHash
	// Presented is the hash of a secret that the client has presented. The claim takes the name
	// from the session with that Resume. Zero: none.
	Presented SecretHash
	// Continues is the session, of another node, that c.Session continues. The claim succeeds only
	// if it takes the name from that session, with Presented, and fails with ErrAbsent otherwise.
	// Zero: none.
	Continues SessionID
}

// Lost returns the message to the session that loses the name to the claim; resume is the hash that
// session has claimed the name with.
func (c *Claim) Lost(resume SecretHash) Message {
	reason := Replaced
	switch {
	case c.Continues != (SessionID{}):
		reason = Continued
	case c.Resumes(resume):
		reason = Resumed
	}
	return Message{Kind: Lost, Reason: reason, From: c.Session, FromName: c.Name.Text}
}

// SecretHash is the SHA-256 hash of a secret of at least 128 random bits.
type SecretHash [32]byte

// Takes reports whether the claim takes its name from a session that has claimed it with this
// identity and this resume hash.
func (c *Claim) Takes(identity string, resume SecretHash) bool {
	return c.Replace || c.Identity != "" && c.Identity == identity || c.Resumes(resume)
}

// Resumes reports whether the client has presented the secret of a session with this resume hash.
func (c *Claim) Resumes(resume SecretHash) bool {
	return c.Presented != (SecretHash{}) && subtle.ConstantTimeCompare(c.Presented[:], resume[:]) == 1
}

// ErrAbsent reports a name that no session holds.
var ErrAbsent = errors.New("no session holds the name")

// ErrUnavailable reports that the node has no contact with the cluster now, so it can neither claim
// names nor find sessions of other nodes.
var ErrUnavailable = errors.New("the cluster cannot be reached")

// TakenError reports a name that another session holds.
type TakenError struct {
	// Holder is that session.
	Holder SessionID
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("session %s holds the name", e.Holder)
}

// Router passes messages between sessions. All methods may be called concurrently.
type Router interface {
	// Attach makes r the receiver of a new session of this node, and returns the ID of the session.
	Attach(r Receiver) SessionID
	// Detach ends a session of this node, after its last message was sent. A message that is being
	// delivered to it may still reach its receiver afterwards.
	Detach(id SessionID)
	// Send sends m to a session on any node. Messages of one sender to one receiver arrive in the
	// order of the calls, each exactly once, as long as both sessions exist; the calls for one
	// m.From must not overlap. If the receiver does not exist, m.From receives Gone, unless m is
	// Gone itself. Send does not use m.Payload after it returned. It never waits for the receiver.
	// It passes b to Receive if the receiver is in this process.
	Send(to SessionID, m Message, b Batch)
}

// Receiver is the receiving end of a session.
type Receiver interface {
	// Receive handles a message to the session. It must not block, and must not use m.Payload
	// after it returned. It may call Send. Receive is called concurrently for messages of different
	// senders.
	Receive(m Message, b Batch)
}

// Batch collects what receivers write to their clients, so that it is sent with fewer system calls.
// It belongs to the server, and is nil for a message from another process.
type Batch any

// Message is a message from one session to another. Each session numbers its calls from 1; a call
// has a number at either end.
type Message struct {
	Kind Kind
	// Reason belongs to Leave, Reject and Lost.
	Reason Reason
	// Ends reports that no session will ever continue From, so that nothing has to be kept for one.
	// It does not leave the process: for a session of another node, that is not known.
	Ends bool
	// From is the sending session, and FromName is its name.
	From     SessionID
	FromName string
	// Call is the number of the call at the sender, 0 outside of calls.
	Call uint64
	// PeerCall is the number of the call at the receiver, 0 if the sender does not know it.
	PeerCall uint64
	// Number numbers the messages of one sender that carry what its client has sent: it grows with
	// each. A session that continues another goes on with its numbers. 0: none.
	Number uint64
	// Received belongs to Rejoin and Rejoined: the Number of the last message of the call that the
	// sender has from the receiver.
	Received uint64
	// Continues belongs to Rejoin: the session that From continues, From itself if none.
	Continues SessionID
	// Payload is the JSON value of an Offer, Answer, Candidate or Data.
	Payload []byte
}

// Kind is what a Message means.
type Kind uint8

const (
	// Offer carries an offer. It opens a call.
	Offer Kind = iota + 1
	// Answer carries an answer.
	Answer
	// Candidate carries an ICE candidate.
	Candidate
	// Data carries a message of another type of the relay dialect.
	Data
	// Leave reports that the sender has closed the call.
	Leave
	// Reject reports that the receiver of an Offer or Data did not open the call.
	Reject
	// Dropped reports that a message was not delivered, because too much waits for the client of
	// the receiver. The call is still open.
	Dropped
	// Gone reports that a session or its end of a call does not exist, in reply to a message to
	// it. If PeerCall is 0 it refers to all calls with that session. Nodes send it, too, with the
	// reason Disconnected, for sessions of a node that has failed or cannot be reached.
	Gone
	// Lost reports that the session does not hold its name any more. The Directory sends it.
	Lost
	// Probe asks a session whether its client is connected.
	Probe
	// Alive reports that the client is connected, in reply to Probe.
	Alive
	// Rejoin reports that the sender is in a call with the receiver, maybe as the continuation of
	// another session. The receiver answers with Rejoined if it is in that call, with Gone
	// otherwise.
	Rejoin
	// Rejoined answers Rejoin. Both sessions send again what the other has not received.
	Rejoined
	// Present reports that the session From holds the watched name FromName. A Watcher sends it.
	Present
)

// Reason says why a message was sent.
type Reason uint8

const (
	// HungUp belongs to Leave: the client hung up, or its session has ended.
	HungUp Reason = iota + 1
	// Disconnected belongs to Leave and Gone: the client lost its connection and did not come back
	// in time, or its node failed.
	Disconnected
	// Draining belongs to Leave: the node is shutting down, and the clients go on without it.
	Draining
	// Moving belongs to Leave: the node is shutting down, and the client may continue the session
	// at another node. The call is still open.
	Moving
	// TooManyCalls belongs to Reject: the receiver is in as many calls as it may be.
	TooManyCalls
	// QueueFull belongs to Reject: too much waits for the client of the receiver.
	QueueFull
	// NoCall belongs to Gone: the session exists and is not in the call of a Rejoin.
	NoCall
	// Replaced belongs to Lost: another session has claimed the name.
	Replaced
	// Resumed belongs to Lost: the same client has claimed the name again, with the secret of the
	// session, for a new one.
	Resumed
	// Continued belongs to Lost: another session continues this one, with its calls.
	Continued
)
