package cli

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/control"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/probe"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/stdio"
	"parley/peer/capture"
	"parley/signal"
)

func probeCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "probe",
		Usage:     "find out what works with NAME: a suite of checks, and a report",
		ArgsUsage: "NAME|URL [SCENARIO...]",
		Description: `Calls NAME again and again, each time to check a few things, and reports which
of them hold: signaling, offer and answer, ICE, DTLS, data channels, audio, video.
What NAME cannot show is skipped, with the reason: a peer that does not send back
what it gets cannot show that it got it. --peer-type says what NAME is, so that what is
missing is a failure and not a reason to skip: any, echo, or parley, which lets the
call be seen from its end, too (parley echo, parley answer --allow-probe).

   parley probe tab
   parley probe echo --peer-type echo --suite all
   parley probe echo --peer-type parley --suite parley
   parley probe echo --suite data --format junit > junit.xml
   parley probe tab --require 'setup.ms<=500' --require 'rtt.ms:p95<20'
   parley probe tab text-comes-back restart-by-us
   parley probe tab --file my.scenario
   parley probe --list
   parley probe whip://localhost:8080/whip/cam     # checks of RFC 9725
   parley probe echo --load 50 --ramp 5/s --require 'setup.ms:p95<=500'

Verdicts are pass, fail, error (it could not be found out), skip, and
expected-fail (a limit that the scenario names). The exit code is the same in each
format: 0 if nothing failed, 3 if something did, a requirement does not hold or no
scenario was run at all, 1 for an error, and 10, 11 or 12 if the signaling server or
NAME is not reached. The report goes to stdout.

"parley help scenarios" describes the language of scenarios.`,
		Flags: slices.Concat(config.SignalingFlags(""), config.WaitFlags(), config.NetworkFlags(), loadFlags(), []cli.Flag{
			config.String("suite", "core", "`SUITE` to run: "+strings.Join(scenario.Suites(), ", ")),
			config.Bool("list", "list the scenarios of the suite, with the sections of the standards that they check, and end"),
			config.Strings("file", "run the scenarios of `FILE` in place of a suite; repeatable"),
			config.String("peer-type", "auto", "`TYPE` of NAME: any, echo, parley, or auto: find out, and skip what it cannot show"),
			config.String("format", "table", "`FORMAT` of the report: "+strings.Join(scenario.Formats(), ", ")),
			config.Strings("require", "`METRIC OP NUMBER` that has to hold over all calls, such as setup.ms<=500 or rtt.ms:p95<=20; repeatable"),
			config.String("evidence", "", "keep descriptions, candidates, statistics, events (of a parley at the other end, too), packets with their keys, and a recording of what failed in `FOLDER`; who reads it can decrypt those calls"),
			config.Duration("wait-for-call", 0, "wait for `D` to be called by NAME where a scenario needs that"),
			config.Duration("timeout", 20*time.Second, "`D` for NAME to answer, and the connection to come up, at first"),
			config.Duration("pause", 0, "`D` before each call but the first, for a NAME that needs time between them, such as a page that is loaded anew"),
			&cli.IntFlag{Name: "parallel", Value: 1, Usage: "`N` calls at once, by names that end in a number; for a NAME that takes several", Sources: config.Variable("parallel")},
			config.Bool("quiet", "say nothing but errors and the report", "q"),
			config.Bool("verbose", "say more: what the libraries say", "v"),
		}),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			if isEndpoint(cmd) {
				return probeEndpoint(ctx, cmd, std)
			}
			o, err := readProbe(cmd, std)
			if err != nil {
				return err
			}
			defer o.Resources.Report.CloseInto(&err)
			if cmd.Bool("list") {
				listScenarios(std, o.Scenarios)
				return nil
			}
			return runProbe(ctx, std, o, cmd.String("format"))
		},
	}
}

