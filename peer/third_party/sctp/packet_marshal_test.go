// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"bytes"
	"testing"
)

// A packet with chunks of data and of control, with padding or without it, is read as it was
// written, and takes one allocation if it has data only.
func TestPacketOfData(t *testing.T) {
	for size := range 9 {
		data := func(iData bool) *chunkPayloadData {
			return &chunkPayloadData{
				iData: iData, tsn: 1 << 31, streamIdentifier: 2, streamSequenceNumber: 3, messageIdentifier: 3,
				beginningFragment: true, unordered: true, payloadType: PayloadTypeWebRTCBinary,
				userData: bytes.Repeat([]byte{0xFF}, size),
			}
		}
		for _, iData := range []bool{false, true} {
			p := &packet{sourcePort: 1, destinationPort: 2, verificationTag: 3, chunks: []chunk{data(iData), data(iData)}}
			if n := testing.AllocsPerRun(100, func() { _, _ = p.marshal(true) }); n != 1 {
				t.Errorf("%d bytes: %v allocations, want 1", size, n)
			}
			p.chunks = append(p.chunks, &chunkCookieAck{}, data(iData))
			raw, err := p.marshal(true)
			if err != nil {
				t.Fatal(err)
			}
			var got packet
			if err := got.unmarshal(true, raw); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if len(got.chunks) != 4 {
				t.Fatalf("%d bytes: %d chunks, want 4", size, len(got.chunks))
			}
			for _, i := range []int{0, 1, 3} {
				c, want := got.chunks[i].(*chunkPayloadData), data(iData) //nolint:forcetypeassert
				if !bytes.Equal(c.userData, want.userData) || c.tsn != want.tsn || c.streamIdentifier != 2 || c.streamSequenceNumber != 3 ||
					c.payloadType != want.payloadType || !c.beginningFragment || c.endingFragment || !c.unordered || c.immediateSack || c.iData != iData {
					t.Errorf("%d bytes, I-DATA %t: chunk %d is %+v", size, iData, i, c)
				}
			}
		}
	}
}
