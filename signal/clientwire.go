package signal

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Codec encodes and decodes the frames of a client in one dialect.
type wire interface {
	// Login returns the frame that asks for a name, and whether the server replies to it.
	login(ask loginAsk) (frame []byte, replies bool)
	// Ack returns the frame that acknowledges the messages up to number.
	ack(number uint64) []byte
	// ICEServersRequest returns the frame that requests ICE servers.
	askICE() []byte
	// Encode returns the frame of a message that passed Check, nil if the dialect has no such message.
	encode(m Message) []byte
	// Decode decodes a frame from the server. An error says why the frame is to be ignored.
	decode(frame []byte) (incoming, error)
}

// Received is a frame from the server: the reply to a login, ICE servers, or else a message.
type incoming struct {
	message Message
	reply   *loginReply
	ice     *iceGrant
}

// ICEGrant is a list of ICE servers, and how long their credentials can begin a call; 0 for no limit.
type iceGrant struct {
	servers []ICEServer
	last    time.Duration
}

// LoginRequest is the content of a login.
type loginAsk struct {
	name, token string
	extras      bool   // the server is Parley's: it replies in the relay dialect, too
	resume      bool   // asks for a session that can be resumed
	ticket      string // resumes a session, with the number of the last message received
	heard       uint64
}

// appendMembers appends the members of a login that go beyond the original, in either dialect, and
// closes the frame.
func (a loginAsk) members(frame []byte) []byte {
	if a.token != "" {
		frame = appendString(append(frame, `,"token":`...), a.token)
	}
	switch {
	case a.ticket != "":
		frame = appendString(append(frame, `,"resume":`...), a.ticket)
		frame = strconv.AppendUint(append(frame, `,"ack":`...), a.heard, 10)
	case a.resume:
		frame = append(frame, `,"resume":true`...)
	}
	return append(frame, `,"iceServers":true}`...)
}

// loginReply is the reply to a login.
type loginReply struct {
	success    bool
	code, text string
	name       string // empty if it is the requested one
	ice        iceGrant
	ticket     string
	wait       time.Duration
	ack        uint64
}

// replyMembers are the members of a login reply.
var replyMembers = []string{"type", "success", "message", "code", "name", "iceServers", "iceServersFor", "resume", "resumeFor", "ack"}

func iceGrantOf(members map[string][]byte) iceGrant {
	return iceGrant{iceServersOf(members["iceServers"]), milliseconds(members["iceServersFor"])}
}

// milliseconds returns a number of milliseconds as a duration of at most 49 days.
func milliseconds(value []byte) time.Duration {
	return time.Duration(min(number(value), 1<<32)) * time.Millisecond
}

func loginReplyOf(members map[string][]byte) *loginReply {
	r := &loginReply{
		success: isTrue(members["success"]),
		code:    shownText(members["code"]), text: shownText(members["message"]),
		ice:  iceGrantOf(members),
		ack:  number(members["ack"]),
		wait: milliseconds(members["resumeFor"]),
	}
	r.name, _ = senderOf(members["name"])
	if ticket, ok := unquote(members["resume"]); ok && len(ticket) <= maxTicket {
		r.ticket = ticket
	}
	return r
}

// Numbers returns the members seq and ack of a frame; 0 stands for none.
func Numbers(frame []byte) (seq, ack uint64) {
	members := lastOf(parseObject(frame), "seq", "ack")
	return number(members["seq"]), number(members["ack"])
}

// maxResumeToken bounds a resume token in bytes; those of the server have 43.
const maxTicket = 256

// NewCodec returns the codec of a dialect. ours reports whether the server is Parley's.
func wireOf(d Dialect, ours bool) wire {
	if d == DialectRelay {
		return relayWire{ours}
	}
	return callWire{}
}

// errNothing is the error of a frame that only acknowledges messages.
var errNothing = errors.New("it only acknowledges")

var errForeign = errors.New("it is of no known type")

type callWire struct{}

func (callWire) login(ask loginAsk) ([]byte, bool) {
	return ask.members(appendString([]byte(`{"type":"login","name":`), ask.name)), true
}

