// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The next chunk is the first one of the stream whose first chunk finishes first, with chunks pushed
// at any time, by a model that keeps the finish of each chunk and of each stream.
func TestNextStream(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec
	weights := map[uint16]uint16{3: 7, 5: 2}
	q := newWeightedFairQueueingPendingQueuePolicy(weights)
	streams := map[uint16][]*chunkPayloadData{}
	finishes := map[*chunkPayloadData]float64{}
	streamFinish := map[uint16]float64{}
	virtualTime := 0.0
	push := func(n int) {
		for range n {
			id := uint16(random.IntN(50)) //nolint:gosec
			chunk := &chunkPayloadData{streamIdentifier: id, userData: make([]byte, 1+random.IntN(1200))}
			q.Push(chunk)
			streams[id] = append(streams[id], chunk)
			streamFinish[id] = math.Max(virtualTime, streamFinish[id]) +
				float64(len(chunk.userData))/math.Max(1, float64(weights[id]))
			finishes[chunk] = streamFinish[id]
		}
	}
	push(500)
	for popped := 0; ; popped++ {
		var want *chunkPayloadData
		for _, chunks := range streams {
			if len(chunks) == 0 {
				continue
			}
			c := chunks[0]
			if want == nil || finishes[c] < finishes[want] ||
				finishes[c] == finishes[want] && c.streamIdentifier < want.streamIdentifier {
				want = c
			}
		}
		got := q.Peek()
		if got == nil {
			if popped < 1000 || want != nil || len(q.tails) > 0 {
				t.Errorf("no chunk after %d, want %v, with %d streams left", popped, want, len(q.tails))
			}

			return
		}
		if got.chunkPayloadData() != want {
			t.Fatalf("chunk %d: got stream %d, want %d", popped, got.StreamIdentifier(), want.streamIdentifier)
		}
		if popped < 600 {
			push(random.IntN(3)) // between Peek and Pop
		}
		if q.Peek() != got {
			t.Fatal("another chunk was selected before Pop")
		}
		if err := q.Pop(got); err != nil {
			t.Fatal(err)
		}
		streams[want.streamIdentifier] = streams[want.streamIdentifier][1:]
		virtualTime = math.Max(virtualTime, finishes[want])
	}
}
