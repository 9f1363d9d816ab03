package bench

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	var names []string
	o := Options{Calls: 2, Length: time.Second, Logger: slog.New(slog.DiscardHandler)}
	err := Run(t.Context(), o, func(r Result) {
		names = append(names, r.Name)
		if r.Value <= 0 || r.Unit == "" || r.Description == "" {
			t.Errorf("got %+v, want a positive value, a unit and a description", r)
		}
	})
	want := []string{"setup.median", "setup.p95", "roundtrip.median", "roundtrip.p95", "data"}
	if err != nil || len(names) < len(want) || !slices.Equal(names[:len(want)], want) {
		t.Errorf("got %q, %v, want %q and the encoders", names, err, want)
	}
}

// TestRunCanceled checks that Run ends early, whatever it measures, and leaves no call behind.
func TestRunCanceled(t *testing.T) {
	for _, last := range []string{"setup.p95", "roundtrip.p95"} {
		ctx, cancel := context.WithCancel(t.Context())
		o := Options{Calls: 1, Length: time.Hour, Logger: slog.New(slog.DiscardHandler)}
		err := Run(ctx, o, func(r Result) {
			if r.Name == last {
				cancel()
			}
		})
		cancel()
		if err == nil {
			t.Errorf("canceled after %s: got no error", last)
		}
	}
}
