// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package sctp

import (
	"math"
	"math/rand/v2"
	"testing"
)

// The next chunk is of the stream whose first chunk finishes first, with chunks pushed at any time.
func TestNextStream(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec
	q := newWeightedFairQueueingPendingQueuePolicy(map[uint16]uint16{3: 7, 5: 2})
	push := func(n int) {
		for range n {
			q.Push(&chunkPayloadData{streamIdentifier: uint16(random.IntN(50)), userData: make([]byte, 1+random.IntN(1200))}) //nolint:gosec
		}
	}
	push(500)
	for popped := 0; ; popped++ {
		want, finish := uint16(0), math.Inf(1)
		for id, queue := range q.streamQueues {
			if f := q.chunkFinish[queue.get(0)]; f < finish || f == finish && id < want {
				want, finish = id, f
			}
		}
		got := q.Peek()
		if got == nil {
			if popped < 1000 || len(q.streamQueues) > 0 {
				t.Errorf("no chunk after %d, with %d streams left", popped, len(q.streamQueues))
			}

			return
		}
		if got.StreamIdentifier() != want {
			t.Fatalf("chunk %d: got stream %d, want %d", popped, got.StreamIdentifier(), want)
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
	}
}
