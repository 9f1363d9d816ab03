package peer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// names finds the section of what comes by an SSRC that nobody has declared, see
// undeclared.go.
type names struct {
	transceivers func() []*webrtc.RTPTransceiver // not to be called with mu held: who waits for it may hold Pion's locks
	strange      func(unheard)                   // is told of a stream that has no name; it must not block

	mu             sync.Mutex // protects following
	mid, rid, rrid uint8      // header extensions: MID, RID, and RID of what is repaired; 0 if not agreed to
	declared       map[uint32]bool
	sections       []namedSection
	changed        chan struct{} // closed and replaced when any of this changes
	taken          map[*webrtc.TrackRemote]*taken
}

// namedSection is a section of the other side's latest description.
type namedSection struct {
	mid                  string
	sends, sole, layered bool
	media, repairs       []byte // payload types
}

// taken are the SSRCs of a receiver, 0 for none yet.
type taken struct{ media, repairs uint32 }

// unheard is a stream of which nobody knows the section.
type unheard struct {
	ssrc    uint32
	payload int // type
}

// String tells what a user can do.
func (u unheard) String() string {
	return fmt.Sprintf("media of SSRC %d, payload type %d, come and are not heard: no section of the description that waits for media is "+
		"theirs by MID, or by payload type alone; the other side has to declare the SSRC (a=ssrc), or to send the MID", u.ssrc, u.payload)
}

func newNames(strange func(unheard)) *names {
	return &names{strange: strange, changed: make(chan struct{}), taken: map[*webrtc.TrackRemote]*taken{}}
}

// learn takes note of a description of the other side, before Pion gets it.
func (n *names) learn(parsed *sdp.SessionDescription, sections []Section) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for uri, id := range map[string]*uint8{sdp.SDESMidURI: &n.mid, sdp.SDESRTPStreamIDURI: &n.rid, sdp.SDESRepairRTPStreamIDURI: &n.rrid} {
		if known := extensionID(parsed.MediaDescriptions, uri); known != 0 {
			*id = known
		}
	}
	n.declared, n.sections = map[uint32]bool{}, nil
	for i, s := range sections {
		if s.Kind != 0 && !s.Rejected {
			named := namedSection{mid: s.Mid, sends: s.Sends()}
			named.read(parsed.MediaDescriptions[i], n.declared)
			n.sections = append(n.sections, named)
		}
	}
	n.change()
}

// read takes what is of interest from a section; declared gets its SSRCs.
func (s *namedSection) read(m *sdp.MediaDescription, declared map[uint32]bool) {
	for _, a := range m.Attributes {
		first, rest, _ := strings.Cut(a.Value, " ")
		number, err := strconv.ParseUint(first, 10, 32)
		switch {
		case a.Key == "rid" && first == soleRID:
			s.sole = true
		case a.Key == "rid":
			s.layered = true
		case a.Key == sdp.AttrKeySSRC && err == nil:
			declared[uint32(number)] = true
		case a.Key == "rtpmap" && err == nil && strings.HasPrefix(strings.ToLower(rest), "rtx/"):
			s.repairs = append(s.repairs, byte(number))
		}
	}
	for _, format := range m.MediaName.Formats {
		if number, err := strconv.ParseUint(format, 10, 7); err == nil && !slices.Contains(s.repairs, byte(number)) {
			s.media = append(s.media, byte(number))
		}
	}
}

// change is called with mu held.
func (n *names) change() {
	close(n.changed)
	n.changed = make(chan struct{})
}

// next is closed with the next change.
func (n *names) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.changed
}

// looks tells if Pion is about to look for the name of a stream.
func (n *names) looks(ssrc uint32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mid != 0 && ssrc != 0 && !n.declared[ssrc]
}

// finding is what is known of a stream.
type finding int

const (
	nothing finding = iota // so far: what describes it may be on its way
	waiting                // its section is known, and not ready for it yet, or no more
	found
)

// find looks for the section of a packet. The marks make Pion see it; none are
// needed for what has a name of its own.
func (n *names) find(packet []byte, ssrc uint32) ([]mark, finding) {
	h := rtp.Header{}
	if _, err := h.Unmarshal(packet); err != nil {
		return nil, found // Pion says so
	}
	s, repairs := n.sectionOf(&h)
	switch {
	case s == nil:
		return nil, nothing
	case s.layered:
		return nil, found
	case s.sole:
		for _, t := range n.transceivers() {
			if t.Mid() == s.mid && t.Receiver() != nil && n.offers(t.Receiver(), ssrc, repairs) {
				return n.marks(s.mid, repairs), found
			}
		}
	}
	if s.sends && !repairs {
		return nil, nothing // it has another source
	}
	return nil, waiting
}

// offers tells if a receiver takes an SSRC.
func (n *names) offers(r *webrtc.RTPReceiver, ssrc uint32, repairs bool) bool {
	return slices.ContainsFunc(r.Tracks(), func(track *webrtc.TrackRemote) bool {
		return track.RID() == soleRID && n.take(track, ssrc, repairs)
	})
}

// sectionOf is the section of a packet by its MID, else by its payload type if
// no other section that sends has that; nil if it is not known. It tells too if
// the packet repairs others.
func (n *names) sectionOf(h *rtp.Header) (*namedSection, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	mid := ""
	if n.mid != 0 {
		mid = string(h.GetExtension(n.mid))
	}
	var of *namedSection
	for i := range n.sections {
		s := &n.sections[i]
		switch {
		case mid != "" && s.mid != mid:
		case mid == "" && (!s.sends || !s.has(h.PayloadType)):
		case of != nil:
			return nil, false
		default:
			of = s
		}
	}
	return of, of != nil && slices.Contains(of.repairs, h.PayloadType)
}

func (s *namedSection) has(payload uint8) bool {
	return slices.Contains(s.media, payload) || slices.Contains(s.repairs, payload)
}

// take tells if an SSRC is that of a receiver, or of what repairs it. There is no
// other one as long as there is the receiver: Pion could not read it safely.
func (n *names) take(track *webrtc.TrackRemote, ssrc uint32, repairs bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.taken[track]
	if now == nil {
		now = &taken{}
		n.taken[track] = now
	}
	place := &now.media
	if repairs {
		place = &now.repairs
		if now.media == 0 {
			return false // there is nothing to repair yet
		}
	}
	if *place == 0 {
		*place = ssrc
		n.change()
	}
	return *place == ssrc
}

// marks are what Pion tells packets of a section with one size apart by.
func (n *names) marks(mid string, repairs bool) []mark {
	n.mu.Lock()
	defer n.mu.Unlock()
	if repairs {
		return []mark{{n.mid, []byte(mid)}, {n.rrid, []byte(soleRID)}}
	}
	return []mark{{n.mid, []byte(mid)}, {n.rid, []byte(soleRID)}}
}
