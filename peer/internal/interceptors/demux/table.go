package demux

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

// Config is what a Demuxer needs of its connection.
type Config struct {
	// SyntheticRID is the RID by which Pion knows the only stream of a section without SSRCs.
	SyntheticRID string
	// Transceivers returns those of the connection.
	Transceivers func() []*webrtc.RTPTransceiver
	// OnUnknown handles a stream that belongs to no section. It must not block.
	OnUnknown func(UnknownStream)
}

// Section is a media section of the peer's description that is not rejected.
type Section struct {
	MID   string
	Sends bool // the peer sends
	// Media is the description as Pion gets it, with the synthetic RID.
	Media *sdp.MediaDescription
}

// HeaderExtensions are the IDs of header extensions, 0 for those not negotiated.
type HeaderExtensions struct{ MID, RID, RepairedRID uint8 }

// UnknownStream is a stream that belongs to no section of the peer's description.
type UnknownStream struct {
	SSRC        uint32
	PayloadType int
}

// String returns a warning for the user.
func (u UnknownStream) String() string {
	return fmt.Sprintf("unknown stream with SSRC %d, payload type %d is not received: no section of the peer's description has its MID, "+
		"or is the only one with its payload type; the peer has to declare the SSRC (a=ssrc) or send the MID header extension",
		u.SSRC, u.PayloadType)
}

// demuxTable maps streams to sections (RFC 9143 section 9.2).
type demuxTable struct {
	config Config

	mu         sync.Mutex // guards the following; Transceivers is not called with it held, it takes locks of Pion
	extensions HeaderExtensions
	declared   map[uint32]bool // SSRCs
	sections   []section
	updated    chan struct{} // closed and replaced when any of this changes
	bound      map[*webrtc.TrackRemote]*boundSSRCs
}

// section is a section of the peer's latest description.
type section struct {
	mid                         string
	sends, synthetic, simulcast bool
	media, rtx                  []byte // payload types
}

// boundSSRCs are the SSRCs of a receiver, 0 for none yet.
type boundSSRCs struct{ media, rtx uint32 }

func newDemuxTable(config Config) *demuxTable {
	return &demuxTable{config: config, updated: make(chan struct{}), bound: map[*webrtc.TrackRemote]*boundSSRCs{}}
}

// Update sets the peer's description, before Pion gets it. An extension of 0 leaves the ID as it
// is.
func (d *Demuxer) Update(extensions HeaderExtensions, sections []Section) {
	t := d.table
	t.mu.Lock()
	defer t.mu.Unlock()
	update := func(id *uint8, now uint8) {
		if now != 0 {
			*id = now
		}
	}
	update(&t.extensions.MID, extensions.MID)
	update(&t.extensions.RID, extensions.RID)
	update(&t.extensions.RepairedRID, extensions.RepairedRID)
	t.declared, t.sections = map[uint32]bool{}, nil
	for _, s := range sections {
		t.sections = append(t.sections, t.parse(s))
	}
	t.notify()
}

// HeaderExtensions returns the negotiated IDs.
func (d *Demuxer) HeaderExtensions() HeaderExtensions {
	d.table.mu.Lock()
	defer d.table.mu.Unlock()
	return d.table.extensions
}

// parse returns what matters of a section, and adds its SSRCs to declared. mu is held.
func (t *demuxTable) parse(from Section) section {
	s := section{mid: from.MID, sends: from.Sends}
	for _, a := range from.Media.Attributes {
		first, rest, _ := strings.Cut(a.Value, " ")
		number, err := strconv.ParseUint(first, 10, 32)
		switch {
		case a.Key == "rid" && first == t.config.SyntheticRID:
			s.synthetic = true
		case a.Key == "rid":
			s.simulcast = true
		case a.Key == sdp.AttrKeySSRC && err == nil:
			t.declared[uint32(number)] = true
		case a.Key == "rtpmap" && err == nil && strings.HasPrefix(strings.ToLower(rest), "rtx/"):
			s.rtx = append(s.rtx, byte(number))
		}
	}
	for _, format := range from.Media.MediaName.Formats {
		if number, err := strconv.ParseUint(format, 10, 7); err == nil && !slices.Contains(s.rtx, byte(number)) {
			s.media = append(s.media, byte(number))
		}
	}
	return s
}

// notify wakes up those who wait for an update. mu is held.
func (t *demuxTable) notify() {
	close(t.updated)
	t.updated = make(chan struct{})
}

// nextUpdate returns a channel that is closed with the next update.
func (t *demuxTable) nextUpdate() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.updated
}

// probed reports whether Pion probes a stream that it binds.
func (t *demuxTable) probed(ssrc uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.extensions.MID != 0 && ssrc != 0 && !t.declared[ssrc]
}

