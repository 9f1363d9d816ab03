// Package config parses flags and environment variables to validated options.
package config

import (
	"context"
	"errors"
	"net"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/signal"
)

// Variable returns the environment variable of a flag.
func Variable(name string) cli.ValueSourceChain {
	return cli.EnvVars("PARLEY_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
}

// String returns a flag with a value.
func String(name, value, usage string) cli.Flag {
	return &cli.StringFlag{Name: name, Value: value, Usage: usage, Sources: Variable(name)}
}

// Strings returns a flag that may be given several times. A comma does not divide its value.
func Strings(name, usage string) cli.Flag {
	return &cli.StringSliceFlag{Name: name, Usage: usage, Sources: Variable(name)}
}

// Bool returns a flag without a value.
func Bool(name, usage string, aliases ...string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, Aliases: aliases, Sources: Variable(name)}
}

// Duration returns a flag with a duration.
func Duration(name string, value time.Duration, usage string) cli.Flag {
	f := &cli.DurationFlag{Name: name, Value: value, Usage: usage, Sources: Variable(name)}
	f.HideDefault = value == 0
	f.Validator = func(d time.Duration) error {
		if d < 0 {
			return exit.Usagef("want 0 or more, such as 500ms or 10s")
		}
		return nil
	}
	return f
}

// Int returns a flag with a number. --help does not show the default.
func Int(name string, value int, usage string) cli.Flag {
	return &cli.IntFlag{Name: name, Value: value, Usage: usage, Sources: Variable(name), HideDefault: true}
}

// Size parses a number of bytes. It may have a unit: k, M, G and T are powers of 1000, Ki, Mi, Gi
// and Ti powers of 1024 (IEC 80000-13), in upper or lower case, with or without a B, such as
// 500000, 500M or 1.5GiB.
func Size(s string) (int64, error) {
	number := strings.TrimRight(s, "KMGTkmgtiIBb ")
	unit := strings.TrimSuffix(strings.ToUpper(strings.TrimSpace(s[len(number):])), "B")
	base := 1000.0
	if prefix, binary := strings.CutSuffix(unit, "I"); binary && prefix != "" {
		unit, base = prefix, 1024
	}
	n, err := strconv.ParseFloat(number, 64)
	power := slices.Index([]string{"", "K", "M", "G", "T"}, unit)
	for range power {
		n *= base
	}
	if err != nil || power < 0 || strings.Trim(number, "0123456789.") != "" || n < 1 || n > 1<<53 {
		return 0, errors.New("want a number of bytes such as 500000, 500M or 2GiB")
	}
	return int64(n), nil
}

// CheckListenAddress returns a usage error if a value of a flag is not HOST:PORT. The host may be
// absent.
func CheckListenAddress(flag, address string) error {
	_, port, err := net.SplitHostPort(address)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || strconv.FormatUint(n, 10) != port {
		return exit.Usagef("invalid %s %q: want HOST:PORT or :PORT, such as 127.0.0.1:9090, :9090 or [::1]:9090", flag, sanitize.Text(address))
	}
	return nil
}

// Category puts flags under a heading of --help.
func Category(heading string, flags []cli.Flag) []cli.Flag {
	for _, f := range flags {
		if c, ok := f.(cli.CategorizableFlag); ok && c.GetCategory() == "" {
			c.SetCategory(heading)
		}
	}
	return flags
}

// Peer returns the operand NAME, or otherwise if there is none.
func Peer(cmd *cli.Command, otherwise string) (string, error) {
	args := cmd.Args().Slice()
	switch {
	case len(args) > 1:
		return "", exit.Usagef("%s takes one name, not %d: %s", cmd.FullName(), len(args), sanitize.Text(strings.Join(args, " ")))
	case len(args) == 1:
		otherwise = args[0]
	case otherwise == "":
		return "", exit.Usagef("%s needs the name of the peer; see %s --help", cmd.FullName(), cmd.FullName())
	}
	if err := CheckNoURL(cmd, otherwise); err != nil {
		return "", err
	}
	if err := signal.CheckPeerName(otherwise); err != nil {
		return "", exit.Usagef("invalid name %q: %v", sanitize.Text(otherwise), err)
	}
	return otherwise, nil
}

// NoOperands makes a command reject operands. It does so in the action: what runs before that runs
// for shell completion too, where a part of a flag is an operand.
func NoOperands(c *cli.Command) *cli.Command {
	action := c.Action
	c.Action = func(ctx context.Context, cmd *cli.Command) error {
		if cmd.Args().Present() {
			return exit.Usagef("%s takes no %q; see %s --help", cmd.FullName(), sanitize.Text(cmd.Args().First()), cmd.FullName())
		}
		return action(ctx, cmd)
	}
	return c
}

// UsageError returns the error of a command line that cannot be parsed.
func UsageError(_ context.Context, cmd *cli.Command, err error, _ bool) error {
	text := err.Error()
	if before, _, ok := strings.Cut(text, ": time: "); ok { // from time.ParseDuration
		text = before + ": want a duration with a unit, such as 500ms, 10s or 1h30m"
	} else if before, _, ok := strings.Cut(text, ": strconv."); ok {
		text = before + ": want a number"
	}
	return exit.Usagef("%s; see %s --help", strings.Replace(text, " for flag -", " for --", 1), cmd.FullName())
}

// Version returns the version of this program, as the go command recorded it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

// Commit returns the revision and the date of the source, as the go command recorded them. It
// returns "" if the source was not in a repository.
func Commit() string {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return ""
	}
	recorded := map[string]string{}
	for _, s := range info.Settings {
		recorded[s.Key] = s.Value
	}
	commit := recorded["vcs.revision"]
	if commit == "" {
		return ""
	}
	if recorded["vcs.modified"] == "true" {
		commit += ", modified,"
	}
	return commit + " of " + recorded["vcs.time"]
}
