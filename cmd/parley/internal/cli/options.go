package cli

import (
	"log/slog"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/control"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/stdio"
	"parley/cmd/parley/internal/telemetry"
	"parley/media/recorder"
)

// readOptions reads the flags that cmd has; std is where it reports to. The caller closes the
// report.
func readOptions(cmd *cli.Command, std stdio.Streams) (*session.Options, *resources.Resources, error) {
	o := &session.Options{Attach: []func(*session.Session){control.Refuse, refuseFiles}}
	for _, read := range []func(*cli.Command, *session.Options) error{readSignaling, readPath, readMedia, readGoal, readSecurity, readChannels} {
		if err := read(cmd, o); err != nil {
			return nil, nil, err
		}
	}
	r, err := readOutput(cmd, std)
	if err == nil && o.IdentityPath != "" {
		r.Identity, err = resources.OpenIdentity(o.IdentityPath)
		resources.WarnIdentity(o.IdentityPath, r.Report)
	}
	return o, r, err
}

// readOutput reads the flags of config.OutputFlags.
func readOutput(cmd *cli.Command, std stdio.Streams) (*resources.Resources, error) {
	o, err := config.ReadOutput(cmd)
	if err != nil {
		return nil, err
	}
	report := event.NewReporter(event.Options{Out: std.Out, Err: std.Err, NDJSON: o.NDJSON, Quiet: o.Quiet, Verbose: o.Verbose})
	return resources.New(report, newLogger(std, o.Verbose), std.In), nil
}

// openTelemetry opens what the flags of config.MonitoringFlags name for calls of the options. With
// metrics, what comes back of the test source is measured. The caller closes the telemetry before
// the report.
func openTelemetry(cmd *cli.Command, o *session.Options, r *resources.Resources) (*telemetry.Telemetry, error) {
	m, err := config.ReadMonitoring(cmd)
	if err != nil {
		return nil, err
	}
	t, err := telemetry.Open(telemetry.Options{Monitoring: m, Version: config.Version(), Report: r.Report, Logger: r.Logger})
	if err != nil {
		return nil, err
	}
	if m != (config.Monitoring{}) {
		o.Attach = append(o.Attach, t.Attach)
	}
	if m.Metrics != "" && (o.Video == "test" || o.Audio == "test") {
		o.Measurements.Quality = true
	}
	return t, nil
}

// newLogger returns the logger of the libraries.
func newLogger(std stdio.Streams, verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(std.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// readTarget reads the operand of a command that calls: a URL, which is noted in the options, or
// the name of a peer, which is otherwise if there is none. It returns the name of the call.
func readTarget(cmd *cli.Command, o *session.Options, otherwise string) (name string, err error) {
	args := cmd.Args().Slice()
	if len(args) == 1 {
		otherwise = args[0]
	}
	if o.WHIP, err = config.ReadWHIP(cmd, otherwise, o.Video != "" || o.Audio != ""); err != nil {
		return "", err
	}
	if o.Manual && otherwise == "" {
		otherwise = "peer"
	}
	if o.Endpoint != nil && len(args) == 1 {
		o.Server = o.Endpoint.URL.String()
		return o.WHIP.URL, nil
	}
	return config.Peer(cmd, otherwise)
}

// readManual checks the options of a command with --manual, whose caller makes the offer.
func readManual(cmd *cli.Command, o *session.Options, caller bool) error {
	if !o.Manual {
		return nil
	}
	switch {
	case o.Input:
		return exit.Usagef("--manual and --input both read standard input")
	case o.Video == "-" || o.Audio == "-":
		return exit.Usagef("--manual and a source of - both read standard input; give the source as a file")
	case o.Wait > 0:
		return exit.Usagef("--manual and --wait exclude each other: nobody signs in")
	}
	if o.ManualCaller = caller; !cmd.IsSet("timeout") {
		o.Timeout = 0 // people take a while
	}
	return nil
}

func readSignaling(cmd *cli.Command, o *session.Options) (err error) {
	o.Signaling, err = config.ReadSignaling(cmd)
	return err
}

func readPath(cmd *cli.Command, o *session.Options) (err error) {
	o.Capture = config.ReadCapture(cmd)
	o.Network, err = config.ReadNetwork(cmd)
	return err
}

func readMedia(cmd *cli.Command, o *session.Options) (err error) {
	if o.MediaOut, err = config.ReadMediaOut(cmd); err != nil {
		return err
	}
	if o.MediaIn, err = config.ReadMediaIn(cmd); err != nil {
		return err
	}
	switch {
	case o.Encoding != "":
		o.Codecs = []string{o.Encoding}
	case o.Record != "":
		_, o.Codecs = recorder.Codecs(o.Record)
	}
	o.Input, err = config.ReadInput(cmd, o.MediaOut)
	return err
}

func readGoal(cmd *cli.Command, o *session.Options) (err error) {
	o.Call, err = config.ReadCall(cmd, mediain.Keys())
	return err
}

func readSecurity(cmd *cli.Command, o *session.Options) (err error) {
	if o.Security, err = config.ReadSecurity(cmd); err != nil {
		return err
	}
	if o.ExpectCode == config.AskCode {
		if err := stdio.WriteTerminal(""); err != nil {
			return exit.Errorf(exit.Device, "--expect-code ask: %w; give the code with --expect-code CODE, see --identity", err)
		}
	}
	if o.IdentityPath != "" {
	}
	return err
}

func readChannels(cmd *cli.Command, o *session.Options) (err error) {
	o.Channels, err = config.ReadChannels(cmd)
	return err
}
