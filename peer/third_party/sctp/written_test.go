// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"bytes"
	"testing"
)

// A packet is the same in the buffer of one that was written before, of any length.
func TestBuffersOfPackets(t *testing.T) {
	assoc := newBurstReceiver(t).assoc
	old := bytes.Repeat([]byte{0xff}, 1400)
	for _, size := range []int{1, 2, 3, 4, 100, 1147, 3000} {
		for _, length := range []int{0, 16, 1200, 1400} {
			p := &packet{
				sourcePort: defaultSCTPSrcDstPort, destinationPort: defaultSCTPSrcDstPort,
				chunks: []chunk{
					&chunkPayloadData{beginningFragment: true, endingFragment: true, userData: make([]byte, size)},
					&chunkSelectiveAck{cumulativeTSNAck: 1},
				},
			}
			assoc.sendZeroChecksum = size%2 == 0
			want, err := p.marshal(!assoc.sendZeroChecksum)
			if err != nil {
				t.Fatal(err)
			}
			assoc.written = [][]byte{append([]byte(nil), old[:length]...)}
			got, err := assoc.marshalPacket(p)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes in a buffer of %d: got %x, want %x", size, length, got, want)
			}
			if len(assoc.written) > 0 {
				t.Error("the buffer was not taken")
			}
		}
	}
}
