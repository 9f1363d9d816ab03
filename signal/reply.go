package signal

import (
	"strconv"
	"time"
)

// The frames a server sends. Each function appends one; every outer object is built here, so that only payloads that were
// checked pass through from another client.

// loginGrant is what the reply to a good login tells beyond success.
type loginGrant struct {
	name, asked string
	ask         bool // for ICE servers
	iceServers  []ICEServer
	granted     []ICEServer   // those of the Authorizer
	iceFor      time.Duration // how long they are good; 0: for ever
	ticket      string        // to come back with
	wait        time.Duration // for the return
}

func appendGrant(dst []byte, g loginGrant) []byte {
	dst = append(dst, `{"type":"login","success":true`...)
	if g.name != g.asked {
		dst = appendString(append(dst, `,"name":`...), g.name)
	}
	if g.ask {
		dst = appendICEGrant(dst, g)
	}
	if g.ticket != "" {
		dst = appendString(append(dst, `,"resume":`...), g.ticket)
		dst = append(dst, `,"resumeFor":`...)
		dst = strconv.AppendInt(dst, int64(g.wait/time.Millisecond), 10)
	}
	return append(dst, '}')
}

// appendResumed appends the reply to a client that has come back: with the number of its last message that was served.
func appendResumed(dst []byte, g loginGrant, heard uint64) []byte {
	dst = append(dst, `{"type":"login","success":true`...)
	if g.ask {
		dst = appendICEGrant(dst, g)
	}
	dst = strconv.AppendUint(append(dst, `,"ack":`...), heard, 10)
	return append(dst, '}')
}

// appendRenewal appends the answer to a client that asks for ICE servers anew.
func appendRenewal(dst []byte, g loginGrant) []byte {
	return append(appendICEGrant(append(dst, `{"type":"iceServers"`...), g), '}')
}

func appendICEGrant(dst []byte, g loginGrant) []byte {
	dst = appendICEServers(dst, g.iceServers)
	if g.iceFor > 0 {
		dst = append(dst, `,"iceServersFor":`...)
		dst = strconv.AppendInt(dst, int64(g.iceFor/time.Millisecond), 10)
	}
	return dst
}

func appendRefusal(dst []byte, code, text string) []byte {
	dst = append(dst, `{"type":"login","success":false,"message":`...)
	dst = appendString(dst, text)
	dst = append(dst, `,"code":`...)
	dst = appendString(dst, code)
	return append(dst, '}')
}

// appendDelivery appends an offer, answer, candidate or leave from the user of that name.
func appendDelivery(dst []byte, typ Type, payload []byte, from string) []byte {
	dst = append(dst, `{"type":"`...)
	dst = append(dst, typ...)
	dst = append(dst, '"')
	if typ != Leave {
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
func appendError(dst []byte, code, text, name string) []byte {
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
func appendICEServers(dst []byte, servers []ICEServer) []byte {
	dst = append(dst, `,"iceServers":[`...)
	n := 0
	for _, s := range servers {
		if n == MaxICEServers || s.Check() != nil {
			continue
		}
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		dst = appendICEServer(dst, s)
	}
	return append(dst, ']')
}

func appendICEServer(dst []byte, s ICEServer) []byte {
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
