package cli

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/control"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/probe"
	"parley/cmd/parley/internal/probe/flags"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/stdio"
	"parley/cmd/parley/internal/whipcheck"
	"parley/signal"
	"parley/signal/whip"
)

// probeEndpoint checks a URL of WHIP or WHEP.
func probeEndpoint(ctx context.Context, cmd *cli.Command, std stdio.Streams) (err error) {
	o, format, err := readEndpointProbe(cmd)
	if err != nil {
		return err
	}
	if cmd.Bool("list") {
		return scenario.WriteList(std.Out, whipcheck.Checks(o.Endpoint.Direction))
	}
	report := event.NewReporter(event.Options{Out: std.Out, Err: std.Err, Quiet: cmd.Bool("quiet")})
	defer report.CloseInto(&err)
	done, all := 0, len(whipcheck.Checks(o.Endpoint.Direction))
	if len(o.Names) > 0 {
		all = len(o.Names)
	}
	o.OnResult = func(r scenario.Result) {
		done++
		if format == "table" { // which has all results
			report.Status(fmt.Sprintf("%d of %d done; %s %s", done, all, r.Verdict, r.Scenario.Name))
			return
		}
		report.Infof("%-13s %s", r.Verdict, r.Scenario.Name)
	}
	result := whipcheck.Run(ctx, o)
	result.Version = config.Version()
	return writeReport(ctx, std, report, result, format)
}

// readEndpointProbe reads the command line.
func readEndpointProbe(cmd *cli.Command) (o whipcheck.Options, format string, err error) {
	url := cmd.Args().First()
	scheme, _, _ := strings.Cut(strings.ToLower(url), ":")
	if strings.HasPrefix(scheme, "http") {
		return o, "", exit.Usagef("invalid URL %q: want whip, whips, whep or wheps before ://, which says what is checked", signal.PrintableURL(url))
	}
	w, err := config.ReadWHIP(cmd, url, strings.HasPrefix(scheme, "whip"))
	if err != nil {
		return o, "", err
	}
	if err := refuseNameOptions(cmd, w.URL, "require", "evidence", "ramp", "duration", "metrics", "otlp"); err != nil {
		return o, "", err
	}
	if err := flags.RefusePlayback(cmd); err != nil {
		return o, "", err
	}
	s, err := config.ReadSignaling(cmd)
	if err != nil {
		return o, "", err
	}
	if format = cmd.String("format"); !slices.Contains(scenario.Formats(), format) {
		return o, "", exit.Usagef("invalid --format %q: want one of %s", sanitize.Text(format), strings.Join(scenario.Formats(), ", "))
	}
	o = whipcheck.Options{Endpoint: *w.Endpoint, URL: w.URL, Token: s.Token, Header: s.Header, TLS: s.TLS, Loopback: resources.OffersLoopback(w.Endpoint.URL.String()),
		Timeout: cmd.Duration("timeout"), Names: cmd.Args().Tail()}
	if _, missing := scenario.Select(whipcheck.Checks(o.Endpoint.Direction), "all", o.Names); len(missing) > 0 {
		return o, "", exit.Usagef("there is no check %s; see parley probe --list %s", sanitize.Text(strings.Join(missing, ", ")), signal.PrintableURL(w.URL))
	}
	return o, format, nil
}

// refuseNameOptions returns an error for the first option that a URL does not take, of those for
// names and some more.
func refuseNameOptions(cmd *cli.Command, url string, more ...string) error {
	for _, f := range append([]string{"suite", "file", "peer-type", "wait-for-call", "pause", "parallel"}, more...) {
		if cmd.IsSet(f) {
			return exit.Usagef("--%s is for a NAME, or for --load or --playback: a URL has checks of its own, see parley probe --list %s", f, signal.PrintableURL(url))
		}
	}
	return nil
}

// readEndpointCalls reads the command line of calls that publish or play media: those of --load, or
// of --playback. The caller closes the report of the resources.
func readEndpointCalls(cmd *cli.Command, std stdio.Streams) (probe.Options, error) {
	s := &session.Options{Attach: []func(*session.Session){control.Refuse, refuseFiles}}
	o := probe.Options{Call: s, Evidence: cmd.String("evidence"), ReportEach: cmd.String("format") != "table"}
	url := cmd.Args().First()
	if strings.HasPrefix(strings.ToLower(url), "http") {
		return o, exit.Usagef("invalid URL %q: want whip, whips, whep or wheps before ://, which says who sends", signal.PrintableURL(url))
	}
	var err error
	if s.WHIP, err = config.ReadWHIP(cmd, url, strings.HasPrefix(strings.ToLower(url), "whip")); err != nil {
		return o, err
	}
	if err := refuseNameOptions(cmd, s.WHIP.URL); err != nil {
		return o, err
	}
	for _, read := range []func(*cli.Command, *session.Options) error{readSignaling, readPath} {
		if err := read(cmd, s); err != nil {
			return o, err
		}
	}
	o.Target, s.Server, s.Timeout = s.WHIP.URL, s.Endpoint.URL.String(), cmd.Duration("timeout")
	if err := flags.ReadCalls(cmd, &o); err != nil {
		return o, err
	}
	o.Resources = resources.New(event.NewReporter(event.Options{Out: std.Out, Err: std.Err, Quiet: cmd.Bool("quiet")}), newLogger(std, cmd.Bool("verbose")), nil)
	return o, nil
}

// isEndpoint reports whether the operand is a URL.
func isEndpoint(cmd *cli.Command) bool { return whip.IsURL(cmd.Args().First()) }

// writeReport writes a report and returns the outcome.
func writeReport(ctx context.Context, std stdio.Streams, reporter *event.Reporter, report *scenario.Report, format string) error {
	var text bytes.Buffer
	if err := report.Write(&text, format, sanitize.Text); err != nil {
		return fmt.Errorf("failed to write the report: %w", err)
	}
	reporter.ClearStatus()
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
