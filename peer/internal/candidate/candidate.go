// Package candidate parses the candidates of the peer, and follows the peer to the pair that its
// packets come by.
package candidate

import (
	"fmt"
	"net"
	"strings"

	"github.com/pion/ice/v4"

	"parley/peer/internal/netaddr"
)

// maxLength is the longest candidate line that is parsed, in bytes.
const maxLength = 2 << 10

// Parse parses a candidate line of the peer, with or without "candidate:". It returns an error for
// a candidate that must not or cannot be used: one for RTCP, which is multiplexed (RFC 8834 section
// 4.5), a TCP candidate that does not listen (RFC 6544 section 4.5), or one at an address that no
// peer has.
func Parse(line string) (ice.Candidate, error) {
	if len(line) > maxLength {
		return nil, fmt.Errorf("candidate too long: %d bytes, want at most %d", len(line), maxLength)
	}
	c, err := ice.UnmarshalCandidate(strings.TrimPrefix(line, "candidate:"))
	if err != nil {
		return nil, fmt.Errorf("invalid candidate: %w", err)
	}
	switch {
	case c.Component() != ice.ComponentRTP:
		return nil, fmt.Errorf("candidate for component %d: want 1, RTCP is multiplexed", c.Component())
	case c.NetworkType().IsTCP() && c.TCPType() != ice.TCPTypePassive:
		return nil, fmt.Errorf("candidate for %s TCP: want passive", c.TCPType())
	case !netaddr.Allowed(c.Address()):
		return nil, fmt.Errorf("candidate address %.60q: not the address of a peer", c.Address())
	case !validAddress(c.Address()):
		return nil, fmt.Errorf("candidate address %.60q: want an IP address or a .local name", c.Address())
	}
	return c, nil
}

// validAddress reports whether s is an IP address or a multicast DNS name. Other names would make
// this host query its DNS server on behalf of a stranger.
func validAddress(s string) bool {
	host, _, _ := strings.Cut(s, "%") // an IPv6 zone
	if net.ParseIP(host) != nil {
		return true
	}
	return len(s) <= 255 && strings.HasSuffix(s, ".local") && isHostName(s)
}

func isHostName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' {
			return false
		}
	}
	return true
}
