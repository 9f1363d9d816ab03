//go:build !quick

package client_test

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// TestExactlyOnce lets two clients talk over a network that breaks all the time: no message is
// lost, doubled or out of order, in either direction and in either dialect. PARLEY_CUTS is how
// often it breaks.
func TestExactlyOnce(t *testing.T) {
	want := 100
	if s := os.Getenv("PARLEY_CUTS"); s != "" {
		var err error
		if want, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	var cuts atomic.Int64
	for first := uint64(0); cuts.Load() < int64(want) && !t.Failed(); first += parallelCalls {
		t.Run(fmt.Sprintf("seeds from %d", first), func(t *testing.T) { cuts.Add(int64(breakCalls(t, first))) })
	}
	t.Logf("the network broke %d times", cuts.Load())
}
