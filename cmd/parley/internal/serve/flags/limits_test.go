package flags

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v3"

	"parley/signal/server"
)

// limitsOf reads a command line of limits.
func limitsOf(t *testing.T, args ...string) (server.Limits, error) {
	t.Helper()
	var limits server.Limits
	c := &cli.Command{Name: "serve", Flags: limitFlags(), Action: func(_ context.Context, cmd *cli.Command) (err error) {
		limits, err = readLimits(cmd)
		return err
	}, ExitErrHandler: func(context.Context, *cli.Command, error) {}}
	err := c.Run(t.Context(), append([]string{"serve"}, args...))
	return limits, err
}

// What --help shows as the defaults are the bounds that the server documents, and each flag sets
// its own.
func TestLimitFlags(t *testing.T) {
	defaults := server.Limits{
		Frame: 65536, SDP: 49152, Candidate: 2048, LoginWait: 10 * time.Minute, Pending: 1024, Offers: server.Rate{PerSecond: 5, Burst: 10},
		Candidates: server.Rate{PerSecond: 20, Burst: 200}, Others: server.Rate{PerSecond: 10, Burst: 20}, Connections: 16384, PerAddress: 256,
		Upgrades: server.Rate{PerSecond: 200, Burst: 1000}, UpgradesPerAddress: server.Rate{PerSecond: 50, Burst: 500}, Calls: 128, Watches: 8, WatchesPerAddress: 64, HeaderWait: 5 * time.Second, Header: 16384,
		LoginFailures: server.Rate{PerSecond: 10.0 / 1800, Burst: 10},
	}
	got, err := limitsOf(t)
	if err != nil || !cmp.Equal(got, defaults) {
		t.Errorf("defaults: %v\n%s", err, cmp.Diff(defaults, got))
	}
	if got, err := limitsOf(t, "--limits", "off"); err != nil || !cmp.Equal(got, server.NoLimits()) {
		t.Errorf("off: %v\n%s", err, cmp.Diff(server.NoLimits(), got))
	}
	set := map[string]func(*server.Limits, int){
		"max-frame": func(l *server.Limits, n int) { l.Frame = n }, "max-sdp": func(l *server.Limits, n int) { l.SDP = n },
		"max-candidate": func(l *server.Limits, n int) { l.Candidate = n }, "max-pending": func(l *server.Limits, n int) { l.Pending = n },
		"max-connections": func(l *server.Limits, n int) { l.Connections = n }, "max-per-address": func(l *server.Limits, n int) { l.PerAddress = n },
		"max-calls": func(l *server.Limits, n int) { l.Calls = n }, "max-header": func(l *server.Limits, n int) { l.Header = n },
		"max-watches":             func(l *server.Limits, n int) { l.Watches = n },
		"max-watches-per-address": func(l *server.Limits, n int) { l.WatchesPerAddress = n },
		"login-deadline":          func(l *server.Limits, n int) { l.LoginWait = time.Duration(n) * span(n) },
		"header-timeout":          func(l *server.Limits, n int) { l.HeaderWait = time.Duration(n) * span(n) },
		"offer-rate":              func(l *server.Limits, n int) { l.Offers = server.Rate{PerSecond: float64(n)} },
		"candidate-rate":          func(l *server.Limits, n int) { l.Candidates = server.Rate{PerSecond: float64(n)} },
		"other-rate":              func(l *server.Limits, n int) { l.Others = server.Rate{PerSecond: float64(n)} },
		"upgrade-rate":            func(l *server.Limits, n int) { l.Upgrades = server.Rate{PerSecond: float64(n)} },
		"address-upgrade-rate":    func(l *server.Limits, n int) { l.UpgradesPerAddress = server.Rate{PerSecond: float64(n)} },
		"max-login-failures": func(l *server.Limits, n int) {
			l.LoginFailures = server.Rate{PerSecond: float64(n) / 1800, Burst: max(n, 0)}
		},
	}
	if len(set) != len(limits()) {
		t.Errorf("%d limits are tested, there are %d", len(set), len(limits()))
	}
	for _, l := range limits() {
		value := "7"
		if l.name == "login-deadline" || l.name == "header-timeout" {
			value = "7s"
		}
		for given, n := range map[string]int{value: 7, "0": -1} {
			for base, args := range map[*server.Limits][]string{&defaults: nil, new(server.NoLimits()): {"--limits", "off"}} {
				want := *base
				set[l.name](&want, n)
				got, err := limitsOf(t, append(args, "--"+l.name, given)...)
				if n < 0 && l.name == "max-login-failures" && got.LoginFailures.PerSecond < 0 {
					want.LoginFailures = got.LoginFailures
				}
				if err != nil || !cmp.Equal(got, want) {
					t.Errorf("%v --%s %s: %v\n%s", args, l.name, given, err, cmp.Diff(want, got))
				}
			}
		}
	}
}

// span is the unit of a number: what is lifted has none.
func span(n int) time.Duration {
	if n < 0 {
		return 1
	}
	return time.Second
}

func TestRates(t *testing.T) {
	for in, want := range map[string]string{"5/10": "{5 10}", "0": "{-1 0}", "0.5": "{0.5 0}", "100/1": "{100 1}"} {
		if r, err := rate(in); err != nil || fmt.Sprint(r) != want {
			t.Errorf("%s: %v %v, want %s", in, r, err, want)
		}
	}
	for _, in := range []string{"", "x", "5/", "5/x", "-1", "5/0", "0/5", "5/-1", "NaN", "Inf", "5/10/15"} {
		if r, err := rate(in); err == nil {
			t.Errorf("%q parsed as %v", in, r)
		}
	}
}
