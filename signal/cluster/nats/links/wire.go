package links

import (
	"encoding/binary"
	"errors"

	"parley/signal/cluster"
)

// A batch is a header, and the messages one after the other. All numbers are big-endian; lengths
// and the numbers of calls are varints.
//
//	header   version 1, sender 16, receiver 16, epoch 8, number of the first message 8
//	message  kind 1, reason 1, call, call at the receiver, number, sender's name, payload
//	         a Rejoin or Rejoined has received and the session that is continued before the name
//	end      kind 1
//	lost     kind 1, reason 1, name space, name, revision
const (
	version     = 1
	headerSize  = 1 + 16 + 16 + 8 + 8
	maxMessages = 1024
)

// The kinds of messages between nodes, beside those of cluster.Message.
const (
	// kindEnd reports that the sender has ended.
	kindEnd cluster.Kind = 255 - iota
	// kindLost reports that the receiver has lost its name to the sender.
	kindLost
)

// header is the beginning of a batch.
type header struct {
	from, to     cluster.SessionID
	epoch, first uint64
}

// frame is a message of a batch.
type frame struct {
	message  message
	name     cluster.Name // of kindLost
	revision uint64       // of kindLost
}

// message is a cluster.Message without its sender.
type message struct{ cluster.Message }

// lost returns the message Lost that a frame of kindLost stands for.
func (m message) lost(from cluster.SessionID) cluster.Message {
	return cluster.Message{Kind: cluster.Lost, Reason: m.Reason, From: from, FromName: m.FromName}
}

func appendSession(b []byte, id cluster.SessionID) []byte {
	return binary.BigEndian.AppendUint64(append(b, id.Node[:]...), id.Number)
}

func appendHeader(b []byte, h header) []byte {
	b = append(b, version)
	b = appendSession(appendSession(b, h.from), h.to)
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, h.epoch), h.first)
}

func appendMessage(b []byte, m *cluster.Message) []byte {
	b = append(b, byte(m.Kind), byte(m.Reason))
	b = binary.AppendUvarint(binary.AppendUvarint(b, m.Call), m.PeerCall)
	b = binary.AppendUvarint(b, m.Number)
	if m.Kind == cluster.Rejoin || m.Kind == cluster.Rejoined {
		b = appendSession(binary.AppendUvarint(b, m.Received), m.Continues)
	}
	return appendBytes(appendBytes(b, m.FromName), m.Payload)
}

func appendEnd(b []byte) []byte { return append(b, byte(kindEnd)) }

func appendLost(b []byte, name cluster.Name, revision uint64, m *cluster.Message) []byte {
	b = append(b, byte(kindLost), byte(m.Reason))
	return binary.AppendUvarint(appendBytes(appendBytes(b, name.Space), name.Text), revision)
}

func appendBytes[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errBatch = errors.New("batch of another node: cut short, or of another version")

// parseBatch parses a batch. The payloads are parts of b.
func parseBatch(b []byte) (h header, frames []frame, err error) {
	r := reader{b: b}
	if r.byte() != version {
		return h, nil, errBatch
	}
	h.from, h.to, h.epoch, h.first = r.session(), r.session(), r.uint64(), r.uint64()
	if r.bad || h.first == 0 || h.epoch == 0 {
		return h, nil, errBatch
	}
	for len(r.b) > 0 && !r.bad {
		if len(frames) == maxMessages {
			return h, nil, errBatch
		}
		frames = append(frames, r.frame())
	}
	if r.bad || len(frames) == 0 || h.first+maxMessages < h.first {
		return h, nil, errBatch
	}
	return h, frames, nil
}

// reader reads from b. bad is set when b ends too early.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte { return r.take(r.uvarint()) }

func (r *reader) session() (id cluster.SessionID) {
	copy(id.Node[:], r.take(uint64(len(id.Node))))
	id.Number = r.uint64()
	return id
}

func (r *reader) frame() (f frame) {
	m := &f.message
	switch m.Kind = cluster.Kind(r.byte()); m.Kind {
	case kindEnd:
	case kindLost:
		m.Reason = cluster.Reason(r.byte())
		f.name = cluster.Name{Space: string(r.bytes()), Text: string(r.bytes())}
		f.revision = r.uvarint()
		m.FromName = f.name.Text
	default:
		m.Reason = cluster.Reason(r.byte())
		m.Call, m.PeerCall, m.Number = r.uvarint(), r.uvarint(), r.uvarint()
		if m.Kind == cluster.Rejoin || m.Kind == cluster.Rejoined {
			m.Received, m.Continues = r.uvarint(), r.session()
		}
		m.FromName, m.Payload = string(r.bytes()), r.bytes()
	}
	return f
}
