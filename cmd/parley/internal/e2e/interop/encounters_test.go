//go:build unix

package interop

import (
	"fmt"
	"slices"
	"strings"
)

// An encounter is one call with a peer that is not ours: who it is, whether that side offers, and
// what the call is about.
type encounter struct {
	Peer   string `json:"peer"`
	Offers bool   `json:"offers"`
	What   string `json:"what"`
}

func (c encounter) String() string {
	role := "answers"
	if c.Offers {
		role = "offers"
	}
	return c.Peer + "/" + role + "/" + c.What
}

// interopPeers are the peers of the matrix, in the order of its rows.
func interopPeers() []string {
	return []string{"chromium", "firefox", "libwebrtc", "aiortc", "gstreamer", "janus", "libdatachannel", "werift"}
}

// interopColumns are what the calls of the matrix are about, with the head of the column.
func interopColumns() [][2]string {
	return [][2]string{
		{"data", "text"}, {"complete", "text, no trickle"}, {"relay", "text, relayed"}, {"hello", "text, relay dialect"}, {"restart", "ICE restart"},
		{"audio", "Opus"}, {"VP8", "VP8"}, {"VP9", "VP9"}, {"H264", "H.264"}, {"AV1", "AV1"}, {"all", "all at once"},
	}
}

// coreEncounters are those of the matrix that every run of the tests has; browsers have tests of
// their own.
func coreEncounters() (encounters []encounter) {
	for _, peer := range []string{"aiortc", "gstreamer"} {
		for _, offers := range []bool{false, true} {
			encounters = append(encounters, encounter{peer, offers, "data"}, encounter{peer, offers, "all"})
		}
	}
	return append(encounters, encounter{"janus", false, "all"}, encounter{"janus", true, "VP8"})
}

// encountersOf are those that PARLEY_INTEROP asks for.
func encountersOf(only string) []encounter {
	switch only {
	case "":
		return coreEncounters()
	case "all":
		return allEncounters()
	}
	return slices.DeleteFunc(allEncounters(), func(c encounter) bool { return !strings.Contains(c.String(), only) })
}

func allEncounters() (encounters []encounter) {
	for _, peer := range interopPeers() {
		for _, offers := range []bool{false, true} {
			for _, column := range interopColumns() {
				encounters = append(encounters, encounter{peer, offers, column[0]})
			}
		}
	}
	return encounters
}

// audio reports whether a call has audio, video the codec of its video, and data if it has a
// channel.
func (c encounter) audio() bool { return c.What == "audio" || c.What == "all" }

func (c encounter) video() string {
	switch {
	case c.What == "all":
		return "VP8"
	case slices.Contains([]string{"VP8", "VP9", "H264", "AV1"}, c.What):
		return c.What
	}
	return ""
}

func (c encounter) data() bool {
	return !slices.Contains([]string{"audio", "VP8", "VP9", "H264", "AV1"}, c.What)
}

// reflects reports whether a peer has no codecs of its own, and sends back what it gets.
func (c encounter) reflects() bool {
	return slices.Contains([]string{"libdatachannel", "werift"}, c.Peer) || c.Peer == "janus" && !c.Offers
}

// oneWay reports whether a peer takes no media while it offers some.
func (c encounter) oneWay() bool { return c.Peer == "janus" && c.Offers }

// toneOfPeer is the frequency of its audio, in Hz; ours is ourTone.
func (c encounter) toneOfPeer() int {
	switch {
	case c.reflects():
		return ourTone
	case c.Peer == "chromium":
		return 400
	}
	return 440
}

const ourTone = 600

// expectations are the --expect of our side, what the peer observes comes in unseen.
func (c encounter) expectations() (all []string) {
	if c.audio() {
		all = append(all, fmt.Sprintf("audio.tone=%d", c.toneOfPeer()), "audio.codec=opus")
	}
	if v := c.video(); v != "" {
		all = append(all, "video.frames>=10", "video.codec="+v)
	}
	if c.data() {
		all = append(all, "text~"+c.textOfPeer())
	}
	return all
}

func (c encounter) textOfPeer() string {
	switch {
	case c.What == "hello":
		return "hello world!|from"
	case c.Peer == "janus" && !c.Offers:
		return "You wrote: " + ourText
	}
	return "from " + c.Peer
}

// ourText is what we say.
const ourText = "from parley"

// unseen is what the peer does not report, "" if nothing is missing.
func (c encounter) unseen(saw map[string]any) string {
	var missing []string
	need := func(ok bool, what string) {
		if !ok {
			missing = append(missing, what)
		}
	}
	atLeast := func(key string, n float64) bool { v, _ := saw[key].(float64); return v >= n }
	within := func(key string, want, by float64) bool {
		v, _ := saw[key].(float64)
		return v >= want*(1-by) && v <= want*(1+by)
	}
	need(saw["connected"] == true, "a connection")
	if c.data() && c.Peer != "janus" { // whose answer has what it heard in it
		need(saw["text"] == ourText, "our text")
	}
	switch rtp := c.reflects(); {
	case c.oneWay():
	case rtp:
		need(!c.audio() || atLeast("audio_packets", 10), "packets of our audio")
		need(c.video() == "" || atLeast("video_packets", 10), "packets of our video")
	default:
		need(!c.audio() || within("tone", ourTone, 0.05), fmt.Sprintf("our tone of %d Hz", ourTone))
		need(c.video() == "" || atLeast("frames", 10) && saw["size"] == "320x240", "ten frames of our video")
		need(c.video() == "" || saw["codec"] == nil || saw["codec"] == c.video(), "the codec "+c.video())
	}
	return strings.Join(missing, ", ")
}
