package server

import (
	"testing"

	"parley/signal/internal/ratelimit"
)

func TestRateDefaults(t *testing.T) {
	for r, want := range map[Rate]ratelimit.Rate{
		{}:                         ratelimit.New(5, 10),
		{PerSecond: -1}:            {},
		{PerSecond: -1, Burst: 5}:  {},
		{PerSecond: 10}:            ratelimit.New(10, 20),
		{PerSecond: 0.01}:          ratelimit.New(0.01, 1),
		{PerSecond: 10, Burst: 50}: ratelimit.New(10, 50),
		{Burst: 50}:                ratelimit.New(5, 50),
	} {
		if got := r.resolve(5, 10); got != want {
			t.Errorf("%+v stands for %v, want %v", r, got, want)
		}
	}
}
