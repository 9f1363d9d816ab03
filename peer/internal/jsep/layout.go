package jsep

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"parley/peer/internal/msection"
)

// A Layout is the order of the m-sections in the descriptions of a call (RFC 9429 section 5.2.2),
// each with the transport that it belongs to. A call without BUNDLE has a PeerConnection for each
// transport, and yet one description of all. What is new gets a transport of its own, unless the
// peer bundles it with what is there.
//
// T names a transport; its zero value is none.
type Layout[T comparable] struct {
	// Unbundled: what is new gets a transport of its own.
	Unbundled bool

	slots  []slot[T]
	origin sdp.Origin // of the descriptions of several transports, zero before the first
}

// slot is one section.
type slot[T comparable] struct {
	mid       string                // on the wire
	transport T                     // none: it is rejected
	described *sdp.MediaDescription // as it was described last
}

// A Part is what a description says of one transport.
type Part[T comparable] struct {
	*Description
	Transport T // none for one that is new
}

// Assign divides a later description as the call is divided.
func (l *Layout[T]) Assign(d *Description) ([]Part[T], error) {
	var none T
	var transports []T
	var groups [][]int
	owner := map[int]int{} // of a section: the index of its transport in transports
	for _, s := range d.Sections {
		at := slices.IndexFunc(l.slots, func(have slot[T]) bool { return have.mid == s.Mid && have.transport != none })
		if at < 0 {
			continue
		}
		n := slices.Index(transports, l.slots[at].transport)
		if n < 0 {
			n = len(transports)
			transports, groups = append(transports, l.slots[at].transport), append(groups, nil)
		}
		groups[n], owner[s.Index] = append(groups[n], s.Index), n
	}
	for _, have := range l.slots {
		if have.transport != none && !slices.Contains(transports, have.transport) {
			return nil, fmt.Errorf("it leaves out the section %.20q, which is there until it is rejected (RFC 3264 section 8)", have.mid)
		}
	}
	for _, group := range d.groups() {
		groups = d.assignNew(group, groups, owner)
	}
	var parts []Part[T]
	for i, group := range groups {
		slices.Sort(group)
		part := Part[T]{Description: d.Part(group)}
		if i < len(transports) {
			part.Transport = transports[i]
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// assignNew adds the sections of a transport that belong to none of ours yet: to that of the
// others, if it is one, or to a new one.
func (d *Description) assignNew(transport []int, groups [][]int, owner map[int]int) [][]int {
	var added, owners []int
	for _, i := range transport {
		if n, ok := owner[i]; ok {
			owners = append(owners, n)
		} else if !d.Sections[i].Rejected {
			added = append(added, i)
		}
	}
	owners = slices.Compact(slices.Sorted(slices.Values(owners)))
	switch {
	case len(added) == 0:
	case len(owners) == 1 && len(transport) > 1:
		groups[owners[0]] = append(groups[owners[0]], added...)
	case len(owners) == 0 && d.bundled():
		groups = append(groups, added)
	default: // it would bundle what is on several transports, and is answered without that
		for _, i := range added {
			groups = append(groups, []int{i})
		}
	}
	return groups
}

// Record notes to which transport each section of a description belongs that was applied.
func (l *Layout[T]) Record(d *Description, parts []Part[T]) {
	if l.slots == nil {
		l.Unbundled = !d.bundled()
	}
	l.Unbundled = l.Unbundled || len(parts) > 1
	l.slots = make([]slot[T], len(d.Sections))
	for i, s := range d.Sections {
		l.slots[i] = slot[T]{mid: s.Mid, described: d.sdp.MediaDescriptions[i]}
	}
	for _, part := range parts {
		for _, s := range part.Sections {
			l.slots[s.Index].transport = part.Transport
		}
	}
}

// A Local is what we say of one transport, see ToWire.
type Local[T comparable] struct {
	Transport T
	SDP       *sdp.SessionDescription
}

// Merge makes one description of those of several transports, each bundled. Sections that are new
// follow the others, and those that no transport has are rejected.
func (l *Layout[T]) Merge(locals []Local[T]) (*sdp.SessionDescription, error) {
	var whole *sdp.SessionDescription
	by := map[T]*sdp.SessionDescription{}
	for _, local := range locals {
		by[local.Transport] = local.SDP
		for _, m := range local.SDP.MediaDescriptions {
			if mid := msection.Mid(m); mid != "" && l.Index(mid) < 0 {
				l.slots = append(l.slots, slot[T]{mid: mid, transport: local.Transport, described: m})
			}
		}
	}
	groups := map[T][]string{}
	var order []T
	var sections []*sdp.MediaDescription
	for _, at := range l.slots {
		section := sectionOf(by[at.transport], at.mid)
		if section == nil {
			sections = append(sections, msection.NewRejected(at.described, at.mid))
			continue
		}
		if whole == nil {
			whole = clone(by[at.transport])
		}
		if sections = append(sections, section); section.MediaName.Port.Value != 0 {
			if groups[at.transport] == nil {
				order = append(order, at.transport)
			}
			groups[at.transport] = append(groups[at.transport], at.mid)
		}
	}
	if whole == nil {
		return nil, errors.New("no section of the call is left")
	}
	// Each description has a higher version than the one before (RFC 3264 section 8).
	l.origin.SessionID = cmp.Or(l.origin.SessionID, whole.Origin.SessionID)
	l.origin.SessionVersion = max(l.origin.SessionVersion+1, whole.Origin.SessionVersion)
	whole.Origin.SessionID, whole.Origin.SessionVersion = l.origin.SessionID, l.origin.SessionVersion
	whole.MediaDescriptions = sections
	whole.Attributes = slices.DeleteFunc(whole.Attributes, func(a sdp.Attribute) bool { return a.Key == "group" })
	for _, transport := range order {
		if mids := groups[transport]; len(mids) > 1 {
			whole.WithValueAttribute("group", "BUNDLE "+strings.Join(mids, " "))
		}
	}
	return whole, nil
}

// Complete adds the sections that a bundled description of Pion's lacks, rejected, in their places.
func (l *Layout[T]) Complete(d *sdp.SessionDescription) {
	var sections []*sdp.MediaDescription
	for _, at := range l.slots {
		section := sectionOf(d, at.mid)
		if section == nil {
			section = msection.NewRejected(at.described, at.mid)
		}
		sections = append(sections, section)
	}
	for _, m := range d.MediaDescriptions {
		if mid := msection.Mid(m); mid != "" && l.Index(mid) < 0 { // Pion's have none where no codec is in common
			sections = append(sections, m)
		}
	}
	d.MediaDescriptions = sections
}

// Continue makes the next description that Merge returns follow this one.
func (l *Layout[T]) Continue(d *sdp.SessionDescription) {
	l.origin.SessionID, l.origin.SessionVersion = d.Origin.SessionID, d.Origin.SessionVersion
}

// Index returns the index of a section, below 0 if there is none.
func (l *Layout[T]) Index(mid string) int {
	return slices.IndexFunc(l.slots, func(s slot[T]) bool { return s.mid == mid })
}

// Release rejects the sections of a transport that is closed.
func (l *Layout[T]) Release(transport T) {
	for i := range l.slots {
		if l.slots[i].transport == transport {
			var none T
			l.slots[i].transport = none
		}
	}
}

// Reset forgets all sections.
func (l *Layout[T]) Reset() { l.slots, l.Unbundled = nil, false }

// HeaderExtensions returns the header extensions of the peer's sections by their IDs, those with
// one byte. What is added keeps to them, bundled or not: Chromium numbers them alike in all of its
// sections, and makes no offer any more that it could not take itself.
func (l *Layout[T]) HeaderExtensions() map[int]string {
	ids, known := map[int]string{}, map[string]bool{}
	for _, s := range l.slots {
		for _, a := range s.described.Attributes {
			words := strings.Fields(a.Value)
			if a.Key != sdp.AttrKeyExtMap || len(words) < 2 || known[words[1]] {
				continue
			}
			number, _, _ := strings.Cut(words[0], "/")
			if id, err := strconv.Atoi(number); err == nil && id > 0 && id <= msection.MaxOneByteID && ids[id] == "" {
				ids[id], known[words[1]] = words[1], true
			}
		}
	}
	return ids
}
