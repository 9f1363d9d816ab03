package mediain

import (
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"parley/media"
	"parley/media/receiver"
	"parley/peer"
)

// layers are what the layers of one track (simulcast) share: the largest that comes is recorded and
// shown.
type layers map[*webrtc.RTPReceiver][]*receiver.SimulcastSelector

// sinks are those of a track that make is asked for once, for all of its layers. request asks for a
// key frame of the layer, and what make gets, for one of what the sinks see.
func (l layers) sinks(e peer.TrackReceived, request func(), make func(request func()) []media.FrameSink) (all []media.FrameSink, first bool) {
	if e.RID == "" {
		return make(request), true
	}
	shared, known := l[e.Receiver]
	if !known {
		for _, sink := range make(func() {
			for _, h := range shared {
				h.RequestKeyFrame()
			}
		}) {
			shared = append(shared, receiver.NewSimulcastSelector(sink))
		}
		l[e.Receiver] = shared
	}
	for _, h := range shared {
		all = append(all, h.Layer(request))
	}
	return all, !known
}

// layerReports are the reports of one layer. Reading a receiver's own panics when what it receives
// has layers.
type layerReports struct {
	receiver *webrtc.RTPReceiver
	rid      string
}

func reportsOf(e peer.TrackReceived) receiver.RTCPReader {
	if rid := e.Track.RID(); rid != "" {
		return layerReports{e.Receiver, rid}
	}
	return e.Receiver
}

// ReadRTCP implements receiver.RTCPReader.
func (l layerReports) ReadRTCP() ([]rtcp.Packet, interceptor.Attributes, error) {
	return l.receiver.ReadSimulcastRTCP(l.rid)
}

// SetReadDeadline implements receiver.RTCPReader.
func (l layerReports) SetReadDeadline(t time.Time) error {
	return l.receiver.SetReadDeadlineSimulcast(t, l.rid)
}
