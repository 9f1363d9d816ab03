package flags

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/signal/server"
)

// limit is one bound of the server and its flag. The default stands in the flag, for --help to
// show.
type limit struct {
	flag  cli.Flag
	name  string
	apply func(*cli.Command, *server.Limits) error
}

func numberLimit(name string, value int, usage string, field func(*server.Limits) *int) limit {
	return limit{
		&cli.IntFlag{Name: name, Value: value, Usage: usage, Sources: config.Variable(name)}, name,
		func(cmd *cli.Command, l *server.Limits) error {
			n := cmd.Int(name)
			if n < 0 {
				return exit.Usagef("invalid --%s %d: want 0 or more; 0 lifts the limit", name, n)
			}
			*field(l) = zeroMeansUnlimited(n)
			return nil
		},
	}
}

func timeLimit(name string, value time.Duration, usage string, field func(*server.Limits) *time.Duration) limit {
	return limit{
		&cli.DurationFlag{Name: name, Value: value, Usage: usage, Sources: config.Variable(name)}, name,
		func(cmd *cli.Command, l *server.Limits) error {
			d := cmd.Duration(name)
			if d < 0 {
				return exit.Usagef("invalid --%s %s: want 0 or more; 0 lifts the limit", name, d)
			}
			*field(l) = zeroMeansUnlimited(d)
			return nil
		},
	}
}

func rateLimit(name, value, usage string, field func(*server.Limits) *server.Rate) limit {
	return limit{
		&cli.StringFlag{Name: name, Value: value, Usage: usage, Sources: config.Variable(name)}, name,
		func(cmd *cli.Command, l *server.Limits) error {
			r, err := rate(cmd.String(name))
			if err != nil {
				return exit.Usagef("invalid --%s %q: %v", name, cmd.String(name), err)
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

// rate parses A_SECOND/AT_ONCE; 0 lifts the limit.
func rate(s string) (server.Rate, error) {
	perSecond, burst, hasBurst := strings.Cut(s, "/")
	r, err := strconv.ParseFloat(perSecond, 64)
	n := 0
	if err == nil && hasBurst {
		n, err = strconv.Atoi(burst)
	}
	if err != nil || !(r >= 0 && r <= 1e9) || hasBurst && (n <= 0 || r == 0) {
		return server.Rate{}, errors.New("want A_SECOND/AT_ONCE, such as 5/10, or 0 for no limit")
	}
	if r == 0 {
		return server.Rate{PerSecond: -1}, nil
	}
	return server.Rate{PerSecond: r, Burst: n}, nil
}

// zeroMeansUnlimited converts a limit of a flag, where 0 means unlimited, to one of an options
// struct, where 0 means the default and negative values mean unlimited.
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
		timeLimit("login-deadline", 10*time.Minute, "time `D` to log in after connecting", func(l *server.Limits) *time.Duration { return &l.LoginWait }),
		numberLimit("max-pending", 1<<10, "`NUMBER` of connections that have not logged in", func(l *server.Limits) *int { return &l.Pending }),
		rateLimit("offer-rate", "5/10", "offers, answers and watches of a connection for each of its calls, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Offers }),
		rateLimit("candidate-rate", "20/200", "candidates of a connection for each of its calls, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Candidates }),
		rateLimit("other-rate", "10/20", "other messages of a connection for each of its calls, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Others }),
		numberLimit("max-connections", 1<<14, "`NUMBER` of connections in all", func(l *server.Limits) *int { return &l.Connections }),
		numberLimit("max-per-address", 256, "`NUMBER` of connections, and of names, from one address (/64 for IPv6)", func(l *server.Limits) *int { return &l.PerAddress }),
		rateLimit("address-upgrade-rate", "50/500", "new connections from one address (/64 for IPv6), `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.UpgradesPerAddress }),
		rateLimit("upgrade-rate", "200/1000", "new connections in all, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Upgrades }),
		numberLimit("max-calls", 128, "`NUMBER` of calls that a user may be in", func(l *server.Limits) *int { return &l.Calls }),
		numberLimit("max-watches", 8, "`NUMBER` of names that a user may watch, to be notified when they sign in", func(l *server.Limits) *int { return &l.Watches }),
		numberLimit("max-watches-per-address", 64, "`NUMBER` of names that all users at one address (/64 for IPv6) may watch", func(l *server.Limits) *int { return &l.WatchesPerAddress }),
		timeLimit("header-timeout", 5*time.Second, "time `D` for a request's header to come", func(l *server.Limits) *time.Duration { return &l.HeaderWait }),
		numberLimit("max-header", 16<<10, "`BYTES` of a request's header", func(l *server.Limits) *int { return &l.Header }),
		failureLimit("max-login-failures", 10),
	}
}

func limitFlags() []cli.Flag {
	flags := []cli.Flag{config.String("limits", "on", "`STATE`: on, or off: no limits but those that are given; a limit of 0 means unlimited")}
	for _, l := range limits() {
		flags = append(flags, l.flag)
	}
	return config.Category("LIMITS", flags)
}

// readLimits returns the values of the flags of limits.
func readLimits(cmd *cli.Command) (l server.Limits, err error) {
	off := false
	switch v := cmd.String("limits"); v {
	case "on":
	case "off":
		off = true
		l = server.NoLimits()
	default:
		return l, exit.Usagef("invalid --limits %q: want on or off", v)
	}
	for _, one := range limits() {
		if off && !cmd.IsSet(one.name) {
			continue
		}
		if err := one.apply(cmd, &l); err != nil {
			return l, err
		}
	}
	return l, nil
}
