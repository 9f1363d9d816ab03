// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"io"
	"net"
	"testing"
)

// burstReceiver is an association that receives packets with DATA chunks, and its connection.
type burstReceiver struct {
	*testing.T
	net.Conn
	assoc *Association
	tsn   uint32
	waits bool                  // a packet waits
	next  func() ([]byte, bool) // returns what waits, false at the end
}

func (r *burstReceiver) PacketWaits() bool { return r.waits }

func (r *burstReceiver) ReadPacket() ([]byte, error) {
	if b, ok := r.next(); ok {
		return b, nil
	}

	return nil, io.EOF
}

func newBurstReceiver(t *testing.T) *burstReceiver {
	t.Helper()
	conn, other := net.Pipe()
	t.Cleanup(func() { _ = conn.Close(); _ = other.Close() })
	r := &burstReceiver{T: t, Conn: conn}
	assoc, err := createServerAssociation(Config{NetConn: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(assoc.closeAllTimers)
	assoc.setState(established)
	assoc.sourcePort, assoc.destinationPort = defaultSCTPSrcDstPort, defaultSCTPSrcDstPort
	assoc.payloadQueue.init(0)
	r.assoc = assoc

	return r
}

// packet returns a packet with the next DATA chunk.
func (r *burstReceiver) packet(immediate bool) []byte {
	r.tsn++
	raw, err := r.assoc.marshalPacket(&packet{
		sourcePort: defaultSCTPSrcDstPort, destinationPort: defaultSCTPSrcDstPort, verificationTag: r.assoc.myVerificationTag,
		chunks: []chunk{&chunkPayloadData{
			tsn: r.tsn, beginningFragment: true, endingFragment: true, immediateSack: immediate, unordered: true,
			payloadType: PayloadTypeWebRTCBinary, userData: []byte("x"),
		}},
	})
	if err != nil {
		r.Fatal(err)
	}

	return raw
}

// sacked handles a packet, and reports whether a SACK was due then, which it takes.
func (r *burstReceiver) sacked(raw []byte) bool {
	r.Helper()
	if err := r.assoc.handleInbound(raw); err != nil {
		r.Fatal(err)
	}
	select {
	case <-r.assoc.awakeWriteLoopCh:
	default:
		return false
	}
	before := r.assoc.stats.getNumSACKsSent()
	if packets, _ := r.assoc.gatherOutbound(); len(packets) != 1 || r.assoc.stats.getNumSACKsSent() != before+1 {
		r.Fatalf("tsn %d: %d packets, %d SACKs", r.tsn, len(packets), r.assoc.stats.getNumSACKsSent()-before)
	}

	return true
}

// unacknowledged handles packets until there is a SACK, and returns their number.
func (r *burstReceiver) unacknowledged() int {
	r.Helper()
	for n := 1; n < 100; n++ {
		if r.sacked(r.packet(false)) {
			return n
		}
	}
	r.Fatal("no SACK for 100 packets")

	return 0
}

// One SACK acknowledges packets that arrive together, but for the first ones, those after a gap, and
// those whose sender wants one.
func TestSackOfBurst(t *testing.T) {
	r := newBurstReceiver(t)
	for _, waits := range []bool{false, true, false} {
		r.waits = waits
		for range minPacketsInOrder / 2 / 3 {
			if n := r.unacknowledged(); n > 2 {
				t.Fatalf("tsn %d: %d packets by one SACK at the beginning", r.tsn, n)
			}
		}
	}
	for i := range 50 {
		r.waits = true
		n := r.unacknowledged()
		if i > 2 && n != maxPacketsPerSack {
			t.Fatalf("tsn %d: %d packets by one SACK, want %d", r.tsn, n, maxPacketsPerSack)
		}
		if r.waits = false; r.unacknowledged() > 2 {
			t.Fatalf("tsn %d: more than two packets by one SACK although none waits", r.tsn)
		}
	}
	if r.waits = true; !r.sacked(r.packet(true)) {
		t.Error("no SACK for a packet whose sender wants one")
	}
	lost := r.packet(false)
	for range 20 {
		if !r.sacked(r.packet(false)) {
			t.Fatalf("tsn %d: no SACK after a gap", r.tsn)
		}
	}
	r.sacked(lost)
	for range minPacketsInOrder/2 - 20 {
		if n := r.unacknowledged(); n > 2 {
			t.Fatalf("tsn %d: %d packets by one SACK soon after a gap", r.tsn, n)
		}
	}
	for range 30 {
		r.unacknowledged()
	}
	if n := r.unacknowledged(); n != maxPacketsPerSack {
		t.Errorf("tsn %d: %d packets by one SACK long after a gap", r.tsn, n)
	}
}

// A deferred SACK is sent also if what waited is no packet.
func TestDeferredSack(t *testing.T) {
	for name, raw := range map[string][]byte{"too short": {1, 2, 3}, "a wrong checksum": make([]byte, 16)} {
		t.Run(name, func(t *testing.T) {
			r := newBurstReceiver(t)
			r.waits = true
			for range minPacketsInOrder {
				r.unacknowledged()
			}
			r.assoc.packetsSinceSack, r.assoc.ackState = 0, ackStateIdle
			step, deferred := 0, false
			r.next = func() ([]byte, bool) {
				step++
				switch step {
				case 1, 2, 3:
					return r.packet(false), true
				case 4:
					deferred = r.assoc.sackDeferred && len(r.assoc.awakeWriteLoopCh) == 0

					return raw, true
				default:
					if !deferred || len(r.assoc.awakeWriteLoopCh) == 0 {
						t.Errorf("after three packets a SACK was deferred: %t; after the fourth it is due: %t", deferred, len(r.assoc.awakeWriteLoopCh) > 0)
					}

					return nil, false
				}
			}
			r.assoc.readLoop()
		})
	}
}
