package decoder

import (
	"testing"
	"time"
)

// A picture that stands for much longer than those before is a freeze, unless it is a pause.
func TestFreezes(t *testing.T) {
	var f freezes
	now := time.Unix(1000, 0)
	for i, step := range []struct {
		ms   int
		want bool
	}{{0, false}, {40, false}, {40, false}, {180, false}, {40, false}, {400, true}, {6000, false}, {40, false}} {
		now = now.Add(time.Duration(step.ms) * time.Millisecond)
		if still, frozen := f.next(now); frozen != step.want {
			t.Errorf("step %d: a picture that stood %v is a freeze: %v", i, still, frozen)
		}
	}
}
