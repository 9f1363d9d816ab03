package config

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/datachannel"
	"parley/signal"
)

// Call says how long calls go on, and what a call is for.
type Call struct {
	MaxCalls      int // at once, 0 for any number
	Say           []string
	Checks        []event.Check
	Duration      time.Duration // 0 for any
	Wait          time.Duration // for the peer to sign in, 0 for not at all
	Timeout       time.Duration // 0 for none
	RetryTaken    bool          // --timeout was given: a name that is taken is tried again until then
	Linger        time.Duration // after all checks have held
	StatsInterval time.Duration // 0 for the last statistics only
}

// CallFlags are the flags of Call, MediaIn, Network and data channels. The default of --timeout is
// timeout.
func CallFlags(timeout time.Duration) []cli.Flag {
	return slices.Concat(Category("CALL", []cli.Flag{
		Strings("say", "`TEXT` to send when the data channel opens, exit code 1 if it cannot be sent; repeatable"),
		Strings("expect", "end with 0 as soon as all of these hold, with 3 when --timeout comes first; repeatable. "+
			"`CHECK` is KEY, or KEY OP VALUE with = != < <= > >= ~ (regular expression): connected, text=pong, video.frames>=30, "+
			"video.size=640x480, video.codec=VP8, audio.packets>=50, audio.tone=440, track.video, remote-hangup"),
		Duration("duration", 0, "hang up after `D` of call"),
		Duration("timeout", timeout, "give up after `D`; if given, a name that is taken is tried again until then"),
		Duration("linger", 500*time.Millisecond, "stay in the call for `D` once all expectations hold"),
		Duration("stats-interval", time.Second, "`D` between stats events, 0 for none but the last"),
	}), MediaInFlags(), ChannelFlags(), NetworkFlags())
}

// ReadCall reads the flags of CallFlags. The keys of --expect are keys.
func ReadCall(cmd *cli.Command, keys map[string]event.Kind) (c Call, err error) {
	if c.MaxCalls = cmd.Int("max-calls"); c.MaxCalls < 0 {
		return c, exit.Usagef("invalid --max-calls %d: want a number of calls, or 0 for any", c.MaxCalls)
	}
	c.Say = cmd.StringSlice("say")
	c.Duration, c.Timeout, c.RetryTaken = cmd.Duration("duration"), cmd.Duration("timeout"), cmd.IsSet("timeout")
	c.Linger, c.StatsInterval = cmd.Duration("linger"), cmd.Duration("stats-interval")
	if c.Wait, err = ReadWait(cmd); err != nil {
		return c, err
	}
	c.Checks, err = Checks(cmd.StringSlice("expect"), keys)
	return c, err
}

// WaitFlags are the flags of commands that can wait for the peer to sign in.
func WaitFlags() []cli.Flag {
	return Category("CALL", []cli.Flag{
		Duration("wait", 0, "wait up to `D` for NAME to sign in, then end with 12; --timeout begins with the call"),
	})
}

// ReadWait reads the flag of WaitFlags.
func ReadWait(cmd *cli.Command) (time.Duration, error) {
	wait := cmd.Duration("wait")
	if wait < 0 {
		return 0, exit.Usagef("invalid --wait %s: want a duration of 0 or more", wait)
	}
	return wait, nil
}

// Checks parses values of --expect.
func Checks(values []string, keys map[string]event.Kind) (checks []event.Check, err error) {
	for _, raw := range values {
		c, err := event.ParseCheck(raw, keys)
		if err != nil {
			return nil, exit.Usagef("--expect %w", err)
		}
		checks = append(checks, c)
	}
	return checks, nil
}

// AnswerFlags are the flags of commands that answer calls. The default of --allow-probe is
// allowProbe.
func AnswerFlags(allowProbe bool) []cli.Flag {
	return []cli.Flag{
		Bool("once", "end after the first call"),
		Int("max-calls", 0, "take `N` calls at once, 0 for any number; other callers are rejected as busy"),
		&cli.BoolFlag{Name: "allow-probe", Value: allowProbe, Sources: Variable("allow-probe"), HideDefault: !allowProbe,
			Usage: "let the caller look at the call from this end, as parley probe does: see its events, and hold, resume, mute, restart or end it, by a data channel"},
	}
}