func (callWire) ack(number uint64) []byte { return appendAck(nil, number) }

func (callWire) askICE() []byte { return []byte(`{"type":"iceServers"}`) }

func (callWire) encode(m Message) []byte {
	frame := append([]byte(`{"type":"`), m.Type...)
	frame = append(frame, '"')
	switch m.Type {
	case Offer, Answer:
		frame = append(append(append(frame, `,"`...), m.Type...), `":`...)
		frame = appendDescription(frame, m)
	case ICECandidate:
		frame = append(frame, `,"candidate":`...)
		frame = appendCandidate(frame, m.Candidate)
	}
	frame = appendString(append(frame, `,"name":`...), m.Peer)
	return append(frame, '}')
}

func (callWire) decode(frame []byte) (incoming, error) {
	members := lastOf(parseObject(frame), "type", "name", "offer", "answer", "candidate", "message", "code", "lost")
	typ, _ := unquote(members["type"])
	switch Type(typ) {
	case login:
		return incoming{reply: loginReplyOf(lastOf(parseObject(frame), replyMembers...))}, nil
	case ack:
		return incoming{}, errNothing
	case askICE:
		return incomingICE(frame), nil
	}
	m := Message{Type: Type(typ)}
	var err error
	switch m.Type {
	case Offer, Answer:
		o, ok := openObject(members[typ])
		if !ok {
			return incoming{}, errors.New("its description is no object")
		}
		err = setDescription(&m, lastOf(o, "sdp", "parley"))
	case ICECandidate:
		m.Candidate, err = candidateOf(members["candidate"])
	case Error:
		m.Code, m.Text = shownText(members["code"]), shownText(members["message"])
	case Leave:
		m.Lost = string(members["lost"]) == "true"
	default:
		return incoming{}, errForeign
	}
	if err != nil {
		return incoming{}, err
	}
	m.Peer, err = senderOf(members["name"])
	return incoming{message: m}, err
}

func incomingICE(frame []byte) incoming {
	grant := iceGrantOf(lastOf(parseObject(frame), replyMembers...))
	return incoming{ice: &grant}
}

type relayWire struct {
	// ours is true if the server is Parley's. It forwards no message of the types that are its own.
	ours bool
}

func (w relayWire) login(ask loginAsk) ([]byte, bool) {
	frame := append(appendString([]byte(`{"inst":"init","id":`), ask.name), `,"errors":true`...)
	if !w.ours {
		return append(frame, '}'), false
	}
	return ask.members(append(frame, `,"reply":true`...)), true
}

func (relayWire) ack(number uint64) []byte {
	return append(strconv.AppendUint([]byte(`{"inst":"ack","ack":`), number, 10), '}')
}

func (relayWire) askICE() []byte { return []byte(`{"inst":"iceServers"}`) }

func (relayWire) encode(m Message) []byte {
	if m.Type == Leave {
		return nil
	}
	frame := appendString([]byte(`{"inst":"send","peerId":`), m.Peer)
	frame = append(frame, `,"message":`...)
	if m.Type == ICECandidate {
		frame = append(appendCandidate(append(frame, `{"candidate":`...), m.Candidate), '}')
	} else {
		frame = appendDescription(frame, m)
	}
	return append(frame, '}')
}

func (w relayWire) decode(frame []byte) (incoming, error) {
	members := lastOf(parseObject(frame), "type", "sdp", "parley", "candidate", "code", "message", "name")
	typ, _ := unquote(members["type"])
	switch {
	case w.ours && Type(typ) == login:
		return incoming{reply: loginReplyOf(lastOf(parseObject(frame), replyMembers...))}, nil
	case w.ours && Type(typ) == ack:
		return incoming{}, errNothing
	case w.ours && Type(typ) == askICE:
		return incomingICE(frame), nil
	}
	candidate, trickled := members["candidate"]
	m := Message{Type: Type(typ)}
	var err error
	switch {
	case m.Type == Offer || m.Type == Answer:
		err = setDescription(&m, members)
	case m.Type == Error:
		m.Code, m.Text = shownText(members["code"]), shownText(members["message"])
		m.Peer, err = senderOf(members["name"])
	case trickled:
		m.Type = ICECandidate
		m.Candidate, err = candidateOf(candidate)
	default:
		err = errForeign
	}
	return incoming{message: m}, err
}

