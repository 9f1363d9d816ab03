// Package flags parses the flags of parley probe to what is checked of a peer.
package flags

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/probe"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/scenario"
	"parley/signal/whip"
)

// All returns the flags, but those that other commands have too.
func All() []cli.Flag {
	return append(loadFlags(), []cli.Flag{
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
		config.String("playback", "", "`URL` of WHEP from which is played what is published to a URL of WHIP: what comes is compared with what was sent"),
		config.String("playback-token", "", "`TOKEN` of --playback, where it differs from that of --token"),
		config.String("playback-token-file", "", "`FILE` with the token of --playback"),
		config.VideoCodecFlag(),
		config.Bool("quiet", "say nothing but errors and the report", "q"),
		config.Bool("verbose", "say more: what the libraries say", "v"),
	}...)
}

// Read sets what is checked of the peer.
func Read(cmd *cli.Command, o *probe.Options) error {
	o.PeerType, o.Parallel = cmd.String("peer-type"), cmd.Int("parallel")
	switch {
	case o.Parallel < 1 || o.Parallel > 64:
		return exit.Usagef("invalid --parallel %d: want 1 to 64 calls", o.Parallel)
	case !slices.Contains(probe.PeerTypes(), o.PeerType):
		return exit.Usagef("invalid --peer-type %q: want one of %s", sanitize.Text(o.PeerType), strings.Join(probe.PeerTypes(), ", "))
	}
	if err := readReport(cmd, o); err != nil {
		return err
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

// readReport checks the format of the report and sets the requirements.
func readReport(cmd *cli.Command, o *probe.Options) error {
	if format := cmd.String("format"); !slices.Contains(scenario.Formats(), format) {
		return exit.Usagef("invalid --format %q: want one of %s", sanitize.Text(format), strings.Join(scenario.Formats(), ", "))
	}
	for _, text := range cmd.StringSlice("require") {
		q, err := scenario.ParseRequirement(text)
		if err != nil {
			return exit.Usagef("--require: %s", sanitize.Text(err.Error()))
		}
		o.Requirements = append(o.Requirements, q)
	}
	return nil
}

// ReadCalls sets what is checked of calls with a URL, that of o: those of --load or of --playback.
func ReadCalls(cmd *cli.Command, o *probe.Options) (err error) {
	o.PeerType, o.Parallel = "any", 1
	if o.Call.Encoding, err = config.VideoMIME(cmd.String("video-codec")); err != nil {
		return err
	}
	if err := readReport(cmd, o); err != nil {
		return err
	}
	if o.Load, err = readLoad(cmd, cmd.Args().Tail()); err != nil {
		return err
	}
	return readPlayback(cmd, o)
}

// RefusePlayback returns an error if there is a flag of what is published and played.
func RefusePlayback(cmd *cli.Command) error {
	for f, what := range map[string]string{"playback": "a URL of WHIP", "playback-token": "--playback", "playback-token-file": "--playback"} {
		if cmd.IsSet(f) {
			return exit.Usagef("--%s is for %s", f, what)
		}
	}
	if _, err := config.VideoMIME(cmd.String("video-codec")); err != nil {
		return err
	}
	return config.RefuseOptions(cmd, "is for a URL of WHIP, with --playback or --load", "video-codec")
}

// readPlayback sets what is played, and the scenarios of it.
func readPlayback(cmd *cli.Command, o *probe.Options) (err error) {
	url := cmd.String("playback")
	switch {
	case url == "":
		return config.RefuseOptions(cmd, "is for --playback", "playback-token", "playback-token-file")
	case o.Load.Peers > 0:
		return exit.Usagef("--load and --playback exclude each other: load a URL of WHEP while something is published")
	case !o.Call.Publishes():
		return exit.Usagef("--playback is for a URL of WHIP, to which something is published")
	case !whip.IsURL(url):
		return exit.Usagef("invalid --playback %q: want a whep or wheps URL", sanitize.Text(url))
	}
	if o.Playback.WHIP, err = config.ReadWHIP(cmd, url, false); err != nil {
		return err
	}
	token, err := config.Secret(cmd, "playback-token")
	if err != nil {
		return err
	}
	o.Playback.Token = func() (string, error) { return token, nil }
	if token == "" && whip.Origin(o.Playback.Endpoint.URL) == whip.Origin(o.Call.Endpoint.URL) {
		o.Playback.Token = o.Call.Token
	}
	all, err := scenario.Playback()
	if err != nil {
		return err
	}
	var missing []string
	if o.Scenarios, missing = scenario.Select(all, "all", cmd.Args().Tail()); len(missing) > 0 {
		return exit.Usagef("there is no check %s; see parley probe --list --playback URL URL", sanitize.Text(strings.Join(missing, ", ")))
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
