package serve

import (
	"slices"
	"strings"
	"time"

	"github.com/pion/stun/v4"

	"parley/cmd/parley/internal/exit"
	"parley/signal"
	"parley/signal/turnserver"
)

// iceServers are the ICE servers of clients.
type iceServers struct {
	fixed       []signal.ICEServer      // the same for all
	temporary   []string                // TURN URLs that need credentials
	credentials *turnserver.Credentials // for temporary, nil without a secret
}

// forClient returns the ICE servers for a client of that name, with credentials that last for life
// at most.
func (i *iceServers) forClient(name string, life time.Duration) []signal.ICEServer {
	servers := slices.Clone(i.fixed)
	if len(i.temporary) > 0 {
		credentials := *i.credentials
		credentials.TTL = min(credentials.TTL, life)
		user, password := credentials.Make(name)
		servers = append(servers, signal.ICEServer{URLs: i.temporary, Username: user, Credential: password})
	}
	return servers
}

// hasTURN reports whether clients get credentials of a TURN server.
func (i *iceServers) hasTURN() bool {
	return len(i.temporary) > 0 || slices.ContainsFunc(i.fixed, func(s signal.ICEServer) bool { return s.Credential != "" })
}

// add adds a value of --ice-server: URL, or URL,USER,SECRET. Errors do not show secrets.
func (i *iceServers) add(value string) error {
	parts := strings.SplitN(value, ",", 3)
	address := parts[0]
	if _, err := stun.ParseURI(address); err != nil {
		return exit.Usagef("invalid --ice-server %q: want stun:HOST[:PORT], or turn: or turns: with [?transport=udp]", signal.PrintableURL(address)) // err has the URL
	}
	isTURN := strings.HasPrefix(strings.ToLower(address), "turn")
	s := signal.ICEServer{URLs: []string{address}}
	switch {
	case len(parts) == 2, len(parts) == 3 && !isTURN:
		return exit.Usagef("invalid --ice-server %q: want URL, or for a TURN server URL,USER,SECRET", signal.PrintableURL(address))
	case len(parts) == 3:
		s.Username, s.Credential = parts[1], parts[2]
	case isTURN && i.credentials == nil:
		return exit.Usagef("invalid --ice-server %q: a TURN server needs URL,USER,SECRET, or --turn-secret, its static-auth-secret", signal.PrintableURL(address))
	case isTURN:
		i.temporary = append(i.temporary, address)
		return nil
	}
	if err := s.Check(); err != nil {
		return exit.Usagef("--ice-server: %v", err)
	}
	i.fixed = append(i.fixed, s)
	return nil
}
