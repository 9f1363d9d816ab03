package signaling

import (
	"slices"
	"strings"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/exit"
	"parley/signal"
)

// usable are the ICE servers of the signaling server as Pion takes them: it refuses a call with one
// that it cannot read.
func usable(servers []signal.ICEServer) []webrtc.ICEServer {
	var usable []webrtc.ICEServer
	for _, s := range servers {
		one := webrtc.ICEServer{Username: s.Username}
		needsUser := false
		for _, url := range s.URLs {
			if u, err := stun.ParseURI(url); err == nil {
				one.URLs = append(one.URLs, url)
				needsUser = needsUser || u.Scheme == stun.SchemeTypeTURN || u.Scheme == stun.SchemeTypeTURNS
			}
		}
		if s.Credential != "" {
			one.Credential = s.Credential
		}
		if len(one.URLs) == 0 || needsUser && (s.Username == "" || s.Credential == "") {
			continue
		}
		usable = append(usable, one)
	}
	return usable
}

// HandedOut returns the ICE servers that the signaling server handed out last.
func (l *Conn) HandedOut() []webrtc.ICEServer { return usable(l.transport.ICEServers()) }

// FreshICEServers are those of --ice-server and those that the signaling server
// handed out last.
func (l *Conn) FreshICEServers() []webrtc.ICEServer {
	return append(slices.Clone(l.ICEServers), l.HandedOut()...)
}

// AllICEServers are those of --ice-server and those that the signaling server handed out.
func (l *Conn) AllICEServers() ([]webrtc.ICEServer, error) {
	servers := l.FreshICEServers()
	isRelay := func(url string) bool { return strings.HasPrefix(strings.ToLower(url), "turn") }
	if l.RelayOnly && !slices.ContainsFunc(servers, func(s webrtc.ICEServer) bool { return slices.ContainsFunc(s.URLs, isRelay) }) {
		return nil, exit.Errorf(exit.Connection, "--ice-policy relay: there is no TURN server to go through; --ice-server names one, "+
			"or the signaling server does with --turn")
	}
	return servers, nil
}
