package session

import (
	"context"
	"fmt"
	"slices"

	"parley/cmd/parley/internal/signaling"
	"parley/peer"
	"parley/peer/capture"
	"parley/peer/stats"
	"parley/signal"
)

// dumpStats writes the call to --stats-dump, if there is one.
func dumpStats(c *Session, conf peer.Config) {
	if c.resources.StatsDump == nil {
		return
	}
	config := capture.ConnectionConfig{RelayOnly: conf.ICE.RelayOnly}
	for _, server := range conf.ICE.Servers {
		config.ICEServers = append(config.ICEServers, server.URLs)
	}
	dump := c.resources.StatsDump.NewConnection(config)
	c.Observe(Observer{
		PeerEvent: func(e peer.Event) { dumpEvent(dump, e) },
		Stats:     func(r stats.Report) { dumpReport(dump, r) },
		End:       func() { dump.Write("close", nil) },
	})
	c.middleware = slices.Insert(c.middleware, 0, signaling.Middleware(dumpMiddleware{dump})) // next to the call
}

func dumpReport(dump *capture.Connection, r stats.Report) {
	objects := map[string]any{}
	for _, o := range r {
		objects[fmt.Sprint(o["id"])] = o
	}
	dump.WriteStats(objects)
}

// dumpMessage writes a message of the peer.
func dumpMessage(dump *capture.Connection, m signal.Message) {
	switch m.Type {
	case signal.Offer:
		dump.WriteRemoteDescription("offer", m.SDP)
	case signal.Answer:
		if x := m.Extension; x != nil && x.Rejected != "" {
			dump.Write("setLocalDescription", "type: rollback, "+x.Rejected)
			return
		}
		dump.WriteRemoteDescription("answer", m.SDP)
	case signal.ICECandidate:
		dump.Write("addIceCandidate", m.Candidate)
	}
}

func dumpEvent(dump *capture.Connection, e peer.Event) {
	switch e := e.(type) {
	case peer.StateChanged:
		dump.Write("onconnectionstatechange", e.State.String())
	case peer.ICEStateChanged:
		dump.Write("oniceconnectionstatechange", e.State.String())
	case peer.SignalingStateChanged:
		dump.Write("onsignalingstatechange", e.State.String())
	case peer.ChannelOpened:
		if e.Channel.OpenedByPeer() {
			dump.Write("ondatachannel", []any{nil, e.Channel.Label()})
		} else {
			dump.Write("createDataChannel", []any{e.Channel.Label()})
		}
	case peer.TrackReceived:
		dump.Write("ontrack", []any{e.Track.Kind().String(), e.Track.ID(), e.Track.StreamID()})
	case peer.TrackSending:
		dump.Write("addTrack", []any{e.Track.Kind().String(), e.Track.ID(), e.Track.StreamID()})
	}
}

// dumpMiddleware writes the messages of a call to the dump.
type dumpMiddleware struct{ dump *capture.Connection }

// Send implements middleware.
func (d dumpMiddleware) Send(ctx context.Context, m signal.Message, next signaling.SendFunc) error {
	switch m.Type {
	case signal.Offer:
		d.dump.WriteLocalDescription("offer", m.SDP)
	case signal.Answer:
		if x := m.Extension; x != nil && x.Rejected != "" {
			d.dump.Write("setRemoteDescriptionOnFailure", x.Rejected)
		} else {
			d.dump.WriteLocalDescription("answer", m.SDP)
		}
	case signal.ICECandidate:
		d.dump.Write("onicecandidate", signaling.CandidateInit(m.Candidate))
	}
	return next(ctx, m)
}

// Deliver implements middleware.
func (d dumpMiddleware) Deliver(m signal.Message, next signaling.DeliverFunc) {
	dumpMessage(d.dump, m)
	next(m)
}
