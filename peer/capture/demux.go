package capture

import (
	"bytes"
	"maps"
	"net/netip"
	"sync"

	"github.com/pion/stun/v4"
)

// Demux distributes the packets of a port that several calls share: those of each call go to the
// Pcapng of that call. It implements the Tap of package peer. A packet belongs to the call whose
// ICE username fragment stands in the connectivity checks from and to the same remote address (RFC
// 8445 section 7.2.2). Other packets are dropped.
type Demux struct {
	mu      sync.Mutex // guards following
	ufrags  map[string]*Pcapng
	remotes map[netip.AddrPort]*Pcapng
}

// NewDemux returns a Demux without calls.
func NewDemux() *Demux {
	return &Demux{ufrags: map[string]*Pcapng{}, remotes: map[netip.AddrPort]*Pcapng{}}
}

// maxRemotes is of how many remote addresses the call is known. A forgotten one is known again from
// the next check on.
const maxRemotes = 4096

// Add sets where the packets of the call with a local ICE username fragment go. A call has several
// after ICE restarts. An empty one has no packets.
func (d *Demux) Add(ufrag string, p *Pcapng) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ufrag == "" {
		return
	}
	d.ufrags[ufrag] = p
}

// Remove ends the distribution to p. It does not close p.
func (d *Demux) Remove(p *Pcapng) {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.ufrags, func(_ string, of *Pcapng) bool { return of == p })
	maps.DeleteFunc(d.remotes, func(_ netip.AddrPort, of *Pcapng) bool { return of == p })
}

// Datagram writes a UDP datagram to the Pcapng of its call.
func (d *Demux) Datagram(out bool, local, remote netip.AddrPort, data []byte) {
	if p := d.find(remote, data); p != nil {
		p.Datagram(out, local, remote, data)
	}
}

// Segment writes a piece of a TCP stream to the Pcapng of its call.
func (d *Demux) Segment(out bool, local, remote netip.AddrPort, data []byte) {
	if p := d.find(remote, unframe(data)); p != nil {
		p.Segment(out, local, remote, data)
	}
}

// find returns the Pcapng of the call that a packet belongs to, nil for none.
func (d *Demux) find(remote netip.AddrPort, data []byte) *Pcapng {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ufrag := range ufragsIn(data) {
		if p := d.ufrags[ufrag]; p != nil {
			d.remember(remote, p)
		}
	}
	return d.remotes[remote]
}

// remember sets the Pcapng of a remote address, and forgets another address if there are too many.
func (d *Demux) remember(remote netip.AddrPort, p *Pcapng) {
	if d.remotes[remote] == nil {
		for forgotten := range d.remotes {
			if len(d.remotes) < maxRemotes {
				break
			}
			delete(d.remotes, forgotten)
		}
	}
	d.remotes[remote] = p
}

// ufragsIn returns the username fragments of both peers in a connectivity check.
func ufragsIn(data []byte) (all []string) {
	if !stun.IsMessage(data) {
		return nil
	}
	m := &stun.Message{Raw: bytes.Clone(data)}
	if m.Decode() != nil {
		return nil
	}
	name, err := m.Get(stun.AttrUsername)
	if err != nil {
		return nil
	}
	for part := range bytes.SplitSeq(name, []byte(":")) {
		all = append(all, string(part))
	}
	return all
}
