package wire

import (
	"encoding/json"
	"math"
	"strconv"

	"parley/signal"
)

// Request is a frame from a client to a server, in either dialect. It shares the memory of the
// frame.
type Request struct {
	// Relay is true if the frame has a member inst, which makes it one of the relay dialect.
	Relay bool
	// Payload is what is forwarded unchanged: the member offer, answer, candidate or message, as
	// JSON.
	Payload []byte
	// Errors and Reply are the members of an init that ask for errors and for a reply.
	Errors, Reply bool
	// Seq and Ack are the numbers of this message and of the last that the client has received; 0
	// for none.
	Seq, Ack uint64

	kind, name, token, resume, iceServers, oldest, served, sent, calls []byte // as JSON; empty if absent
}

// DecodeCall decodes a frame of the call dialect. Of a repeated member the last counts, as in
// JavaScript.
func DecodeCall(frame []byte) Request {
	var req Request
	var offer, answer, candidate []byte
	for o := parseObject(frame); ; {
		name, value, ok := o.next()
		if !ok {
			break
		}
		switch string(name) {
		case "type":
			req.kind = value
		case "name":
			req.name = value
		case "offer":
			offer = value
		case "answer":
			answer = value
		case "candidate":
			candidate = value
		case "inst":
			req.Relay = true
		default:
			req.setMember(name, value)
		}
	}
	switch req.Type() {
	case signal.Offer:
		req.Payload = offer
	case signal.Answer:
		req.Payload = answer
	case signal.ICECandidate:
		req.Payload = candidate
	}
	return req
}

// DecodeRelay decodes a frame of the relay dialect.
func DecodeRelay(frame []byte) Request {
	var req Request
	var id, peer []byte
	for o := parseObject(frame); ; {
		name, value, ok := o.next()
		if !ok {
			break
		}
		switch string(name) {
		case "inst":
			req.kind, req.Relay = value, true
		case "id":
			id = value
		case "peerId":
			peer = value
		case "message":
			req.Payload = value
		case "errors":
			req.Errors = isTrue(value)
		case "reply":
			req.Reply = isTrue(value)
		default:
			req.setMember(name, value)
		}
	}
	switch req.Inst() {
	case "init":
		req.name = id
	case "send", "watch":
		req.name = peer
	}
	return req
}

// setMember sets a member that both dialects have.
func (r *Request) setMember(name, value []byte) {
	switch string(name) {
	case "seq":
		r.Seq = number(value)
	case "ack":
		r.Ack = number(value)
	case "token":
		r.token = value
	case "resume":
		r.resume = value
	case "iceServers":
		r.iceServers = value
	case "oldest":
		r.oldest = value
	case "served":
		r.served = value
	case "sent":
		r.sent = value
	case "calls":
		r.calls = value
	}
}

// Type returns the type of a frame of the call dialect, and the empty string if the dialect has no
// such type. Only strings count, as in a switch of JavaScript.
func (r *Request) Type() signal.Type {
	if !isString(r.kind) {
		return ""
	}
	switch string(unquoteBytes(r.kind)) { // which allocates nothing
	case "login":
		return TypeLogin
	case "offer":
		return signal.Offer
	case "answer":
		return signal.Answer
	case "candidate":
		return signal.ICECandidate
	case "leave":
		return signal.Leave
	case "ack":
		return TypeAck
	case "iceServers":
		return TypeICEServers
	case "watch":
		return TypeWatch
	}
	return ""
}

// maxTypeText bounds the text of an unknown type in bytes.
const maxTypeText = 1 << 10

// TypeText returns the type of a frame of the call dialect as the original server shows it, which
// is as JavaScript converts it to a string: undefined, null, 5, the string itself, [object Object].
// An array is shown as JSON. The text has at most 1 KiB.
func (r *Request) TypeText() string {
	switch {
	case len(r.kind) == 0:
		return "undefined"
	case r.kind[0] == '{':
		return "[object Object]"
	}
	text, ok := unquote(r.kind)
	if !ok {
		text = numberText(string(r.kind))
	}
	return signal.Truncate(text, maxTypeText)
}

// numberText returns a JSON number in the format of ECMA-262 Number::toString, which is that of
// encoding/json but for -0 and infinity. It returns any other value unchanged.
func numberText(value string) string {
	f, err := strconv.ParseFloat(value, 64)
	switch {
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case err != nil:
		return value
	case f == 0:
		return "0"
	}
	text, err := json.Marshal(f)
	if err != nil { // impossible: f is finite
		return value
	}
	return string(text)
}

// Inst returns the inst of a frame of the relay dialect, and the empty string if it is not a
// string.
func (r *Request) Inst() string {
	inst, _ := unquote(r.kind)
	return inst
}

// Name returns the name that a login asks for, or that a message is for. problem describes an
// invalid name.
func (r *Request) Name() (name, problem string) { return parseName(r.name) }

// Token returns the token of a login, empty if it has none.
func (r *Request) Token() string {
	token, _ := unquote(r.token)
	return token
}

// ResumeToken returns the token of a login that resumes a session, and false if the login does not.
func (r *Request) ResumeToken() (token string, ok bool) { return unquote(r.resume) }

// WantsResume reports whether a login asks for a session that can be resumed.
func (r *Request) WantsResume() bool { return isTrue(r.resume) }

// WantsICEServers reports whether a login asks for ICE servers.
func (r *Request) WantsICEServers() bool { return isTrue(r.iceServers) }
