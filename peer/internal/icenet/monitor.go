package icenet

import (
	"net"
	"slices"
	"strings"
)

// AddressMonitor detects changes of the host's addresses: a cable was unplugged, a wireless network
// was left. The zero value is ready for use.
type AddressMonitor struct{ last string }

// Changed returns the host's addresses and reports whether they differ from those of the previous
// call. It looks at the interfaces that match the filter. The first call reports false. So does a
// host without any address, on which no other path can be found.
func (m *AddressMonitor) Changed(filter InterfaceFilter) (list []string, changed bool) {
	all, err := filter.addresses()
	if err != nil {
		return nil, false
	}
	external := 0
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		if ok && !usable(n.IP) {
			continue // every new container brings some
		}
		list = append(list, a.String())
		if ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			external++
		}
	}
	slices.Sort(list)
	now := strings.Join(list, " ")
	if m.last != "" && external == 0 {
		return list, false
	}
	changed = m.last != "" && m.last != now
	m.last = now
	return list, changed
}

// addresses returns the addresses of the host's interfaces.
func (f InterfaceFilter) addresses() ([]net.Addr, error) {
	if !f.active() {
		return net.InterfaceAddrs()
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var all []net.Addr
	for _, i := range interfaces {
		if !f.match(i.Name) {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it was removed
		}
		all = append(all, addresses...)
	}
	return all, nil
}
