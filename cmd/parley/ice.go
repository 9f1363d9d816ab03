package main

import (
	"slices"
	"strings"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/signal"
	"parley/signal/turnserver"
)

// iceOffer is what serve hands to clients that ask for ICE servers.
type iceOffer struct {
	fixed       []signal.ICEServer      // as they are
	temporary   []string                // TURN URLs for which credentials are made
	credentials *turnserver.Credentials // nil if there are none to make
}

// servers returns the ICE servers for a client of that name, with credentials that last for life at most.
func (o *iceOffer) servers(name string, life time.Duration) []signal.ICEServer {
	servers := append([]signal.ICEServer(nil), o.fixed...)
	if len(o.temporary) > 0 {
		credentials := *o.credentials
		credentials.TTL = min(credentials.TTL, life)
		user, password := credentials.Make(name)
		servers = append(servers, signal.ICEServer{URLs: o.temporary, Username: user, Credential: password})
	}
	return servers
}

// hasTURN reports whether clients get credentials of a TURN server.
func (o *iceOffer) hasTURN() bool {
	return len(o.temporary) > 0 || slices.ContainsFunc(o.fixed, func(s signal.ICEServer) bool { return s.Credential != "" })
}

// add takes in one --ice-server of serve: URL, or URL,USER,SECRET.
func (o *iceOffer) add(value string) error {
	parts := strings.SplitN(value, ",", 3)
	url := parts[0]
	if _, err := stun.ParseURI(url); err != nil {
		return exit.Usagef("--ice-server %q: it is stun:HOST[:PORT], or turn: or turns: with [?transport=udp] (%v)", sanitize.Text(url), err)
	}
	needsUser := strings.HasPrefix(strings.ToLower(url), "turn")
	server := signal.ICEServer{URLs: []string{url}}
	switch {
	case len(parts) == 2, len(parts) == 3 && !needsUser:
		return exit.Usagef("--ice-server %q: it is URL, or for a TURN server URL,USER,SECRET", sanitize.Text(url))
	case len(parts) == 3:
		server.Username, server.Credential = parts[1], parts[2]
	case needsUser && o.credentials == nil:
		return exit.Usagef("--ice-server %q: a TURN server needs URL,USER,SECRET, or --turn-secret, its static-auth-secret", sanitize.Text(url))
	case needsUser:
		o.temporary = append(o.temporary, url)
		return nil
	}
	if err := server.Check(); err != nil {
		return exit.Usagef("--ice-server: %v", err)
	}
	o.fixed = append(o.fixed, server)
	return nil
}

// handedOut are the ICE servers of the signaling server as Pion takes them: it refuses a call with one that it cannot read.
func handedOut(servers []signal.ICEServer) []webrtc.ICEServer {
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

// freshICEServers are those of --ice-server and those that the signaling server
// handed out last.
func (l *line) freshICEServers() []webrtc.ICEServer {
	return append(slices.Clone(l.iceGiven), handedOut(l.client.ICEServers())...)
}

// iceServers are those of --ice-server and those that the signaling server handed out.
func (l *line) iceServers() ([]webrtc.ICEServer, error) {
	servers := l.freshICEServers()
	isRelay := func(url string) bool { return strings.HasPrefix(strings.ToLower(url), "turn") }
	if l.relayOnly && !slices.ContainsFunc(servers, func(s webrtc.ICEServer) bool { return slices.ContainsFunc(s.URLs, isRelay) }) {
		return nil, exit.Errorf(exit.Connection, "--ice-policy relay: there is no TURN server to go through; --ice-server names one, "+
			"or the signaling server does with --turn")
	}
	return servers, nil
}
