package wire

import (
	"encoding/json"
	"strconv"

	"parley/signal"
)

// Continuation is what a client that resumes its session knows of it, for a server that does not:
// the session was at another one.
type Continuation struct {
	// Oldest is the number of the first message that the client can send again, at least 1; 0 if
	// there is no Continuation.
	Oldest uint64
	// Served is the number of the last message that was acknowledged.
	Served uint64
	// Sent is the number of the last message that was numbered.
	Sent  uint64
	Calls []CallNumbers
}

// CallNumbers are the numbers of the messages of a client's call.
type CallNumbers struct {
	// Peer is the name of the other user.
	Peer string `json:"name"`
	// Caller is true if the client has opened the call.
	Caller bool `json:"caller,omitempty"`
	// First and Last are the numbers of the first and the last message that the client has sent in
	// the call, 0 if there is none.
	First uint64 `json:"first,omitempty"`
	Last  uint64 `json:"last,omitempty"`
	// Received is the number that the last message of the peer had at its sender, 0 if there is
	// none.
	Received uint64 `json:"received,omitempty"`
}

func (c *Continuation) appendMembers(frame []byte) []byte {
	if c.Oldest == 0 {
		return frame
	}
	frame = strconv.AppendUint(append(frame, `,"oldest":`...), c.Oldest, 10)
	frame = strconv.AppendUint(append(frame, `,"served":`...), c.Served, 10)
	frame = strconv.AppendUint(append(frame, `,"sent":`...), c.Sent, 10)
	calls, err := json.Marshal(c.Calls)
	if len(c.Calls) == 0 || err != nil { // no error is possible: strings and numbers
		return frame
	}
	return append(append(frame, `,"calls":`...), calls...)
}

// Continuation returns the Continuation of a login that resumes a session, and false if it has none
// that can be: a name is bad, more than maxCalls are open, or the numbers contradict each other.
func (r *Request) Continuation(maxCalls int) (c Continuation, ok bool) {
	c.Oldest, c.Served, c.Sent = number(r.oldest), number(r.served), number(r.sent)
	if c.Oldest == 0 || c.Served+1 < c.Oldest || c.Sent < c.Served {
		return c, false
	}
	if len(r.calls) == 0 {
		return c, true
	}
	if json.Unmarshal(r.calls, &c.Calls) != nil || len(c.Calls) > maxCalls {
		return c, false
	}
	seen := make(map[string]bool, len(c.Calls))
	for _, call := range c.Calls {
		if signal.CheckName(call.Peer) != nil || seen[call.Peer] || call.First > call.Last || (call.First == 0) != (call.Last == 0) {
			return c, false
		}
		seen[call.Peer] = true
	}
	return c, true
}
