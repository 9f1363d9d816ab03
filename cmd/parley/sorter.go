package main

import (
	"bytes"
	"maps"
	"net/netip"
	"sync"

	"github.com/pion/stun/v4"

	"parley/peer"
)

// sorter is a peer.Tap for a port that several calls share: each call's packets go to the capture of that call. A packet belongs to
// the call whose ICE credentials stand in the checks between the same two addresses (RFC 8445 §7.2.2).
type sorter struct {
	mu      sync.Mutex // protects following
	calls   map[string]*capture
	remotes map[netip.AddrPort]*capture
}

func newSorter() *sorter {
	return &sorter{calls: map[string]*capture{}, remotes: map[netip.AddrPort]*capture{}}
}

// add has packets go to a capture if they belong to the call with a ufrag of ours.
func (s *sorter) add(ufrag string, c *capture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[ufrag] = c
}

// remove forgets a capture, whose call is over.
func (s *sorter) remove(c *capture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.calls, func(_ string, of *capture) bool { return of == c })
	maps.DeleteFunc(s.remotes, func(_ netip.AddrPort, of *capture) bool { return of == c })
}

// Datagram implements peer.Tap.
func (s *sorter) Datagram(out bool, local, remote netip.AddrPort, data []byte) {
	if c := s.of(remote, data); c != nil {
		c.Datagram(out, local, remote, data)
	}
}

// Segment implements peer.Tap. A check stands behind its length (RFC 4571 §2).
func (s *sorter) Segment(out bool, local, remote netip.AddrPort, data []byte) {
	if c := s.of(remote, data[min(2, len(data)):]); c != nil {
		c.Segment(out, local, remote, data)
	}
}

// of is the capture of the call that a packet belongs to, nil for none.
func (s *sorter) of(remote netip.AddrPort, data []byte) *capture {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ufrag := range ufragsIn(data) {
		if c := s.calls[ufrag]; c != nil {
			s.remotes[remote] = c
		}
	}
	return s.remotes[remote]
}

// ufragsIn are those of both sides in an ICE check.
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

// portTap is what sees the packets of the ports that all calls share, nil for nobody.
func (s *settings) portTap() peer.Tap {
	if s.sorter == nil {
		return s.tap()
	}
	return s.sorter
}