// readProbe reads a command line. The caller closes the report of the resources.
func readProbe(cmd *cli.Command, std stdio.Streams) (probe.Options, error) {
	s := &session.Options{Attach: []func(*session.Session){control.Refuse, refuseFiles}}
	o := probe.Options{
		Call: s, PeerType: cmd.String("peer-type"), Evidence: cmd.String("evidence"), WaitForCall: cmd.Duration("wait-for-call"),
		Parallel: cmd.Int("parallel"), Pause: cmd.Duration("pause"), ReportEach: cmd.String("format") != "table", // the table has all results
	}
	for _, read := range []func(*cli.Command, *session.Options) error{readSignaling, readPath} {
		if err := read(cmd, s); err != nil {
			return o, err
		}
	}
	s.Timeout = cmd.Duration("timeout")
	var err error
	if s.Wait, err = config.ReadWait(cmd); err != nil {
		return o, err
	}
	if err := readChecks(cmd, &o); err != nil {
		return o, err
	}
	report := event.NewReporter(event.Options{Out: std.Out, Err: std.Err, Quiet: cmd.Bool("quiet")})
	o.Resources = resources.New(report, newLogger(std, cmd.Bool("verbose")), nil)
	if cmd.Bool("list") {
		return o, nil
	}
	args := cmd.Args().Slice()
	if len(args) == 0 {
		return o, exit.Usagef("parley probe needs the name of the peer; see parley probe --help")
	}
	o.Target = args[0]
	if o.FixedName = s.Name != "" || s.Dialect == signal.DialectRelay; s.Name == "" {
		s.Name = ownName(s.Dialect, "Gandalf", "probe-"+randomHex(3))
	}
	return o, nil
}

// readChecks reads what is checked of the peer.
func readChecks(cmd *cli.Command, o *probe.Options) error {
	format := cmd.String("format")
	switch {
	case o.Parallel < 1 || o.Parallel > 64:
		return exit.Usagef("invalid --parallel %d: want 1 to 64 calls", o.Parallel)
	case !slices.Contains(probe.PeerTypes(), o.PeerType):
		return exit.Usagef("invalid --peer-type %q: want one of %s", sanitize.Text(o.PeerType), strings.Join(probe.PeerTypes(), ", "))
	case !slices.Contains(scenario.Formats(), format):
		return exit.Usagef("invalid --format %q: want one of %s", sanitize.Text(format), strings.Join(scenario.Formats(), ", "))
	}
	for _, text := range cmd.StringSlice("require") {
		q, err := scenario.ParseRequirement(text)
		if err != nil {
			return exit.Usagef("--require: %s", sanitize.Text(err.Error()))
		}
		o.Requirements = append(o.Requirements, q)
	}
	all, err := readScenarios(cmd.StringSlice("file"))
	if err != nil {
		return err
	}
	o.Suite = cmd.String("suite")
	if !slices.Contains(scenario.Suites(), o.Suite) {
		return exit.Usagef("invalid --suite %q: want one of %s", sanitize.Text(o.Suite), strings.Join(scenario.Suites(), ", "))
	}
	names := cmd.Args().Tail()
	if o.Load, err = readLoad(cmd, names); err != nil {
		return err
	}
	if len(cmd.StringSlice("file")) > 0 {
		o.Suite = "all"
	}
	var missing []string
	if o.Scenarios, missing = scenario.Select(all, o.Suite, names); len(missing) > 0 {
		return exit.Usagef("there is no scenario %s; see parley probe --list --suite all", sanitize.Text(strings.Join(missing, ", ")))
	}
	for _, s := range o.Scenarios {
		if err := probe.Check(s); err != nil {
			return err
		}
	}
	return nil
}

// readScenarios reads those of the files, or the built-in ones if there is none.
func readScenarios(files []string) ([]scenario.Scenario, error) {
	if len(files) == 0 {
		return scenario.Builtin()
	}
	var all []scenario.Scenario
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, exit.Errorf(exit.Device, "--file: %w", err)
		}
		some, err := scenario.Parse(name, string(text))
		if err != nil {
			return nil, exit.Usagef("--file: %s", sanitize.Text(err.Error()))
		}
		all = append(all, some...)
	}
	return all, nil
}

