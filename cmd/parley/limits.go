package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/signal/server"
)

// limit is one bound of the server and its flag. The default stands in the flag, for --help to show.
type limit struct {
	flag  cli.Flag
	name  string
	apply func(*cli.Command, *server.Limits) error
}

func numberLimit(name string, value int, usage string, field func(*server.Limits) *int) limit {
	return limit{
		&cli.IntFlag{Name: name, Value: value, Usage: usage, Sources: variable(name)}, name,
		func(cmd *cli.Command, l *server.Limits) error {
			n := cmd.Int(name)
			if n < 0 {
				return exit.Usagef("--%s %d: it is no less than 0, which lifts it", name, n)
			}
			*field(l) = zeroMeansUnlimited(n)
			return nil
		},
	}
}

func timeLimit(name string, value time.Duration, usage string, field func(*server.Limits) *time.Duration) limit {
	return limit{
		&cli.DurationFlag{Name: name, Value: value, Usage: usage, Sources: variable(name)}, name,
		func(cmd *cli.Command, l *server.Limits) error {
			d := cmd.Duration(name)
			if d < 0 {
				return exit.Usagef("--%s %s: it is no less than 0, which lifts it", name, d)
			}
			*field(l) = zeroMeansUnlimited(d)
			return nil
		},
	}
}

func rateLimit(name, value, usage string, field func(*server.Limits) *server.Rate) limit {
	return limit{
		&cli.StringFlag{Name: name, Value: value, Usage: usage, Sources: variable(name)}, name,
		func(cmd *cli.Command, l *server.Limits) error {
			r, err := rate(cmd.String(name))
			if err != nil {
				return exit.Usagef("--%s %q: %v", name, sanitize.Text(cmd.String(name)), err)
			}
			*field(l) = r
			return nil
		},
	}
}

// failureLimit bounds the refused logins of half an hour.
func failureLimit(name string, value int) limit {
	n := 0
	l := numberLimit(name, value, "`NUMBER` of refused logins in half an hour from one address (/64 for IPv6)",
		func(*server.Limits) *int { return &n })
	read := l.apply
	l.apply = func(cmd *cli.Command, limits *server.Limits) error {
		if err := read(cmd, limits); err != nil {
			return err
		}
		limits.LoginFailures = server.Rate{PerSecond: float64(n) / (30 * time.Minute).Seconds(), Burst: max(n, 0)}
		return nil
	}
	return l
}

// rate reads "A SECOND/AT ONCE"; 0 lifts it.
func rate(s string) (server.Rate, error) {
	perSecond, burst, hasBurst := strings.Cut(s, "/")
	r, err := strconv.ParseFloat(perSecond, 64)
	n := 0
	if err == nil && hasBurst {
		n, err = strconv.Atoi(burst)
	}
	if err != nil || !(r >= 0 && r <= 1e9) || hasBurst && (n <= 0 || r == 0) {
		return server.Rate{}, fmt.Errorf("it is A_SECOND/AT_ONCE, such as 5/10, or 0, which lifts it")
	}
	if r == 0 {
		return server.Rate{PerSecond: -1}, nil
	}
	return server.Rate{PerSecond: r, Burst: n}, nil
}

// zeroMeansUnlimited converts a limit of a flag, where 0 means unlimited, to one of an options struct, where
// 0 means the default and negative values mean unlimited.
func zeroMeansUnlimited[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// limits are the bounds of the server.
func limits() []limit {
	return []limit{
		numberLimit("max-frame", 64<<10, "`BYTES` of a message", func(l *server.Limits) *int { return &l.Frame }),
		numberLimit("max-sdp", 48<<10, "`BYTES` of a session description", func(l *server.Limits) *int { return &l.SDP }),
		numberLimit("max-candidate", 2<<10, "`BYTES` of a candidate", func(l *server.Limits) *int { return &l.Candidate }),
		timeLimit("login-deadline", 10*time.Minute, "time to log in after connecting", func(l *server.Limits) *time.Duration { return &l.LoginWait }),
		numberLimit("max-pending", 1<<10, "`NUMBER` of connections that have not logged in", func(l *server.Limits) *int { return &l.Pending }),
		rateLimit("offer-rate", "5/10", "offers and answers of a connection for each of its calls, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Offers }),
		rateLimit("candidate-rate", "20/200", "candidates of a connection for each of its calls, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Candidates }),
		rateLimit("other-rate", "10/20", "other messages of a connection for each of its calls, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Others }),
		numberLimit("max-connections", 1<<14, "`NUMBER` of connections in all", func(l *server.Limits) *int { return &l.Connections }),
		numberLimit("max-per-address", 256, "`NUMBER` of connections, and of names, from one address (/64 for IPv6)", func(l *server.Limits) *int { return &l.PerAddress }),
		rateLimit("address-upgrade-rate", "50/500", "new connections from one address (/64 for IPv6), `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.UpgradesPerAddress }),
		rateLimit("upgrade-rate", "200/1000", "new connections in all, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Upgrades }),
		numberLimit("max-calls", 128, "`NUMBER` of calls that a user may be in", func(l *server.Limits) *int { return &l.Calls }),
		timeLimit("header-timeout", 5*time.Second, "time for a request's header to come", func(l *server.Limits) *time.Duration { return &l.HeaderWait }),
		numberLimit("max-header", 16<<10, "`BYTES` of a request's header", func(l *server.Limits) *int { return &l.Header }),
		failureLimit("max-login-failures", 10),
	}
}

func limitFlags() []cli.Flag {
	flags := []cli.Flag{stringFlag("limits", "on", "on, or off: lifts all limits but those given as well")}
	for _, l := range limits() {
		flags = append(flags, l.flag)
	}
	return inCategory("LIMITS (0 lifts one)", flags)
}

// readLimits reads the bounds of the signaling.
func (srv *parleyServer) readLimits(cmd *cli.Command) error {
	off := false
	switch v := cmd.String("limits"); v {
	case "on":
	case "off":
		off = true
		srv.options.Limits = server.NoLimits()
	default:
		return exit.Usagef("--limits %q: it is on or off", sanitize.Text(v))
	}
	for _, l := range limits() {
		if off && !cmd.IsSet(l.name) {
			continue
		}
		if err := l.apply(cmd, &srv.options.Limits); err != nil {
			return err
		}
	}
	return nil
}
