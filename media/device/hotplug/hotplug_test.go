package hotplug

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReopen opens a device that is back after ten seconds, with at most two seconds between two
// attempts, and one that never comes back.
func TestReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, last := time.Now(), time.Now()
		open := func() error {
			if time.Since(last) > maxRetryDelay || time.Since(last) < MinRetryDelay {
				t.Errorf("an attempt %v after the one before", time.Since(last))
			}
			if last = time.Now(); time.Since(start) < 10*time.Second {
				return errors.New("not back")
			}
			return nil
		}
		if !Reopen(t.Context(), open) || time.Since(start) > 12*time.Second {
			t.Errorf("it was opened after %v", time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if Reopen(ctx, func() error { return errors.New("not back") }) {
			t.Error("Reopen reports true for a device that never came back")
		}
	})
}

// TestPresence watches a device that is lost already, and one that is lost later.
func TestPresence(t *testing.T) {
	var p Presence
	var first, second []bool
	p.Watch("first", func(gone bool) { first = append(first, gone) })
	p.Set(true)
	p.Set(true)
	p.Watch("second", func(gone bool) { second = append(second, gone) })
	p.Set(false)
	p.Watch("first", nil)
	p.Set(true)
	if len(first) != 2 || !first[0] || first[1] {
		t.Errorf("first got %v, want true and false", first)
	}
	if len(second) != 3 || !second[0] || second[1] || !second[2] {
		t.Errorf("second got %v, want true, false and true", second)
	}
}
