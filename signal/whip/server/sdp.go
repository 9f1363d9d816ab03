package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"

	"parley/signal"
	"parley/signal/whip"
)

// maxSections bounds the m-sections of an offer: audio, video and a data channel.
const maxSections = 3

// maxShortAnswer is the length of the longest answer in bytes that FFmpeg reads whole.
const maxShortAnswer = 8<<10 - 1

// offer is the checked offer of a client.
type offer struct {
	description *sdp.SessionDescription
	protocol    whip.Direction
	ufrag       string
	// complete reports that the client has no candidates beyond those of the offer. A client that
	// does not trickle may still gather candidates after the answer; it is found by its checks.
	complete bool
}

// parseOffer reads the offer of a client, and makes it one that can be forwarded: it only sends
// (WHIP) or only receives (WHEP). The error is a *refusal.
func parseOffer(text string, protocol whip.Direction) (*offer, error) {
	if text == "" {
		return nil, refuse(http.StatusBadRequest, "the offer is empty")
	}
	d := &sdp.SessionDescription{}
	if err := d.UnmarshalString(whip.EndLine(text)); err != nil {
		return nil, refuse(http.StatusBadRequest, "the offer is not SDP: "+signal.Printable(err.Error()))
	}
	if len(d.MediaDescriptions) == 0 || len(d.MediaDescriptions) > maxSections {
		return nil, refuse(http.StatusUnprocessableEntity, fmt.Sprintf("the offer has %d m-sections, want 1 to %d", len(d.MediaDescriptions), maxSections))
	}
	o := &offer{description: d, protocol: protocol}
	whole := takeDirection(&d.Attributes)
	kinds, media, disabled := map[string]bool{}, false, false
	var mids []string
	for _, m := range d.MediaDescriptions {
		kind := m.MediaName.Media
		if kinds[kind] {
			return nil, refuse(http.StatusUnprocessableEntity, fmt.Sprintf("the offer has several m-sections of %s, want one track of a kind at most", signal.Printable(kind)))
		}
		kinds[kind] = true
		off := m.MediaName.Port.Value == 0 && !hasAttribute(m.Attributes, "bundle-only") // RFC 9143 section 6
		if mid, _ := m.Attribute("mid"); !off {
			mids = append(mids, mid)
		}
		switch kind {
		case "audio", "video":
			direction := takeDirection(&m.Attributes)
			if direction == "" {
				direction = whole
			}
			if off {
				direction, disabled = "inactive", true
			}
			kept, ok := o.limitDirection(direction)
			if !ok {
				return nil, refuse(http.StatusUnprocessableEntity, fmt.Sprintf("the offer has %s of direction %s, want %s", kind, direction, o.direction()))
			}
			m.Attributes = append(m.Attributes, sdp.NewPropertyAttribute(kept))
			media = media || kept == o.direction()
			if _, ok := m.Attribute("rtcp-mux"); !ok && !off {
				return nil, refuse(http.StatusUnprocessableEntity, fmt.Sprintf("the offer has %s without rtcp-mux, which is required (RFC 9725 section 4.4)", kind))
			}
		case "application":
		default:
			return nil, refuse(http.StatusUnprocessableEntity, fmt.Sprintf("the offer has an m-section of %s, want audio and video", signal.Printable(kind)))
		}
		if hasAttribute(m.Attributes, "end-of-candidates") {
			o.complete = true
		}
	}
	switch {
	case !media && disabled:
		return nil, refuse(http.StatusUnprocessableEntity, "the offer has no audio or video that is "+o.direction()+": port 0 disables an m-section without bundle-only")
	case !media:
		return nil, refuse(http.StatusUnprocessableEntity, "the offer has no audio or video that is "+o.direction())
	case len(mids) > 1 && !bundles(d, mids):
		return nil, refuse(http.StatusUnprocessableEntity, "the offer does not bundle all m-sections, which is required (RFC 9725 section 4.4)")
	}
	if o.ufrag = o.first("ice-ufrag"); o.ufrag == "" || o.first("ice-pwd") == "" || o.first("fingerprint") == "" {
		return nil, refuse(http.StatusUnprocessableEntity, "the offer has no ICE credentials or no fingerprint")
	}
	trickle := strings.Contains(o.first("ice-options"), "trickle") // libdatachannel writes ice2,trickle
	o.complete = o.complete || !trickle && o.first("candidate") != ""
	o.setTrickle()
	return o, nil
}

// setTrickle makes the user answer at once: its candidates are waited for here.
func (o *offer) setTrickle() {
	isOptions := func(a sdp.Attribute) bool { return a.Key == "ice-options" }
	d := o.description
	for _, m := range d.MediaDescriptions {
		m.Attributes = slices.DeleteFunc(m.Attributes, isOptions)
	}
	d.Attributes = append(slices.DeleteFunc(d.Attributes, isOptions), sdp.NewAttribute("ice-options", "trickle"))
}

