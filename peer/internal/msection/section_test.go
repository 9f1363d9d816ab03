package msection

import (
	"slices"
	"testing"

	"github.com/pion/sdp/v3"
)

// attributesOf returns the attributes of a section as they are written.
func attributesOf(m *sdp.MediaDescription) (all []string) {
	for _, a := range m.Attributes {
		all = append(all, a.String())
	}
	return all
}

// What a section says is edited, and what it says of other things stays.
func TestEdits(t *testing.T) {
	for name, c := range map[string]struct {
		edit       func(m *sdp.MediaDescription)
		have, want []string
	}{
		"the first source and what repairs it": {
			KeepFirstSource,
			[]string{"mid:0", "ssrc-group:FID 1 2", "ssrc-group:SIM 1 3", "ssrc:1 cname:a", "ssrc:2 cname:a", "ssrc:3 cname:a"},
			[]string{"mid:0", "ssrc-group:FID 1 2", "ssrc:1 cname:a", "ssrc:2 cname:a"},
		},
		"header extensions of one byte": {
			DropTwoByteExtensions,
			[]string{"extmap:14/sendonly urn:a", "extmap:15 urn:b", "extmap:x urn:c", "mid:0"},
			[]string{"extmap:14/sendonly urn:a", "mid:0"},
		},
		"each payload type once": {
			DropRepeatedFormats,
			[]string{"rtpmap:96 VP8/90000", "rtcp-fb:96 nack", "rtcp-fb:96 nack", "rtcp-fb:96 nack pli", "rtpmap:96 VP8/90000", "mid:0"},
			[]string{"rtpmap:96 VP8/90000", "rtcp-fb:96 nack", "rtcp-fb:96 nack pli", "mid:0"},
		},
		"no track": {
			func(m *sdp.MediaDescription) { RemoveTrack(m, "0") },
			[]string{"msid:s t", "ssrc:1 cname:a", "ssrc:1 msid:s t"},
			[]string{"ssrc:1 cname:a", "msid:- 0"},
		},
		"another direction": {
			func(m *sdp.MediaDescription) { SetDirection(m, Direction(m, &sdp.SessionDescription{})) },
			[]string{"mid:0", "recvonly", "rtcp-mux"},
			[]string{"mid:0", "recvonly", "rtcp-mux"},
		},
		"a direction that was not there": {
			func(m *sdp.MediaDescription) {
				s := &sdp.SessionDescription{Attributes: []sdp.Attribute{sdp.NewPropertyAttribute("inactive")}}
				SetDirection(m, Direction(m, s))
			},
			[]string{"mid:0"},
			[]string{"mid:0", "inactive"},
		},
		"what is offered": {
			func(m *sdp.MediaDescription) {
				KeepOffered(m, section(t, "video", "96", "extmap:5 urn:a", "rtpmap:96 VP8/90000"))
			},
			[]string{"extmap:3 urn:a", "extmap:4 urn:b", "rtpmap:96 VP8/90000", "rtpmap:97 rtx/90000", "rtcp-fb:* nack"},
			[]string{"extmap:3 urn:a", "rtpmap:96 VP8/90000", "rtcp-fb:* nack"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := section(t, "video", "96 97", c.have...)
			c.edit(m)
			if got := attributesOf(m); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestTracks(t *testing.T) {
	for want, attributes := range [][]string{
		{"ssrc:1 cname:a"},
		{"ssrc:1 msid:s t", "ssrc:2 msid:s t"},
		{"ssrc:1 msid:s t", "ssrc:2 msid:s u"},
	} {
		if got := Tracks(section(t, "video", "96", attributes...)); got != want {
			t.Errorf("%q: got %d tracks, want %d", attributes, got, want)
		}
	}
}

// The rejection of a section is no answer with a codec, and yet names one for Pion.
func TestNewRejected(t *testing.T) {
	m := NewRejected(section(t, "video", "96", "mid:1", "sendrecv", "rtpmap:96 VP8/90000", "rtcp-fb:96 nack"), "0")
	if !IsRejected(m) || Mid(m) != "0" || !slices.Equal(attributesOf(m), []string{"rtpmap:96 VP8/90000", "mid:0"}) {
		t.Errorf("got %+v with %q", m.MediaName, attributesOf(m))
	}
	if bundled := section(t, "video", "96", "bundle-only"); IsRejected(bundled) {
		t.Error("a section with a port is rejected")
	}
}