// Output says how events are reported.
type Output struct {
	NDJSON, Quiet, Verbose bool
}

// OutputFlags are the flags of Output.
func OutputFlags() []cli.Flag {
	return Category("OUTPUT", []cli.Flag{
		String("output", "human", "`FORMAT`: human, or ndjson: one JSON object a line on stdout"),
		Bool("quiet", "say nothing but errors and results", "q"),
		Bool("verbose", "say more: candidates, statistics, what the libraries say", "v"),
	})
}

// ReadOutput reads the flags of OutputFlags.
func ReadOutput(cmd *cli.Command) (Output, error) {
	output := cmd.String("output")
	if output != "" && output != "human" && output != "ndjson" {
		return Output{}, exit.Usagef("invalid --output %q: want human or ndjson", sanitize.Text(output))
	}
	return Output{NDJSON: output == "ndjson", Quiet: cmd.Bool("quiet"), Verbose: cmd.Bool("verbose")}, nil
}

// Capture names the files that packets and statistics are written to, "" for none.
type Capture struct {
	PcapPath, RTPDumpPath, StatsDumpPath string
}

// CaptureFlags are the flags of Capture.
func CaptureFlags() []cli.Flag {
	return Category("OUTPUT", []cli.Flag{
		String("pcap", "", "the packets of all calls go to `FILE` for Wireshark (pcapng), with the keys to decrypt them"),
		String("rtpdump", "", "the RTP packets that come go to `FILE`, decrypted, as rtpplay reads them"),
		String("stats-dump", "", "what happens in calls, with their statistics, goes to `FILE` for viewers of WebRTC dumps (RTCStatsDump)"),
	})
}

// ReadCapture reads the flags of CaptureFlags.
func ReadCapture(cmd *cli.Command) Capture {
	return Capture{cmd.String("pcap"), cmd.String("rtpdump"), cmd.String("stats-dump")}
}

// Monitoring says where metrics and traces of calls go.
type Monitoring struct {
	Metrics string   // HOST:PORT to listen on, "" for none
	OTLP    *url.URL // of a receiver of traces, nil for none
}

// MonitoringFlags are the flags of Monitoring.
func MonitoringFlags() []cli.Flag {
	return Category("OUTPUT", []cli.Flag{
		String("metrics", "", "serve metrics of calls for Prometheus on `HOST:PORT`, see parley help monitoring"),
		String("otlp", "", "send a trace of each call to the OTLP receiver at `URL`, such as http://localhost:4318"),
	})
}

// ReadMonitoring reads the flags of MonitoringFlags.
func ReadMonitoring(cmd *cli.Command) (m Monitoring, err error) {
	if m.Metrics = cmd.String("metrics"); m.Metrics != "" {
		if err := CheckListenAddress("--metrics", m.Metrics); err != nil {
			return m, err
		}
	}
	if text := cmd.String("otlp"); text != "" {
		m.OTLP, err = otlpURL(text)
	}
	return m, err
}

// otlpURL parses the URL of an OTLP receiver. A URL without a path gets that of traces.
func otlpURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err == nil && u.Port() != "" {
		_, err = strconv.ParseUint(u.Port(), 10, 16)
	}
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "":
		return nil, exit.Usagef("invalid --otlp %q: want a URL of http or https, such as http://localhost:4318", signal.PrintableURL(text))
	case u.User != nil:
		return nil, exit.Usagef("--otlp takes no password: put a header into $OTEL_EXPORTER_OTLP_HEADERS, such as 'authorization=Bearer TOKEN'")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u, nil
}

// InputFlags are the flags of commands that take further commands on standard input.
func InputFlags() []cli.Flag {
	return Category("OUTPUT", []cli.Flag{String("input", "", "`FORMAT` of commands on stdin while calls go on: ndjson: {\"id\":1,\"command\":\"say\",\"text\":\"hi\"}; also hangup, mute, unmute, hold, resume, add, remove, source, restart-ice, stats")})
}