// direction returns the direction of media in an offer of the protocol.
func (o *offer) direction() string {
	if o.protocol == whip.Publish {
		return "sendonly"
	}
	return "recvonly"
}

// limitDirection returns the direction that is forwarded for one of the client, and false for one
// that is of the other protocol.
func (o *offer) limitDirection(d string) (string, bool) {
	switch d {
	case "", "sendrecv", o.direction():
		return o.direction(), true
	case "inactive":
		return d, true
	}
	return "", false
}

// first returns the value of an attribute: of the session, or of the first m-section that has it.
func (o *offer) first(key string) string { return firstAttribute(o.description, key) }

func firstAttribute(d *sdp.SessionDescription, key string) string {
	if value, ok := d.Attribute(key); ok {
		return value
	}
	for _, m := range d.MediaDescriptions {
		if value, ok := m.Attribute(key); ok {
			return value
		}
	}
	return ""
}

// text returns the offer as it is forwarded.
func (o *offer) text() (string, error) {
	text, err := o.description.Marshal()
	return string(text), err
}

// section returns the index and mid of the m-section that a candidate of a client belongs to: the
// first one unless mid is that of another.
func (o *offer) section(mid string) (index uint16, name string) {
	for i, m := range o.description.MediaDescriptions {
		if value, _ := m.Attribute("mid"); value == mid && mid != "" {
			return uint16(i), mid
		}
	}
	name, _ = o.description.MediaDescriptions[0].Attribute("mid")
	return 0, name
}

// restarted returns the offer with other ICE credentials and candidates (RFC 9725 section 4.3.3).
// version is how many offers there were.
func (o *offer) restarted(f *whip.Fragment, version uint64) (*offer, error) {
	text, err := o.text()
	if err != nil {
		return nil, err
	}
	d := &sdp.SessionDescription{}
	if err := d.UnmarshalString(text); err != nil {
		return nil, err
	}
	d.Origin.SessionVersion = o.description.Origin.SessionVersion + version
	replace := func(list []sdp.Attribute) []sdp.Attribute {
		list = slices.DeleteFunc(list, func(a sdp.Attribute) bool { return a.Key == "candidate" || a.Key == "end-of-candidates" })
		for i, a := range list {
			switch a.Key {
			case "ice-ufrag":
				list[i].Value = f.Ufrag
			case "ice-pwd":
				list[i].Value = f.Pwd
			}
		}
		return list
	}
	d.Attributes = replace(d.Attributes)
	for _, m := range d.MediaDescriptions {
		m.Attributes = replace(m.Attributes)
	}
	next := &offer{description: d, protocol: o.protocol, ufrag: f.Ufrag, complete: f.End}
	for _, c := range f.Candidates {
		index, _ := next.section(c.Mid)
		m := d.MediaDescriptions[index]
		m.Attributes = append(m.Attributes, sdp.NewAttribute("candidate", strings.TrimPrefix(c.Line, "candidate:")))
	}
	return next, nil
}

// takeDirection removes the direction attributes of a list and returns the last one, "" if there is
// none.
func takeDirection(list *[]sdp.Attribute) (direction string) {
	*list = slices.DeleteFunc(*list, func(a sdp.Attribute) bool {
		switch a.Key {
		case "sendrecv", "sendonly", "recvonly", "inactive":
			direction = a.Key
			return true
		}
		return false
	})
	return direction
}

// bundles reports whether a group of a description has all mids.
func bundles(d *sdp.SessionDescription, mids []string) bool {
	for _, a := range d.Attributes {
		words := strings.Fields(a.Value)
		if a.Key != "group" || len(words) == 0 || words[0] != "BUNDLE" {
			continue
		}
		return !slices.ContainsFunc(mids, func(mid string) bool { return mid == "" || !slices.Contains(words[1:], mid) })
	}
	return false
}

func hasAttribute(list []sdp.Attribute, key string) bool {
	return slices.ContainsFunc(list, func(a sdp.Attribute) bool { return a.Key == key })
}

// answer is the answer of a user to an offer.
type answer struct {
	description *sdp.SessionDescription
	candidates  []string // values of the attribute candidate, without repetitions
}

