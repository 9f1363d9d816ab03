// Package wire encodes and decodes the frames of both dialects of package signal.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"parley/signal"
)

// Codec encodes and decodes the frames of a client in one dialect.
type Codec interface {
	// Login returns the frame that asks for a name, and whether the server replies to it.
	Login(ask LoginRequest) (frame []byte, replies bool)
	// Ack returns the frame that acknowledges the messages up to number.
	Ack(number uint64) []byte
	// ICEServersRequest returns the frame that requests ICE servers.
	ICEServersRequest() []byte
	// WatchRequest returns the frame that requests a notification when name signs in.
	WatchRequest(name string) []byte
	// Encode returns the frame of a message that passed Check, nil if the dialect has no such
	// message.
	Encode(m signal.Message) []byte
	// Decode decodes a frame from the server. An error says why the frame is to be ignored.
	Decode(frame []byte) (Received, error)
}

// Received is a frame from the server: the reply to a login, ICE servers, the state of a watched
// name, or else a message.
type Received struct {
	Message signal.Message
	Login   *LoginReply
	ICE     *ICEGrant
	Watch   *WatchReply
	// Number is the number of the message at its sender, 0 if the frame has none.
	Number uint64
	// ExpiresIn is the time until the session expires, of a warning; 0 for other frames.
	ExpiresIn time.Duration
}

// WatchReply is the state of a watched name.
type WatchReply struct {
	Name      string
	Present   bool
	ExpiresIn time.Duration // until the watch expires; 0 if it is over
}

// ICEGrant is a list of ICE servers, and how long their credentials can begin a call; 0 for no
// limit.
type ICEGrant struct {
	Servers  []signal.ICEServer
	Lifetime time.Duration
}

// LoginRequest is the content of a login.
type LoginRequest struct {
	Name, Token string
	Extended    bool   // the server is Parley's: it replies in the relay dialect, too
	Resume      bool   // asks for a session that can be resumed
	ResumeToken string // resumes a session, with the number of the last message received
	Ack         uint64
	Continuation
}

// appendMembers appends the members of a login that go beyond the original, in either dialect, and
// closes the frame.
func (a LoginRequest) appendMembers(frame []byte) []byte {
	if a.Token != "" {
		frame = appendString(append(frame, `,"token":`...), a.Token)
	}
	switch {
	case a.ResumeToken != "":
		frame = appendString(append(frame, `,"resume":`...), a.ResumeToken)
		frame = strconv.AppendUint(append(frame, `,"ack":`...), a.Ack, 10)
		frame = a.Continuation.appendMembers(frame)
	case a.Resume:
		frame = append(frame, `,"resume":true`...)
	}
	return append(frame, `,"iceServers":true}`...)
}

// LoginReply is the reply to a login.
type LoginReply struct {
	Success     bool
	Code, Text  string
	Name        string // empty if it is the requested one
	ICE         ICEGrant
	ResumeToken string
	ResumeFor   time.Duration
	Ack         uint64
	ExpiresIn   time.Duration // until the session expires; 0 if it does not
}

// replyMembers are the members of a login reply.
var replyMembers = []string{"type", "success", "message", "code", "name", "iceServers", "iceServersFor", "resume", "resumeFor", "ack", "expiresIn"}

func parseICEGrant(members map[string][]byte) ICEGrant {
	return ICEGrant{parseICEServers(members["iceServers"]), milliseconds(members["iceServersFor"])}
}

// milliseconds returns a number of milliseconds as a duration of at most 49 days.
func milliseconds(value []byte) time.Duration {
	return time.Duration(min(number(value), 1<<32)) * time.Millisecond
}

func parseLoginReply(members map[string][]byte) *LoginReply {
	r := &LoginReply{
		Success: isTrue(members["success"]),
		Code:    printableText(members["code"]), Text: printableText(members["message"]),
		ICE:       parseICEGrant(members),
		Ack:       number(members["ack"]),
		ResumeFor: milliseconds(members["resumeFor"]),
		ExpiresIn: milliseconds(members["expiresIn"]),
	}
	r.Name, _ = parseSender(members["name"])
	if ticket, ok := unquote(members["resume"]); ok && len(ticket) <= maxResumeToken {
		r.ResumeToken = ticket
	}
	return r
}

// Numbers returns the members seq and ack of a frame; 0 stands for none.
func Numbers(frame []byte) (seq, ack uint64) {
	members := lastMembers(parseObject(frame), "seq", "ack")
	return number(members["seq"]), number(members["ack"])
}

// maxResumeToken bounds a resume token in bytes; those of the server have 43.
const maxResumeToken = 256

// NewCodec returns the codec of a dialect. ours reports whether the server is Parley's.
func NewCodec(d signal.Dialect, ours bool) Codec {
	if d == signal.DialectRelay {
		return relayCodec{ours}
	}
	return callCodec{}
}

