// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
)

// The counter of bytes in reassembly queues equals their sum after messages that are complete or
// not, in any order and twice, reads, skipped messages, resets and the end of streams.
func TestBytesQueued(t *testing.T) {
	for _, interleaving := range []bool{false, true} {
		conn, other := net.Pipe()
		t.Cleanup(func() { _ = conn.Close(); _ = other.Close() })
		assoc, err := createServerAssociation(Config{NetConn: conn, MaxReceiveBufferSize: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(assoc.closeAllTimers)
		queues := &queuesTest{T: t, assoc: assoc, random: rand.New(rand.NewPCG(3, 4)), interleaving: interleaving} //nolint:gosec
		for i := range 4_000 {
			queues.step()
			queues.check(i)
		}
		if queues.read == 0 || queues.readAfterReset == 0 || queues.skipped == 0 {
			t.Errorf("interleaving %t: %d bytes read, %d of reset streams, %d skipped", interleaving, queues.read, queues.readAfterReset, queues.skipped)
		}
	}
}

// queuesTest is an association with streams to which things happen.
type queuesTest struct {
	*testing.T
	assoc                         *Association
	random                        *rand.Rand
	interleaving                  bool
	tsn                           uint32
	reset                         []*Stream // that no longer belong to the association
	read, readAfterReset, skipped int
}

// check compares the counter with the sum.
func (q *queuesTest) check(step int) {
	var sum int
	for _, s := range q.assoc.streams {
		sum += s.getNumBytesInReassemblyQueue()
	}
	if got := int(q.assoc.bytesQueued.Load()); got != sum {
		q.Fatalf("interleaving %t, step %d: %d bytes counted, want %d", q.interleaving, step, got, sum)
	}
	if got := int(q.assoc.getMyReceiverWindowCredit()); got != max(0, 1<<20-sum) {
		q.Fatalf("step %d: window of %d bytes with %d in use", step, got, sum)
	}
}

// step does one thing to one stream.
func (q *queuesTest) step() {
	id := uint16(q.random.IntN(8)) //nolint:gosec
	s := q.assoc.getOrCreateStream(id, false, PayloadTypeWebRTCBinary)
	s.unordered = id%2 == 1
	before := s.getNumBytesInReassemblyQueue()
	switch n := q.random.IntN(100); {
	case n < 60:
		q.receive(s)
	case n < 80:
		q.read += q.readFrom(s)
	case n < 90:
		q.skip(s)
		q.skipped += before - s.getNumBytesInReassemblyQueue()
	case n < 92 && len(q.reset) > 0:
		q.readAfterReset += q.readFrom(q.reset[q.random.IntN(len(q.reset))])
	case n == 92:
		s.onInboundStreamReset()
		delete(q.assoc.streams, id)
		q.reset = append(q.reset, s)
	case n == 93:
		q.assoc.unregisterStream(s, net.ErrClosed)
		q.reset = append(q.reset, s)
	case n == 94:
		for _, id := range slices.Collect(maps.Keys(q.assoc.streams)) {
			q.assoc.unregisterStream(q.assoc.streams[id], net.ErrClosed)
		}
	}
}

// receive hands the fragments of a message to a stream, some lost, some twice, in some order.
func (q *queuesTest) receive(s *Stream) {
	fragments := 1 + q.random.IntN(4)
	chunks := make([]*chunkPayloadData, 0, fragments)
	for i := range fragments {
		q.tsn++
		chunk := &chunkPayloadData{
			streamIdentifier: s.streamIdentifier, tsn: q.tsn, unordered: s.unordered,
			beginningFragment: i == 0, endingFragment: i == fragments-1, userData: make([]byte, 1+q.random.IntN(1200)),
			streamSequenceNumber: s.sequenceNumber, messageIdentifier: s.nextOrderedMID, fragmentSequenceNumber: uint32(i), //nolint:gosec
		}
		if q.interleaving {
			chunk.typ = ctIData
		}
		for range q.random.IntN(20) / 9 {
			chunks = append(chunks, chunk)
		}
		if q.random.IntN(10) > 0 {
			chunks = append(chunks, chunk)
		}
	}
	s.sequenceNumber++
	s.nextOrderedMID++
	if q.random.IntN(2) == 0 {
		q.random.Shuffle(len(chunks), func(i, j int) { chunks[i], chunks[j] = chunks[j], chunks[i] })
	}
	for _, c := range chunks {
		if err := s.handleData(c); err != nil {
			q.Fatal(err)
		}
	}
}

// readFrom reads a message if there is one, sometimes into too short a buffer.
func (q *queuesTest) readFrom(s *Stream) int {
	if !s.reassemblyQueue.isReadable() {
		return 0
	}
	n, _, err := s.ReadSCTP(make([]byte, q.random.IntN(3)*2400))
	if err != nil {
		return 0
	}

	return n
}

// skip lets the peer give up what it has sent.
func (q *queuesTest) skip(s *Stream) {
	switch {
	case q.interleaving && s.unordered:
		s.handleForwardTSNForUnorderedMID(s.nextOrderedMID - 1)
	case q.interleaving:
		s.handleForwardTSNForOrderedMID(s.nextOrderedMID - 1)
	case s.unordered:
		s.handleForwardTSNForUnordered(q.tsn)
	default:
		s.handleForwardTSNForOrdered(s.sequenceNumber - 1)
	}
}
