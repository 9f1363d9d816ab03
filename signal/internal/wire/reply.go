package wire

import (
	"strconv"
	"time"

	"parley/signal"
)

// The functions of this file append a frame to a client each. They build the outer object
// themselves, so that nothing of another client is forwarded but a payload that was checked.

// LoginGrant is the content of the reply to a successful login.
type LoginGrant struct {
	Name, Requested string
	WithICEServers  bool // the client asked for ICE servers
	ICEServers      []signal.ICEServer
	ICELifetime     time.Duration // of ICEServers; 0 for no limit
	ResumeToken     string        // empty if the session cannot be resumed
	ResumeFor       time.Duration // after a loss
	ExpiresIn       time.Duration // until the session expires; 0 if it does not
	Continued       bool          // the session continues one of another server
	Received        uint64        // Continued: the number of the last message that counts as received
}

// AppendLoginSuccess appends the reply to a login that succeeded.
func AppendLoginSuccess(dst []byte, g LoginGrant) []byte {
	dst = append(dst, `{"type":"login","success":true`...)
	if g.Name != g.Requested {
		dst = appendString(append(dst, `,"name":`...), g.Name)
	}
	if g.WithICEServers {
		dst = appendICEGrant(dst, g)
	}
	if g.ResumeToken != "" {
		dst = appendString(append(dst, `,"resume":`...), g.ResumeToken)
		dst = append(dst, `,"resumeFor":`...)
		dst = strconv.AppendInt(dst, int64(g.ResumeFor/time.Millisecond), 10)
	}
	if g.Continued {
		dst = strconv.AppendUint(append(dst, `,"ack":`...), g.Received, 10)
	}
	return append(appendExpiresIn(dst, g.ExpiresIn), '}')
}

// AppendLoginResumed appends the reply to a login that resumed a session. received is the number of
// the last message of the client that was received.
func AppendLoginResumed(dst []byte, g LoginGrant, received uint64) []byte {
	dst = append(dst, `{"type":"login","success":true`...)
	if g.WithICEServers {
		dst = appendICEGrant(dst, g)
	}
	dst = appendExpiresIn(dst, g.ExpiresIn)
	dst = strconv.AppendUint(append(dst, `,"ack":`...), received, 10)
	return append(dst, '}')
}

// AppendICEServers appends the reply to a request for ICE servers.
func AppendICEServers(dst []byte, g LoginGrant) []byte {
	return append(appendICEGrant(append(dst, `{"type":"iceServers"`...), g), '}')
}

func appendICEGrant(dst []byte, g LoginGrant) []byte {
	dst = appendICEServerList(dst, g.ICEServers)
	if g.ICELifetime > 0 {
		dst = append(dst, `,"iceServersFor":`...)
		dst = strconv.AppendInt(dst, int64(g.ICELifetime/time.Millisecond), 10)
	}
	return dst
}

// AppendLoginRefusal appends the reply to a login that was refused.
func AppendLoginRefusal(dst []byte, code, text string) []byte {
	dst = append(dst, `{"type":"login","success":false,"message":`...)
	dst = appendString(dst, text)
	dst = append(dst, `,"code":`...)
	dst = appendString(dst, code)
	return append(dst, '}')
}

// AppendDelivery appends an offer, answer, candidate or leave of the client called from.
func AppendDelivery(dst []byte, typ signal.Type, payload []byte, from string) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, typ...)
	dst = append(dst, '"')
	if typ != signal.Leave {
		dst = append(dst, `,"`...)
		dst = append(dst, typ...)
		dst = append(dst, `":`...)
		if len(payload) == 0 {
			payload = []byte("null")
		}
		dst = append(dst, payload...)
	}
	dst = append(dst, `,"name":`...)
	dst = appendString(dst, from)
	return append(dst, '}')
}

// AppendNumber appends the number that a message has at its sender to its frame.
func AppendNumber(frame []byte, number uint64) []byte {
	frame = append(frame[:len(frame)-1], `,"number":`...)
	return append(strconv.AppendUint(frame, number, 10), '}')
}

// AppendError appends an error. name is the receiver of the refused message, empty for none.
func AppendError(dst []byte, code, text, name string) []byte {
	dst = append(dst, `{"type":"error","message":`...)
	dst = appendString(dst, text)
	dst = append(dst, `,"code":`...)
	dst = appendString(dst, code)
	if name != "" {
		dst = append(dst, `,"name":`...)
		dst = appendString(dst, name)
	}
	return append(dst, '}')
}

// AppendExpiring appends the warning that a session expires after left.
func AppendExpiring(dst []byte, left time.Duration) []byte {
	return append(appendExpiresIn(append(dst, `{"type":"expiring"`...), left), '}')
}

// AppendWatch appends whether a watched name is logged in. lifetime is that of the watch, 0 once it
// is over.
func AppendWatch(dst []byte, name string, present bool, lifetime time.Duration) []byte {
	dst = appendString(append(dst, `{"type":"watch","name":`...), name)
	dst = strconv.AppendBool(append(dst, `,"present":`...), present)
	return append(appendExpiresIn(dst, lifetime), '}')
}

// appendExpiresIn appends the member that says when a session or a watch expires, if it does, in
// milliseconds.
func appendExpiresIn(dst []byte, left time.Duration) []byte {
	if left <= 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, `,"expiresIn":`...), max(int64(left/time.Millisecond), 1), 10)
}