// listScenarios lists scenarios: a line each.
func listScenarios(std stdio.Streams, scenarios []scenario.Scenario) {
	for _, s := range scenarios {
		needs := ""
		if len(s.Needs) > 0 {
			needs = "  needs " + strings.Join(s.Needs, ", ")
		}
		fmt.Fprintf(std.Out, "%-28s %-24s %-40s %s%s\n", s.Name, strings.Join(s.Suites, " "), strings.Join(s.Specs, ", "), s.Title, needs)
	}
	fmt.Fprintf(std.Out, "%s\n", plural(uint64(len(scenarios)), "scenario"))
}

// runProbe runs the scenarios and writes the report, whatever happens.
func runProbe(ctx context.Context, std stdio.Streams, o probe.Options, format string) error {
	if o.Evidence != "" {
		o.Resources.Demux = capture.NewDemux()
	}
	if err := o.Resources.Open(o.Call.ResourcesOptions()); err != nil {
		return err
	}
	defer o.Resources.Close()
	return writeReport(ctx, std, o.Resources.Report, probe.Run(ctx, o), format)
}

// outcome is the error of a run, which does not depend on the format.
func outcome(r *scenario.Report) error {
	var code exit.Code
	switch r.Verdict() {
	case scenario.Pass:
		return nil
	case scenario.Error:
		code = exit.Failure
		if r.Err != nil {
			code = exit.CodeOf(r.Err)
		}
	default:
		code = exit.Expectation
	}
	return &exit.Error{Code: code, Err: fmt.Errorf("%s", sanitize.Text(r.Summary()))}
}

func plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func loadFlags() []cli.Flag {
	return config.Category("LOAD", []cli.Flag{
		&cli.IntFlag{Name: "load", Usage: "in place of a suite, `N` calls at once, each by a name of its own, with audio, video and text that are verified", Sources: config.Variable("load"), HideDefault: true},
		config.String("ramp", "5/s", "`RATE` at which the calls of --load begin: 5/s, or 30/m"),
		config.Duration("duration", 10*time.Second, "keep all calls of --load up for `D`; what comes back is verified at the beginning and at the end"),
	})
}

var rampForm = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)/(s|m)$`)

// readLoad reads the flags; names are the scenarios that were asked for.
func readLoad(cmd *cli.Command, names []string) (l probe.Load, err error) {
	if !cmd.IsSet("load") {
		if cmd.IsSet("ramp") || cmd.IsSet("duration") {
			return l, exit.Usagef("--ramp and --duration are for --load N")
		}
		return l, nil
	}
	l.Peers, l.Duration = cmd.Int("load"), cmd.Duration("duration")
	m := rampForm.FindStringSubmatch(cmd.String("ramp"))
	switch {
	case l.Peers < 1 || l.Peers > probe.MaxLoad:
		return l, exit.Usagef("invalid --load %d: want 1 to %d calls", l.Peers, probe.MaxLoad)
	case len(names) > 0 || cmd.IsSet("suite") || cmd.IsSet("file") || cmd.IsSet("parallel") || cmd.IsSet("wait-for-call"):
		return l, exit.Usagef("--load makes calls of its own, and takes no scenarios, --suite, --file, --parallel or --wait-for-call")
	case l.Duration < 0:
		return l, exit.Usagef("invalid --duration %s: want 0 or more", l.Duration)
	case m == nil:
		return l, exit.Usagef("invalid --ramp %q: want a rate, such as 5/s or 30/m", sanitize.Text(cmd.String("ramp")))
	}
	rate, err := strconv.ParseFloat(m[1], 64)
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute}[m[2]]
	if err != nil || rate < 0.01 || rate > 1000 {
		return l, exit.Usagef("invalid --ramp %q: want a rate of 0.01 to 1000", sanitize.Text(cmd.String("ramp")))
	}
	l.Pace = time.Duration(float64(unit) / rate)
	return l, nil
}