// result is what a lookup says of a stream.
type result int

const (
	unknown  result = iota // so far: the description may be on its way
	notReady               // the section is known, and not or no longer ready for it
	resolved
)

// extension is a header extension of a packet.
type extension struct {
	id    uint8
	value []byte
}

// lookup finds the section of a packet, and the header extensions by which Pion assigns its stream.
func (t *demuxTable) lookup(packet []byte, ssrc uint32) ([]extension, result) {
	h := rtp.Header{}
	if _, err := h.Unmarshal(packet); err != nil {
		return nil, resolved // Pion drops it
	}
	s, rtx := t.sectionOf(&h)
	switch {
	case s == nil:
		return nil, unknown
	case s.simulcast:
		if marks := t.simulcastExtensions(s.mid, &h); marks != nil {
			return marks, resolved
		}
		return nil, unknown
	case s.synthetic:
		for _, transceiver := range t.config.Transceivers() {
			if r := transceiver.Receiver(); transceiver.Mid() == s.mid && r != nil && t.bindReceiver(r, ssrc, rtx) {
				return t.syntheticExtensions(s.mid, rtx), resolved
			}
		}
	}
	if s.sends && !rtx {
		return nil, unknown // the section has another SSRC
	}
	return nil, notReady
}

// bindReceiver reports whether an SSRC is that of a receiver.
func (t *demuxTable) bindReceiver(r *webrtc.RTPReceiver, ssrc uint32, rtx bool) bool {
	return slices.ContainsFunc(r.Tracks(), func(track *webrtc.TrackRemote) bool {
		return track.RID() == t.config.SyntheticRID && t.bind(track, ssrc, rtx)
	})
}

// sectionOf returns the section of a packet by its MID, else by its payload type if no other
// section that sends has it, and whether the packet is a retransmission. The section is nil for
// none.
func (t *demuxTable) sectionOf(h *rtp.Header) (*section, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	mid := ""
	if t.extensions.MID != 0 {
		mid = string(h.GetExtension(t.extensions.MID))
	}
	var of *section
	for i := range t.sections {
		s := &t.sections[i]
		switch {
		case mid != "" && s.mid != mid:
		case mid == "" && (!s.sends || !s.has(h.PayloadType)):
		case of != nil:
			return nil, false
		default:
			of = s
		}
	}
	return of, of != nil && slices.Contains(of.rtx, h.PayloadType)
}

func (s *section) has(payloadType uint8) bool {
	return slices.Contains(s.media, payloadType) || slices.Contains(s.rtx, payloadType)
}

// bind reports whether an SSRC is that of a track, or of its RTX. The first SSRC is kept as long as
// there is the track: Pion cannot read another one safely.
func (t *demuxTable) bind(track *webrtc.TrackRemote, ssrc uint32, rtx bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	bound := t.bound[track]
	if bound == nil {
		bound = &boundSSRCs{}
		t.bound[track] = bound
	}
	slot := &bound.media
	if rtx {
		slot = &bound.rtx
		if bound.media == 0 {
			return false // there is nothing to retransmit yet
		}
	}
	if *slot == 0 {
		*slot = ssrc
		t.notify()
	}
	return *slot == ssrc
}

// simulcastExtensions returns the MID and the RID of a packet of a simulcast section, nil if Pion
// has no track of that RID.
func (t *demuxTable) simulcastExtensions(mid string, h *rtp.Header) []extension {
	t.mu.Lock()
	ids := t.extensions
	t.mu.Unlock()
	id := ids.RID
	if ids.RepairedRID != 0 && len(h.GetExtension(ids.RepairedRID)) > 0 {
		id = ids.RepairedRID
	}
	if id == 0 {
		return nil
	}
	rid := string(h.GetExtension(id))
	for _, transceiver := range t.config.Transceivers() {
		r := transceiver.Receiver()
		if rid == "" || transceiver.Mid() != mid || r == nil {
			continue
		}
		if slices.ContainsFunc(r.Tracks(), func(track *webrtc.TrackRemote) bool { return track.RID() == rid }) {
			return []extension{{ids.MID, []byte(mid)}, {id, []byte(rid)}}
		}
	}
	return nil
}

// syntheticExtensions returns the MID and the synthetic RID.
func (t *demuxTable) syntheticExtensions(mid string, rtx bool) []extension {
	t.mu.Lock()
	defer t.mu.Unlock()
	rid := t.extensions.RID
	if rtx {
		rid = t.extensions.RepairedRID
	}
	return []extension{{t.extensions.MID, []byte(mid)}, {rid, []byte(t.config.SyntheticRID)}}
}
