package cli

import (
	"context"
	"slices"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/control"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/probe"
	"parley/cmd/parley/internal/probe/flags"
	"parley/cmd/parley/internal/resources"
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
   parley probe whip://localhost:9090/whip/cam     # checks of RFC 9725
   parley probe whip://ex.org/whip/cam --playback whep://ex.org/whep/cam
   parley probe whep://localhost:9090/whep/cam --load 50
   parley probe echo --load 50 --ramp 5/s --require 'setup.ms:p95<=500'

Verdicts are pass, fail, error (it could not be found out), skip, and
expected-fail (a limit that the scenario names). The exit code is the same in each
format: 0 if nothing failed, 3 if something did, a requirement does not hold or no
scenario was run at all, 1 for an error, and 10, 11 or 12 if the signaling server or
NAME is not reached. The report goes to stdout.

"parley help scenarios" describes the language of scenarios.`,
		Flags:        slices.Concat(config.SignalingFlags(""), config.WaitFlags(), config.NetworkFlags(), config.MonitoringFlags(), flags.All()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			read := readProbe
			switch {
			case isEndpoint(cmd) && (cmd.IsSet("load") || cmd.String("playback") != ""):
				read = readEndpointCalls
			case isEndpoint(cmd):
				return probeEndpoint(ctx, cmd, std)
			}
			o, err := read(cmd, std)
			if err != nil {
				return err
			}
			defer o.Resources.Report.CloseInto(&err)
			if cmd.Bool("list") {
				return scenario.WriteList(std.Out, o.Scenarios)
			}
			t, err := openTelemetry(cmd, o.Call, o.Resources)
			if err != nil {
				return err
			}
			defer t.Close()
			return runProbe(ctx, std, o, cmd.String("format"))
		},
	}
}

// readProbe reads a command line. The caller closes the report of the resources.
func readProbe(cmd *cli.Command, std stdio.Streams) (probe.Options, error) {
	s := &session.Options{Attach: []func(*session.Session){control.Refuse, refuseFiles}}
	o := probe.Options{
		Call: s, Evidence: cmd.String("evidence"), WaitForCall: cmd.Duration("wait-for-call"),
		Pause: cmd.Duration("pause"), ReportEach: cmd.String("format") != "table", // the table has all results
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
	if err := flags.RefusePlayback(cmd); err != nil {
		return o, err
	}
	if err := flags.Read(cmd, &o); err != nil {
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