// ErrNoMessage is the error of a frame that only acknowledges messages.
var ErrNoMessage = errors.New("it only acknowledges")

var errUnknownType = errors.New("it is of no known type")

type callCodec struct{}

func (callCodec) Login(ask LoginRequest) ([]byte, bool) {
	return ask.appendMembers(appendString([]byte(`{"type":"login","name":`), ask.Name)), true
}

func (callCodec) Ack(number uint64) []byte { return AppendAck(nil, number) }

func (callCodec) ICEServersRequest() []byte { return []byte(`{"type":"iceServers"}`) }

func (callCodec) WatchRequest(name string) []byte {
	return append(appendString([]byte(`{"type":"watch","name":`), name), '}')
}

func (callCodec) Encode(m signal.Message) []byte {
	frame := append([]byte(`{"type":"`), m.Type...)
	frame = append(frame, '"')
	switch m.Type {
	case signal.Offer, signal.Answer:
		frame = append(append(append(frame, `,"`...), m.Type...), `":`...)
		frame = appendDescription(frame, m)
	case signal.ICECandidate:
		frame = append(frame, `,"candidate":`...)
		frame = appendCandidate(frame, m.Candidate)
	}
	frame = appendString(append(frame, `,"name":`...), m.Peer)
	return append(frame, '}')
}

func (callCodec) Decode(frame []byte) (Received, error) {
	members := lastMembers(parseObject(frame), "type", "name", "offer", "answer", "candidate", "message", "code", "lost", "number")
	typ, _ := unquote(members["type"])
	switch signal.Type(typ) {
	case TypeLogin:
		return Received{Login: parseLoginReply(lastMembers(parseObject(frame), replyMembers...))}, nil
	case TypeAck:
		return Received{}, ErrNoMessage
	case TypeICEServers:
		return parseICEServersMessage(frame), nil
	case TypeExpiring:
		return parseExpiring(frame)
	case TypeWatch:
		return parseWatchReply(frame)
	}
	m := signal.Message{Type: signal.Type(typ)}
	var err error
	switch m.Type {
	case signal.Offer, signal.Answer:
		o, ok := openObject(members[typ])
		if !ok {
			return Received{}, errors.New("its description is no object")
		}
		err = setDescription(&m, lastMembers(o, "sdp", "parley"))
	case signal.ICECandidate:
		m.Candidate, err = parseCandidate(members["candidate"])
	case signal.Error:
		m.Code, m.Text = printableText(members["code"]), printableText(members["message"])
	case signal.Leave:
		m.Lost = string(members["lost"]) == "true"
	default:
		return Received{}, errUnknownType
	}
	if err != nil {
		return Received{}, err
	}
	m.Peer, err = parseSender(members["name"])
	return Received{Message: m, Number: number(members["number"])}, err
}

func parseICEServersMessage(frame []byte) Received {
	grant := parseICEGrant(lastMembers(parseObject(frame), replyMembers...))
	return Received{ICE: &grant}
}

func parseExpiring(frame []byte) (Received, error) {
	left := milliseconds(lastMembers(parseObject(frame), "expiresIn")["expiresIn"])
	if left <= 0 {
		return Received{}, errors.New("it has no expiresIn")
	}
	return Received{ExpiresIn: left}, nil
}

func parseWatchReply(frame []byte) (Received, error) {
	members := lastMembers(parseObject(frame), "name", "present", "expiresIn")
	name, err := parseSender(members["name"])
	if err != nil || name == "" {
		return Received{}, errors.New("it names no watched user")
	}
	return Received{Watch: &WatchReply{Name: name, Present: isTrue(members["present"]), ExpiresIn: milliseconds(members["expiresIn"])}}, nil
}

type relayCodec struct {
	// ours is true if the server is Parley's. It forwards no message of the types that are its own.
	ours bool
}

func (w relayCodec) Login(ask LoginRequest) ([]byte, bool) {
	frame := append(appendString([]byte(`{"inst":"init","id":`), ask.Name), `,"errors":true`...)
	if !w.ours {
		return append(frame, '}'), false
	}
	return ask.appendMembers(append(frame, `,"reply":true`...)), true
}

func (relayCodec) Ack(number uint64) []byte {
	return append(strconv.AppendUint([]byte(`{"inst":"ack","ack":`), number, 10), '}')
}

func (relayCodec) ICEServersRequest() []byte { return []byte(`{"inst":"iceServers"}`) }

func (relayCodec) WatchRequest(name string) []byte {
	return append(appendString([]byte(`{"inst":"watch","peerId":`), name), '}')
}

func (relayCodec) Encode(m signal.Message) []byte {
	if m.Type == signal.Leave {
		return nil
	}
	frame := appendString([]byte(`{"inst":"send","peerId":`), m.Peer)
	frame = append(frame, `,"message":`...)
	if m.Type == signal.ICECandidate {
		frame = append(appendCandidate(append(frame, `{"candidate":`...), m.Candidate), '}')
	} else {
		frame = appendDescription(frame, m)
	}
	return append(frame, '}')
}

