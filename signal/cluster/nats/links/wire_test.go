package links

import (
	"bytes"
	"testing"

	"parley/signal/cluster"
)

// FuzzParseBatch parses batches of hostile nodes. What can be parsed has no more bytes than were
// given, and a message comes back as it was.
func FuzzParseBatch(f *testing.F) {
	head := appendHeader(nil, header{
		from: cluster.SessionID{Node: cluster.NodeID{1}, Number: 1}, to: cluster.SessionID{Node: cluster.NodeID{2}, Number: 2}, epoch: 3, first: 1,
	})
	m := cluster.Message{Kind: cluster.Offer, Reason: cluster.HungUp, FromName: "alice", Call: 1 << 63, PeerCall: 7, Payload: []byte("{}")}
	f.Add(appendMessage(bytes.Clone(head), &m))
	f.Add(appendEnd(appendLost(bytes.Clone(head), cluster.Name{Space: "call", Text: "alice"}, 9, &m)))
	f.Add(head)
	f.Add([]byte{version + 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		h, frames, err := parseBatch(data)
		if err != nil {
			return
		}
		size := 0
		again := appendHeader(nil, h)
		for _, frame := range frames {
			size += len(frame.message.Payload) + len(frame.message.FromName)
			switch frame.message.Kind {
			case kindEnd:
				again = appendEnd(again)
			case kindLost:
				again = appendLost(again, frame.name, frame.revision, &frame.message.Message)
			default:
				again = appendMessage(again, &frame.message.Message)
			}
		}
		if size > len(data) {
			t.Errorf("%d bytes of messages from a batch of %d", size, len(data))
		}
		if len(again) > len(data) { // a varint may have been longer than it had to be
			t.Errorf("a batch of %d bytes has %d when it is written again", len(data), len(again))
		}
	})
}
