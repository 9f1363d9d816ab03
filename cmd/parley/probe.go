package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/control"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
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
		ArgsUsage: "NAME [SCENARIO...]",
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
			p, err := newProber(cmd, std)
			if err != nil {
				return err
			}
			defer p.resources.Report.CloseInto(&err)
			if cmd.Bool("list") {
				return p.list(std)
			}
			return p.probe(ctx, std)
		},
	}
}

// newProber reads a command line.
func newProber(cmd *cli.Command, std stdio.Streams) (*prober, error) {
	s := &session.Options{Attach: []func(*session.Session){control.Refuse, refuseFiles}}
	for _, read := range []func(*cli.Command, *session.Options) error{readSignaling, readPath} {
		if err := read(cmd, s); err != nil {
			return nil, err
		}
	}
	p := &prober{options: s, level: cmd.String("peer-type"), format: cmd.String("format"), evidence: cmd.String("evidence"), await: cmd.Duration("wait-for-call"), parallel: cmd.Int("parallel"), pause: cmd.Duration("pause")}
	s.Timeout = cmd.Duration("timeout")
	var err error
	if s.Wait, err = config.ReadWait(cmd); err != nil {
		return nil, err
	}
	p.verbose(cmd, std)
	if err := p.readGoal(cmd); err != nil {
		return nil, err
	}
	if cmd.Bool("list") {
		return p, nil
	}
	args := cmd.Args().Slice()
	if len(args) == 0 {
		return nil, exit.Usagef("parley probe needs the name of the peer; see parley probe --help")
	}
	p.target = args[0]
	if p.fixedName = s.Name != "" || s.Dialect == signal.DialectRelay; s.Name == "" {
		s.Name = ownName(s.Dialect, "Gandalf", "probe-"+randomHex(3))
	}
	return p, nil
}

// verbose sets what is said beside the report.
func (p *prober) verbose(cmd *cli.Command, std stdio.Streams) {
	report := event.NewReporter(event.Options{Out: std.Out, Err: std.Err, Quiet: cmd.Bool("quiet")})
	p.resources = resources.New(report, newLogger(std, cmd.Bool("verbose")), nil)
}

func (p *prober) readGoal(cmd *cli.Command) error {
	switch {
	case p.parallel < 1 || p.parallel > 64:
		return exit.Usagef("invalid --parallel %d: want 1 to 64 calls", p.parallel)
	case !slices.Contains(levels(), p.level):
		return exit.Usagef("invalid --peer-type %q: want one of %s", sanitize.Text(p.level), strings.Join(levels(), ", "))
	case !slices.Contains(scenario.Formats(), p.format):
		return exit.Usagef("invalid --format %q: want one of %s", sanitize.Text(p.format), strings.Join(scenario.Formats(), ", "))
	}
	for _, text := range cmd.StringSlice("require") {
		q, err := scenario.ParseRequirement(text)
		if err != nil {
			return exit.Usagef("--require: %s", sanitize.Text(err.Error()))
		}
		p.required = append(p.required, q)
	}
	all, err := readScenarios(cmd.StringSlice("file"))
	if err != nil {
		return err
	}
	p.suite = cmd.String("suite")
	if !slices.Contains(scenario.Suites(), p.suite) {
		return exit.Usagef("invalid --suite %q: want one of %s", sanitize.Text(p.suite), strings.Join(scenario.Suites(), ", "))
	}
	names := cmd.Args().Tail()
	if p.load, err = readLoad(cmd, names); err != nil {
		return err
	}
	if len(cmd.StringSlice("file")) > 0 {
		p.suite = "all"
	}
	var missing []string
	if p.scenarios, missing = scenario.Select(all, p.suite, names); len(missing) > 0 {
		return exit.Usagef("there is no scenario %s; see parley probe --list --suite all", sanitize.Text(strings.Join(missing, ", ")))
	}
	for _, s := range p.scenarios {
		if err := compile(s); err != nil {
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

// list lists scenarios: a line each.
func (p *prober) list(std stdio.Streams) error {
	for _, s := range p.scenarios {
		needs := ""
		if len(s.Needs) > 0 {
			needs = "  needs " + strings.Join(s.Needs, ", ")
		}
		fmt.Fprintf(std.Out, "%-28s %-24s %-40s %s%s\n", s.Name, strings.Join(s.Suites, " "), strings.Join(s.Specs, ", "), s.Title, needs)
	}
	fmt.Fprintf(std.Out, "%s\n", plural(uint64(len(p.scenarios)), "scenario"))
	return nil
}

// probe runs the suite and writes the report, whatever happens.
func (p *prober) probe(ctx context.Context, std stdio.Streams) error {
	if p.evidence != "" {
		p.resources.Demux = capture.NewDemux()
	}
	if err := p.resources.Open(p.options.ResourcesOptions()); err != nil {
		return err
	}
	defer p.resources.Close()
	run := p.run
	if p.load.peers > 0 {
		run = p.runLoad
	}
	report := run(ctx)
	var text bytes.Buffer
	if err := report.Write(&text, p.format, sanitize.Text); err != nil {
		return fmt.Errorf("failed to write the report: %w", err)
	}
	p.resources.Report.ClearStatus()
	if _, err := std.Out.Write(text.Bytes()); err != nil {
		return fmt.Errorf("failed to write the report: %w", err)
	}
	if i := exit.Interruption(ctx); i != nil {
		return i
	}
	return outcome(report)
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