func (w relayCodec) Decode(frame []byte) (Received, error) {
	members := lastMembers(parseObject(frame), "type", "sdp", "parley", "candidate", "code", "message", "name")
	typ, _ := unquote(members["type"])
	switch {
	case w.ours && signal.Type(typ) == TypeLogin:
		return Received{Login: parseLoginReply(lastMembers(parseObject(frame), replyMembers...))}, nil
	case w.ours && signal.Type(typ) == TypeAck:
		return Received{}, ErrNoMessage
	case w.ours && signal.Type(typ) == TypeICEServers:
		return parseICEServersMessage(frame), nil
	case w.ours && signal.Type(typ) == TypeExpiring:
		return parseExpiring(frame)
	case w.ours && signal.Type(typ) == TypeWatch:
		return parseWatchReply(frame)
	}
	candidate, trickled := members["candidate"]
	m := signal.Message{Type: signal.Type(typ)}
	var err error
	switch {
	case m.Type == signal.Offer || m.Type == signal.Answer:
		err = setDescription(&m, members)
	case m.Type == signal.Error:
		m.Code, m.Text = printableText(members["code"]), printableText(members["message"])
		m.Peer, err = parseSender(members["name"])
	case trickled:
		m.Type = signal.ICECandidate
		m.Candidate, err = parseCandidate(candidate)
	default:
		err = errUnknownType
	}
	return Received{Message: m}, err
}

// setDescription sets the session description and the extension of m from the members of an offer
// or an answer.
func setDescription(m *signal.Message, members map[string][]byte) error {
	m.Extension = parseExtension(members["parley"], m.Type)
	sdp, ok := unquote(members["sdp"])
	switch {
	case !ok || sdp == "" && !m.Rejects():
		return errors.New("it has no session description")
	case len(sdp) > signal.MaxReceivedSDP:
		return fmt.Errorf("its session description has %d bytes, more than %d", len(sdp), signal.MaxReceivedSDP)
	}
	m.SDP = sdp
	return nil
}

// parseCandidate returns the candidate in a JSON value, nil for each form of the end of candidates:
// null, "", no value, and an object whose candidate is empty (Firefox).
func parseCandidate(value []byte) (*signal.Candidate, error) {
	if isNull(value) || string(value) == `""` {
		return nil, nil
	}
	o, ok := openObject(value)
	if !ok {
		return nil, errors.New("its candidate is no object")
	}
	members := lastMembers(o, "candidate", "sdpMid", "sdpMLineIndex", "usernameFragment")
	line, ok := unquote(members["candidate"])
	switch {
	case !ok:
		return nil, errors.New("its candidate is no string")
	case line == "":
		return nil, nil
	case len(line) > signal.MaxCandidate:
		return nil, fmt.Errorf("its candidate has %d bytes, more than %d", len(line), signal.MaxCandidate)
	}
	c := &signal.Candidate{Candidate: line}
	var err error
	if c.SDPMid, err = shortString(members["sdpMid"]); err != nil {
		return nil, err
	}
	if c.UsernameFragment, err = shortString(members["usernameFragment"]); err != nil {
		return nil, err
	}
	c.SDPMLineIndex, err = parseIndex(members["sdpMLineIndex"])
	return c, err
}

// shortString returns a mid or a username fragment, which RFC 8445 bounds by 256 characters; nil
// for null and for no value.
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

func parseIndex(value []byte) (*uint16, error) {
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
func parseSender(value []byte) (string, error) {
	if isNull(value) {
		return "", nil
	}
	name, ok := unquote(value)
	if !ok {
		return "", errors.New("its sender is not a string")
	}
	if err := signal.CheckPeerName(name); err != nil {
		return "", fmt.Errorf("it has a bad sender: %w", err)
	}
	return name, nil
}

// printableText returns the string in a JSON value, made printable; empty for any other value.
func printableText(value []byte) string {
	text, _ := unquote(value)
	return signal.Printable(text)
}

func appendDescription(dst []byte, m signal.Message) []byte {
	dst = append(append(append(dst, `{"type":"`...), m.Type...), `","sdp":`...)
	dst = appendString(dst, m.SDP)
	if m.Extension != nil {
		dst = appendExtension(append(dst, `,"parley":`...), *m.Extension)
	}
	return append(dst, '}')
}

func appendCandidate(dst []byte, c *signal.Candidate) []byte {
	text, err := json.Marshal(c)
	if err != nil { // impossible: strings and a number
		return append(dst, "null"...)
	}
	return append(dst, text...)
}

// lastMembers returns the values of the members with these names, of a repeated member the last.
func lastMembers(o object, names ...string) map[string][]byte {
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
