package signal

// request is one frame from a client to the server, in either dialect. Its slices share the frame's memory.
type request struct {
	// kind is the "type" of the call dialect, the "inst" of the relay dialect, as JSON; empty when absent.
	kind []byte
	// relay tells that the frame has an "inst", which decides the dialect when the frame is the first.
	relay bool
	// name is whom it is for, or who asks to be signed in: "name", "id" or "peerId", as JSON.
	name []byte
	// payload is what passes through as it came: "offer", "answer", "candidate" or "message", as JSON.
	payload []byte
	// errors is the relay dialect's wish to be told of errors, reply its wish for a reply to init.
	errors, reply bool
	// seq and ack are the number of this message and of the last that the client has got; 0 when absent.
	seq, ack uint64
	// token, resume and iceServers belong to a login, as JSON; empty when absent.
	token, resume, iceServers []byte
}

// member takes the members that both dialects have.
func (r *request) member(name, value []byte) {
	switch string(name) {
	case "seq":
		r.seq = number(value)
	case "ack":
		r.ack = number(value)
	case "token":
		r.token = value
	case "resume":
		r.resume = value
	case "iceServers":
		r.iceServers = value
	}
}

// decodeCall reads a frame of the call dialect. A repeated member counts as JavaScript counts it: the last one.
func decodeCall(frame []byte) request {
	var req request
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
			req.relay = true
		default:
			req.member(name, value)
		}
	}
	switch req.typ() {
	case Offer:
		req.payload = offer
	case Answer:
		req.payload = answer
	case ICECandidate:
		req.payload = candidate
	}
	return req
}

// decodeRelay reads a frame of the relay dialect.
func decodeRelay(frame []byte) request {
	var req request
	var id, peer []byte
	for o := parseObject(frame); ; {
		name, value, ok := o.next()
		if !ok {
			break
		}
		switch string(name) {
		case "inst":
			req.kind, req.relay = value, true
		case "id":
			id = value
		case "peerId":
			peer = value
		case "message":
			req.payload = value
		case "errors":
			req.errors = isTrue(value)
		case "reply":
			req.reply = isTrue(value)
		default:
			req.member(name, value)
		}
	}
	switch req.inst() {
	case "init":
		req.name = id
	case "send":
		req.name = peer
	}
	return req
}

// typ returns the type if it is one of the call dialect's, else "". Only strings count, as in a JavaScript switch.
func (r request) typ() Type {
	if !isString(r.kind) {
		return ""
	}
	switch string(unquoteBytes(r.kind)) {
	case "login":
		return login
	case "offer":
		return Offer
	case "answer":
		return Answer
	case "candidate":
		return ICECandidate
	case "leave":
		return Leave
	case "ack":
		return ack
	case "iceServers":
		return askICE
	}
	return ""
}

func (r request) inst() string {
	inst, _ := unquote(r.kind)
	return inst
}