// parseAnswer reads the answer of a user to o, which may be in the trickled candidates in part. The
// error is a *refusal.
func parseAnswer(o *offer, text string, trickled []string) (*answer, error) {
	d := &sdp.SessionDescription{}
	if err := d.UnmarshalString(text); err != nil {
		return nil, refuse(http.StatusBadGateway, "the answer of the user is not SDP")
	}
	offered := o.description.MediaDescriptions
	if len(d.MediaDescriptions) != len(offered) {
		return nil, refuse(http.StatusBadGateway, fmt.Sprintf("the answer of the user has %d m-sections, want %d", len(d.MediaDescriptions), len(offered)))
	}
	a := &answer{description: d}
	whole := takeDirection(&d.Attributes)
	sends := false
	for i, m := range d.MediaDescriptions {
		for _, attribute := range m.Attributes {
			if attribute.Key == "candidate" {
				a.add(attribute.Value)
			}
		}
		m.Attributes = slices.DeleteFunc(m.Attributes, func(x sdp.Attribute) bool { return x.Key == "candidate" || x.Key == "end-of-candidates" })
		kind := m.MediaName.Media
		if kind != "audio" && kind != "video" {
			continue
		}
		direction := takeDirection(&m.Attributes)
		if direction == "" {
			if direction = whole; direction == "" {
				direction = "sendrecv"
			}
		}
		m.Attributes = append(m.Attributes, sdp.NewPropertyAttribute(direction))
		rejected := m.MediaName.Port.Value == 0
		_, inactive := offered[i].Attribute("inactive")
		switch {
		case o.protocol == whip.Publish && !inactive && (rejected || direction == "inactive" || direction == "sendonly"):
			return nil, refuse(http.StatusUnprocessableEntity, "the user does not take the "+kind+" of the offer: no codec in common, or none wanted")
		case !rejected && (direction == "sendonly" || direction == "sendrecv"):
			sends = true
		}
		if hasAttribute(offered[i].Attributes, "rtcp-mux-only") && !rejected && !hasAttribute(m.Attributes, "rtcp-mux-only") {
			m.Attributes = append(m.Attributes, sdp.NewPropertyAttribute("rtcp-mux-only"))
		}
	}
	if o.protocol == whip.Play && !sends {
		return nil, &refusal{status: http.StatusConflict, detail: "the user sends nothing that the offer can receive", retryAfter: retryLater}
	}
	for _, line := range trickled {
		a.add(strings.TrimPrefix(line, "candidate:"))
	}
	return a, nil
}

// add adds a candidate, unless it is known or cannot be in a description.
func (a *answer) add(value string) {
	words := strings.Fields(value)
	if len(words) < 8 || words[1] != "1" || signal.Printable(value) != value || len(value) > signal.MaxCandidate ||
		len(a.candidates) >= whip.MaxCandidates || slices.Contains(a.candidates, value) {
		return
	}
	a.candidates = append(a.candidates, value)
}

// text returns the answer with its candidates, those first that a client at the address of a
// request can use best. FFmpeg uses the first host candidate over UDP alone. If short, it is cut to
// what FFmpeg reads, by candidates from the end.
func (a *answer) text(local netip.Addr, short bool) (string, error) {
	slices.SortStableFunc(a.candidates, func(x, y string) int { return candidateRank(x, local) - candidateRank(y, local) })
	m := a.description.MediaDescriptions[0]
	for _, section := range a.description.MediaDescriptions {
		if section.MediaName.Port.Value != 0 {
			m = section
			break
		}
	}
	attributes := m.Attributes
	for n := len(a.candidates); ; n-- {
		m.Attributes = slices.Clip(attributes)
		for _, value := range a.candidates[:n] {
			m.Attributes = append(m.Attributes, sdp.NewAttribute("candidate", value))
		}
		m.Attributes = append(m.Attributes, sdp.NewPropertyAttribute("end-of-candidates"))
		text, err := a.description.Marshal()
		if err != nil || !short || len(text) <= maxShortAnswer || n <= 1 {
			m.Attributes = attributes
			return string(text), err
		}
	}
}

// fragment returns what the answer to an ICE restart has changed.
func (a *answer) fragment() *whip.Fragment {
	f := &whip.Fragment{Ufrag: firstAttribute(a.description, "ice-ufrag"), Pwd: firstAttribute(a.description, "ice-pwd"), End: true}
	for _, m := range a.description.MediaDescriptions {
		if m.MediaName.Port.Value == 0 {
			continue
		}
		mid, _ := m.Attribute("mid")
		for _, value := range a.candidates {
			f.Candidates = append(f.Candidates, whip.Candidate{Kind: m.MediaName.Media, Mid: mid, Line: "candidate:" + value})
		}
		break
	}
	return f
}

// candidateRank returns the position of a candidate in an answer to a request that came to the
// address local.
func candidateRank(value string, local netip.Addr) int {
	words := strings.Fields(value)
	if !strings.EqualFold(words[2], "udp") || words[7] != "host" {
		return 5
	}
	a, err := netip.ParseAddr(words[4])
	switch {
	case err != nil: // an mDNS name
		return 4
	case a.Unmap() == local.Unmap():
		return 0
	case a.IsLoopback() && !local.IsLoopback():
		return 6
	case a.IsLoopback():
		return 3
	case a.Unmap().Is4() == (!local.IsValid() || local.Unmap().Is4()):
		return 1
	}
	return 2
}

// hasCandidates reports whether a description has candidates.
func hasCandidates(text string) bool { return strings.Contains(text, "\na=candidate:") }