// setDescription sets the session description and the extension of m from the members of an offer or an
// answer.
func setDescription(m *Message, members map[string][]byte) error {
	m.Extension = extensionOf(members["parley"], m.Type)
	sdp, ok := unquote(members["sdp"])
	switch {
	case !ok || sdp == "" && !m.Rejects():
		return errors.New("it has no session description")
	case len(sdp) > MaxReceivedSDP:
		return fmt.Errorf("its session description has %d bytes, more than %d", len(sdp), MaxReceivedSDP)
	}
	m.SDP = sdp
	return nil
}

// parseCandidate returns the candidate in a JSON value, nil for each form of the end of candidates: null,
// "", no value, and an object whose candidate is empty (Firefox).
func candidateOf(value []byte) (*Candidate, error) {
	if isNull(value) || string(value) == `""` {
		return nil, nil
	}
	o, ok := openObject(value)
	if !ok {
		return nil, errors.New("its candidate is no object")
	}
	members := lastOf(o, "candidate", "sdpMid", "sdpMLineIndex", "usernameFragment")
	line, ok := unquote(members["candidate"])
	switch {
	case !ok:
		return nil, errors.New("its candidate is no string")
	case line == "":
		return nil, nil
	case len(line) > MaxCandidate:
		return nil, fmt.Errorf("its candidate has %d bytes, more than %d", len(line), MaxCandidate)
	}
	c := &Candidate{Candidate: line}
	var err error
	if c.SDPMid, err = shortString(members["sdpMid"]); err != nil {
		return nil, err
	}
	if c.UsernameFragment, err = shortString(members["usernameFragment"]); err != nil {
		return nil, err
	}
	c.SDPMLineIndex, err = indexOf(members["sdpMLineIndex"])
	return c, err
}

// shortString returns a mid or a username fragment, which RFC 8445 bounds by 256 characters; nil for null
// and for no value.
func shortString(value []byte) (*string, error) {
	if isNull(value) {
		return nil, nil
	}
	s, ok := unquote(value)
	if !ok || len(s) > 256 {
		return nil, errors.New("its candidate has a mid or a username fragment that is none")
	}
	return &s, nil
}

func indexOf(value []byte) (*uint16, error) {
	if isNull(value) {
		return nil, nil
	}
	n, err := strconv.ParseUint(string(value), 10, 16)
	if err != nil {
		return nil, errors.New("its candidate has an sdpMLineIndex that is none")
	}
	index := uint16(n)
	return &index, nil
}

// parseSender returns the name of the sender, empty if the frame has none.
func senderOf(value []byte) (string, error) {
	if isNull(value) {
		return "", nil
	}
	name, text := nameOf(value)
	if text != "" {
		return "", errors.New("it has a bad sender: " + text)
	}
	return name, nil
}

// printableText returns the string in a JSON value, made printable; empty for any other value.
func shownText(value []byte) string {
	text, _ := unquote(value)
	return Printable(text)
}

func appendDescription(dst []byte, m Message) []byte {
	dst = append(append(append(dst, `{"type":"`...), m.Type...), `","sdp":`...)
	dst = appendString(dst, m.SDP)
	if m.Extension != nil {
		dst = appendExtension(append(dst, `,"parley":`...), *m.Extension)
	}
	return append(dst, '}')
}

func appendCandidate(dst []byte, c *Candidate) []byte {
	text, err := json.Marshal(c)
	if err != nil { // impossible: strings and a number
		return append(dst, "null"...)
	}
	return append(dst, text...)
}

// lastMembers returns the values of the members with these names, of a repeated member the last.
func lastOf(o object, names ...string) map[string][]byte {
	members := make(map[string][]byte, len(names))
	for {
		name, value, ok := o.next()
		if !ok {
			return members
		}
		for _, wanted := range names {
			if string(name) == wanted {
				members[wanted] = value
			}
		}
	}
}
