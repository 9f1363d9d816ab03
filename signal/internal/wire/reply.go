package wire

import (
	"strconv"
	"time"

	"parley/signal"
)

// The frames a server sends. Each function appends one; every outer object is built here, so that only payloads that were
// checked pass through from another client.

// loginGrant is what the reply to a good login tells beyond success.
type LoginGrant struct {
	Name, Requested string
	WithICEServers  bool // for ICE servers
	ICEServers      []signal.ICEServer
	Granted         []signal.ICEServer // those of the Authorizer
	ICELifetime     time.Duration      // how long they are good; 0: for ever
	ResumeToken     string             // to come back with
	ResumeFor       time.Duration      // for the return
	ExpiresIn       time.Duration      // until the session expires; 0: never
}

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
	return append(appendExpiresIn(dst, g.ExpiresIn), '}')
}

// appendResumed appends the reply to a client that has come back: with the number of its last message that was served.
func AppendLoginResumed(dst []byte, g LoginGrant, heard uint64) []byte {
	dst = append(dst, `{"type":"login","success":true`...)
	if g.WithICEServers {
		dst = appendICEGrant(dst, g)
	}
	dst = appendExpiresIn(dst, g.ExpiresIn)
	dst = strconv.AppendUint(append(dst, `,"ack":`...), heard, 10)
	return append(dst, '}')
}

// appendRenewal appends the answer to a client that asks for ICE servers anew.
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

func AppendLoginRefusal(dst []byte, code, text string) []byte {
	dst = append(dst, `{"type":"login","success":false,"message":`...)
	dst = appendString(dst, text)
	dst = append(dst, `,"code":`...)
	dst = appendString(dst, code)
	return append(dst, '}')
}

// appendDelivery appends an offer, answer, candidate or leave from the user of that name.
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

// appendError appends an error; name is whom the refused message was for, "" for none.
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

// appendICEServers appends the member of a login reply that carries servers: those that are fit for it.
func appendICEServerList(dst []byte, servers []signal.ICEServer) []byte {
	dst = append(dst, `,"iceServers":[`...)
	n := 0
	for _, s := range servers {
		if n == signal.MaxICEServers || s.Check() != nil {
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = appendICEServer(dst, s)
	}
	return append(dst, ']')
}

func appendICEServer(dst []byte, s signal.ICEServer) []byte {
	dst = append(dst, `{"urls":[`...)
	for i, url := range s.URLs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, url)
	}
	dst = append(dst, ']')
	if s.Username != "" || s.Credential != "" {
		dst = appendString(append(dst, `,"username":`...), s.Username)
		dst = appendString(append(dst, `,"credential":`...), s.Credential)
	}
	return append(dst, '}')
}

// AppendExpiring appends the warning that a session expires after left.
func AppendExpiring(dst []byte, left time.Duration) []byte {
	return append(appendExpiresIn(append(dst, `{"type":"expiring"`...), left), '}')
}

// appendExpiresIn appends the member that says when a session expires, if it does, in milliseconds.
func appendExpiresIn(dst []byte, left time.Duration) []byte {
	if left <= 0 {
		return dst
	}
	return strconv.AppendInt(append(dst, `,"expiresIn":`...), max(int64(left/time.Millisecond), 1), 10)
}
