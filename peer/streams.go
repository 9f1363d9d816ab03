package peer

import (
	"fmt"
	"slices"
	"sync"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/bwe"
	"parley/peer/internal/sender"
)

// streams are the tracks that a connection has or had, for its statistics:
// Pion forgets them when the other side closes.
type streams struct {
	mu  sync.Mutex // protects following
	out []*outStream
	in  []inStream
}

// outStream is a local track of the connection. Copies of it share all but the mid.
type outStream struct {
	*sender.Track
	rtp  *webrtc.RTPSender
	rate *bwe.Track
	mid  string
}

type inStream struct {
	track *webrtc.TrackRemote
	mid   string
}

func (s *streams) sends(out outStream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, &out)
}

// freeID is the ID of a track, or a variation of it if one of that stream has it already: Chromium takes no description
// in which two tracks have one name.
func (s *streams) freeID(t webrtc.TrackLocal) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := t.ID()
	for n := 2; slices.ContainsFunc(s.out, func(o *outStream) bool { return o.ID() == id && o.StreamID() == t.StreamID() }); n++ {
		id = fmt.Sprintf("%s-%d", t.ID(), n)
	}
	return id
}

func (s *streams) receives(track *webrtc.TrackRemote, mid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.in = append(s.in, inStream{track, mid})
}

// all are the streams; the mid of those that were negotiated since is noted.
func (s *streams) all(pc *webrtc.PeerConnection) ([]outStream, []inStream) {
	transceivers := pc.GetTransceivers()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []outStream
	for _, o := range s.out {
		for _, t := range transceivers {
			if t.Sender() == o.rtp && t.Mid() != "" {
				o.mid = t.Mid()
			}
		}
		out = append(out, *o)
	}
	return out, slices.Clone(s.in)
}
