package wire

import (
	"parley/signal"
)

// descriptionSDP returns the member sdp of a description, as JSON. ok is false unless payload is an
// object with the strings type and sdp, each once: receivers may differ in which of two they take.
func descriptionSDP(payload []byte) (sdp []byte, ok bool) {
	types, sdps := 0, 0
	for o, _ := openObject(payload); ; {
		name, value, more := o.next()
		if !more {
			return sdp, types == 1 && sdps == 1
		}
		switch string(name) {
		case "type":
			types++
		case "sdp":
			sdps++
			sdp = value
		default:
			continue
		}
		if !isString(value) {
			return nil, false
		}
	}
}

// candidateLine returns the member candidate of a candidate, as JSON. ok is false unless payload is
// an object whose candidate, if any, is one string, or the end of candidates: null, the empty
// string, or no value, because JSON.stringify omits what is undefined.
func candidateLine(payload []byte) (line []byte, ok bool) {
	if isNull(payload) || string(payload) == `""` {
		return nil, true
	}
	o, isObject := openObject(payload)
	seen := 0
	for {
		name, value, more := o.next()
		if !more {
			return line, isObject && seen <= 1
		}
		if string(name) != "candidate" {
			continue
		}
		if line = value; !isString(value) {
			return nil, false
		}
		seen++
	}
}

// PayloadLimits are the longest session description and the longest candidate line that are
// forwarded, in bytes.
type PayloadLimits struct{ SDP, Candidate int }

// Check returns the code and the text of the error if payload is no valid content of a message of
// the call dialect, or exceeds l, and empty strings otherwise.
func (l PayloadLimits) Check(typ signal.Type, payload []byte) (code, text string) {
	switch typ {
	case signal.Offer, signal.Answer:
		sdp, ok := descriptionSDP(payload)
		if !ok {
			return signal.CodeBadMessage, "an " + string(typ) + " needs " + string(typ) + ": an object with the strings type and sdp"
		}
		if longer(sdp, l.SDP) {
			return signal.CodeTooLong, "the session description is longer than this server takes"
		}
	case signal.ICECandidate:
		line, ok := candidateLine(payload)
		if !ok {
			return signal.CodeBadMessage, "a candidate needs candidate: an object with the string candidate, or null"
		}
		if longer(line, l.Candidate) || len(payload)-len(line) > l.Candidate {
			return signal.CodeTooLong, "the candidate is longer than this server takes"
		}
	}
	return "", ""
}

// longer reports whether the content of a JSON string has more than max bytes.
func longer(value []byte, max int) bool {
	return len(value)-2 > max && len(unquoteBytes(value)) > max
}

// Relayed returns the type of a message of the relay dialect, and its session description or
// candidate line as JSON. The type is empty for any other message, which is forwarded as well. ok
// is false for the types that only a server sends.
func Relayed(payload []byte) (typ signal.Type, text []byte, ok bool) {
	var kind, sdp, candidate []byte
	for o, _ := openObject(payload); ; {
		name, value, more := o.next()
		if !more {
			break
		}
		switch string(name) {
		case "type":
			kind = value
		case "sdp":
			sdp = value
		case "candidate":
			candidate = value
		}
	}
	switch name, _ := unquote(kind); signal.Type(name) {
	case signal.Offer, signal.Answer:
		return signal.Type(name), sdp, true
	case TypeLogin, TypeAck, TypeICEServers, TypeExpiring, TypeWatch, signal.Error:
		return "", nil, false
	}
	if candidate == nil {
		return "", nil, true
	}
	line, _ := candidateLine(candidate)
	return signal.ICECandidate, line, true
}

// CheckRelayed reports whether the results of Relayed are within l.
func (l PayloadLimits) CheckRelayed(typ signal.Type, text, payload []byte) bool {
	switch typ {
	case signal.Offer, signal.Answer:
		return !isString(text) || !longer(text, l.SDP)
	case signal.ICECandidate:
		return !longer(text, l.Candidate) && len(payload)-len(text) <= l.Candidate
	}
	return true
}

// IsObject reports whether payload is a JSON object.
func IsObject(payload []byte) bool {
	_, ok := openObject(payload)
	return ok
}
