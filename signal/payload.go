package signal

// description returns the text of the member sdp, as JSON, and whether payload is an object with the strings type and sdp, each
// once: of two, a receiver that is not a browser might believe the other.
func description(payload []byte) (sdp []byte, ok bool) {
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

// candidateLine returns the text of the member candidate, as JSON, and whether payload is an object whose candidate, if any, is one
// string, or says the end of candidates: null, the empty string, or nothing at all (JSON.stringify leaves out what is undefined).
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

// fits holds the payload of a message against its shape and its bounds. It returns the code and the sentence of what is wrong.
func (l *limits) fits(typ Type, payload []byte) (code, text string) {
	switch typ {
	case Offer, Answer:
		sdp, ok := description(payload)
		if !ok {
			return CodeBadMessage, "an " + string(typ) + " needs " + string(typ) + ": an object with the strings type and sdp"
		}
		if longer(sdp, l.SDP) {
			return CodeTooLong, "the session description is longer than this server takes"
		}
	case ICECandidate:
		line, ok := candidateLine(payload)
		if !ok {
			return CodeBadMessage, "a candidate needs candidate: an object with the string candidate, or null"
		}
		if longer(line, l.Candidate) || len(payload)-len(line) > l.Candidate {
			return CodeTooLong, "the candidate is longer than this server takes"
		}
	}
	return "", ""
}

// longer reports whether a JSON string stands for more than max bytes.
func longer(value []byte, max int) bool {
	return len(value)-2 > max && len(unquoteBytes(value)) > max
}

// relayed tells what a message of the relay dialect is: an offer, an answer or a candidate, with the text that has a bound; or "" for
// anything else, which passes as well. It is false for what the server alone may say.
func relayed(payload []byte) (typ Type, text []byte, ok bool) {
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
	switch name, _ := unquote(kind); Type(name) {
	case Offer, Answer:
		return Type(name), sdp, true
	case login, ack, askICE, Error:
		return "", nil, false
	}
	if candidate == nil {
		return "", nil, true
	}
	line, _ := candidateLine(candidate)
	return ICECandidate, line, true
}

// relayedFits holds a message of the relay dialect against the bounds.
func (l *limits) relayedFits(typ Type, text, payload []byte) bool {
	switch typ {
	case Offer, Answer:
		return !isString(text) || !longer(text, l.SDP)
	case ICECandidate:
		return !longer(text, l.Candidate) && len(payload)-len(text) <= l.Candidate
	}
	return true
}
