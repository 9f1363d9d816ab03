package peer

import (
	"net"
	"slices"
	"strings"
	"time"
)

// addressInterval is how often a call looks if this machine's addresses have
// changed: a cable was pulled, a wireless network was left.
const addressInterval = 2 * time.Second

// addressesChanged returns them, and tells if they have changed since the last
// look. None at all is no change: there is nothing to look for a path with yet.
// A simulated network does not change.
func (c *Call) addressesChanged() (list []string, changed bool) {
	if c.cfg.Net != nil {
		return nil, false
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, false
	}
	outside := 0
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if ok && !isReachable(n.IP) {
			continue // no call goes by it; each container that starts brings some
		}
		list = append(list, a.String())
		if ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			outside++
		}
	}
	slices.Sort(list)
	now := strings.Join(list, " ")
	if c.addresses != "" && outside == 0 {
		return list, false
	}
	changed = c.addresses != "" && c.addresses != now
	c.addresses = now
	return list, changed
}