// ReadInput reads the flags of InputFlags. It reports whether there are commands on standard input.
func ReadInput(cmd *cli.Command, media MediaOut) (bool, error) {
	input := cmd.String("input")
	switch {
	case input != "" && input != "ndjson":
		return false, exit.Usagef("invalid --input %q: want ndjson", sanitize.Text(input))
	case input != "" && (media.Video == "-" || media.Audio == "-"):
		return false, exit.Usagef("--input and a source of - both read stdin; give the source as a file")
	}
	return input != "", nil
}

// Security says how the peer of a call is verified.
type Security struct {
	ExpectCode   string // AskCode, a code that the call must have, or "" for neither
	IdentityPath string // file of the key of this side, "" for a new key for each call
}

// AskCode is the value of Security.ExpectCode that asks at the terminal.
const AskCode = "ask"

// SecurityFlags are the flags of Security.
func SecurityFlags() []cli.Flag {
	return Category("SECURITY", []cli.Flag{
		String("expect-code", "", "`CODE` that the call must have, else it ends with 30 before it connects; "+
			"ask: show it, and send nothing until you confirm that the peer shows the same"),
		String("identity", "", "PEM `FILE` with the key of this side, made if it is not there; between two such sides the code stays the same"),
	})
}

// ReadSecurity reads the flags of SecurityFlags.
func ReadSecurity(cmd *cli.Command) (Security, error) {
	s := Security{cmd.String("expect-code"), cmd.String("identity")}
	if s.ExpectCode != "" && s.ExpectCode != AskCode && !peer.IsCode(s.ExpectCode) {
		return s, exit.Usagef("invalid --expect-code %q: want ask, or the six groups of five digits that both peers show", sanitize.Text(s.ExpectCode))
	}
	return s, nil
}

// ChannelFlags are the flags of the data channels that a caller opens.
func ChannelFlags() []cli.Flag {
	return Category("DATA CHANNELS", []cli.Flag{
		Strings("channel", "`LABEL` of a data channel that the caller opens; repeatable, text goes by the first"),
		String("protocol", "", "`NAME` of what is spoken on it"),
		Bool("unordered", "a message may overtake one that was lost"),
		Int("max-retransmits", -1, "give a message up after sending it `N` times again"),
		Duration("max-lifetime", 0, "give a message up after `D`, at most 65.535s"),
		Int("negotiated", -1, "open the channels unannounced, as number `ID` and following, 0 to 65534; both sides have to"),
	})
}

// ReadChannels reads the flags of ChannelFlags. Without --channel it returns one channel without a
// label.
func ReadChannels(cmd *cli.Command) ([]datachannel.Options, error) {
	common := datachannel.Options{Unordered: cmd.Bool("unordered"), Protocol: cmd.String("protocol"), MaxLifetime: cmd.Duration("max-lifetime")}
	if cmd.IsSet("max-retransmits") {
		n := cmd.Int("max-retransmits")
		if n < 0 || n > 65535 {
			return nil, exit.Usagef("invalid --max-retransmits %d: want 0 to 65535", n)
		}
		most := uint16(n)
		common.MaxRetransmits = &most
	}
	if cmd.IsSet("max-lifetime") && common.MaxLifetime < time.Millisecond {
		return nil, exit.Usagef("invalid --max-lifetime %s: want 1ms to 65.535s", common.MaxLifetime)
	}
	labels := cmd.StringSlice("channel")
	if len(labels) == 0 {
		labels = []string{""}
	}
	var channels []datachannel.Options
	for i, label := range labels {
		o := common
		o.Label = label
		if cmd.IsSet("negotiated") {
			id := cmd.Int("negotiated") + i
			if id < 0 || id > 65534 {
				return nil, exit.Usagef("invalid --negotiated %d: want 0 to 65534", id)
			}
			o.Negotiated, o.ID = true, uint16(id)
		}
		if err := o.Check(); err != nil {
			return nil, exit.Usagef("%v; see --max-retransmits, --max-lifetime, --channel", err)
		}
		channels = append(channels, o)
	}
	return channels, nil
}
