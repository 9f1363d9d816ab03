package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/signal"
)

// variable is the environment variable of a flag.
func variable(name string) cli.ValueSourceChain {
	return cli.EnvVars("PARLEY_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
}

func stringFlag(name, value, usage string) cli.Flag {
	return &cli.StringFlag{Name: name, Value: value, Usage: usage, Sources: variable(name)}
}

// listFlag may be given several times; a comma does not divide.
func listFlag(name, usage string) cli.Flag {
	return &cli.StringSliceFlag{Name: name, Usage: usage, Sources: variable(name)}
}

func boolFlag(name, usage string, aliases ...string) cli.Flag {
	return &cli.BoolFlag{Name: name, Usage: usage, Aliases: aliases, Sources: variable(name)}
}

func durationFlag(name string, value time.Duration, usage string) cli.Flag {
	f := &cli.DurationFlag{Name: name, Value: value, Usage: usage, Sources: variable(name)}
	f.HideDefault = value == 0
	return f
}

func outputFlags() []cli.Flag {
	return inCategory("OUTPUT", []cli.Flag{
		stringFlag("output", "human", "`FORMAT`: human, or ndjson: one JSON object a line on stdout"),
		boolFlag("quiet", "say nothing but errors and results", "q"),
		boolFlag("verbose", "say more: candidates, statistics, what the libraries say", "v"),
	})
}

func signalingFlags(as string) []cli.Flag {
	return inCategory("SIGNALING", []cli.Flag{
		stringFlag("server", "ws://localhost:9090", "signaling server, a ws:// or wss:// `URL`"),
		stringFlag("as", as, "my `NAME` there. A name that is taken is tried again until --timeout, if that is given; otherwise for 10s, "+
			"unless the server has found its client connected"),
		stringFlag("dialect", "call", "`WIRE`: call, or relay (the hello-world sample's)"),
		listFlag("header", "`'NAME: VALUE'` for the signaling server, or @FILE with one on each line; repeatable"),
		stringFlag("ca", "", "PEM `FILE` with certificates to trust for wss and turns"),
		stringFlag("token", "", "`TOKEN` for the login, where the server wants one; other users of this machine can see it, so prefer --token-file or $PARLEY_TOKEN"),
		stringFlag("token-file", "", "`FILE` with the token, read again for every login and before the token expires"),
		boolFlag("insecure", "do not check the certificates of wss and turns servers"),
	})
}

// pathFlags are about the way that packets take.
func pathFlags() []cli.Flag {
	return inCategory("NETWORK", []cli.Flag{
		listFlag("ice-server", "`URL`: stun:HOST, or turn:HOST,USER,SECRET, or @FILE with one on each line; repeatable"),
		stringFlag("ice-policy", "all", "`POLICY`: all, or relay: through a TURN server only"),
		stringFlag("udp-ports", "", "`MIN:MAX` of the UDP ports to use; if they are one, all calls share it"),
		&cli.IntFlag{Name: "tcp-port", Usage: "be reachable by TCP at `PORT` too, where no UDP gets through (ICE over TCP); to others who are, we connect anyway", Sources: variable("tcp-port"), HideDefault: true},
		listFlag("interface", "use only network interfaces whose name matches `PATTERN`, such as 'eth*'; repeatable"),
		listFlag("exclude-interface", "do not use network interfaces whose name matches `PATTERN`, such as 'docker*'; repeatable"),
		listFlag("advertise-ip", "`IP` to offer in place of this machine's own; repeatable"),
		stringFlag("impair", "", "emulate a bad network for our own UDP packets, both ways, by `SETTINGS`: 'loss=5% delay=40ms jitter=10ms reorder=1% duplicate=1% rate=500kbit outage=3s@10s seed=7', any of these; "+
			"the same seed does the same to the nth packet of a kind. outage=D@T: nothing gets through for D, T after the first packet of the call. TCP is not touched"),
	})
}

func callFlags(timeout time.Duration) []cli.Flag {
	return slices.Concat(inCategory("CALL", []cli.Flag{
		listFlag("say", "`TEXT` to send when the data channel opens; repeatable"),
		listFlag("expect", "end with 0 as soon as all of these hold, with 3 when --timeout comes first; repeatable. "+
			"`CHECK` is KEY, or KEY OP VALUE with = != >= <= ~ (regular expression): connected, text=pong, video.frames>=30, "+
			"video.size=640x480, video.codec=VP8, audio.packets>=50, audio.tone=440, track.video, leave"),
		durationFlag("duration", 0, "hang up after `D` of call"),
		durationFlag("timeout", timeout, "give up after `D`; if given, a name that is taken is tried again until then"),
		durationFlag("linger", 500*time.Millisecond, "stay in the call for `D` once all expectations hold"),
		durationFlag("stats-interval", time.Second, "`D` between stats events, 0 for none but the last"),
	}), inCategory("WHAT IS RECEIVED", []cli.Flag{
		stringFlag("record", "", "record what is received to `FILE` without re-encoding: .webm, .mkv or .mp4, or one track to .ivf .ogg .wav .h264, or to a FIFO of such a name; "+
			"%p is the peer's name, %t the time of the call, %n a number that makes it new; an existing file is kept, and the name gets -2"),
		boolFlag("overwrite", "let --record replace an existing file"),
		stringFlag("show", "", "show received video in the terminal, the best way that it can; or by `HOW`: kitty, sixel, blocks, 256, or window (ffplay or mpv)"),
		stringFlag("record-split", "", "begin another file when one has this `LENGTH`, 10m or 1h, or size, 500M or 2G"),
		boolFlag("play", "play the sound that is received; with headphones, for echo is not cancelled"),
		stringFlag("audio-out", "", "--play to this sound card: an `ID` or a number that parley devices lists, or a part of its name"),
	}), channelFlags(), pathFlags())
}

func sourceFlags() []cli.Flag {
	return inCategory("WHAT IS SENT", []cli.Flag{
		stringFlag("video", "none", "`SRC` to send: camera[:ID], screen[:N], test, a file (.webm .mkv .mp4 .ivf .h264 .y4m), - for standard input, 'exec:COMMAND' for what a program writes, or none; parley devices lists what there is"),
		stringFlag("audio", "none", "`SRC` to send: microphone[:ID], test, tone:HZ, a file (.ogg .webm .mkv .mp4 .wav), -, 'exec:COMMAND' or none"),
		stringFlag("video-size", "", "`WxH[@RATE]` of the test picture (default 320x240@15), the nearest to that of a camera (640x480@30), and what raw pictures (Y4M) are scaled to"),
		stringFlag("video-codec", "", "prefer `CODEC`: vp8, vp9, h264 or av1; a camera or screen is encoded to it"),
		&cli.IntFlag{Name: "video-bitrate", Usage: "`BITS` a second, at most, of the test picture, a camera, a screen or raw pictures; less is sent while the network carries less", Sources: variable("video-bitrate"), HideDefault: true},
		&cli.IntFlag{Name: "audio-rate", Usage: "`SAMPLES` a second of a microphone: 8000, 12000, 16000, 24000 or 48000", Sources: variable("audio-rate"), HideDefault: true},
		boolFlag("simulcast", "send a camera, a screen or the test picture in three sizes at once, for a server that chooses"),
		boolFlag("loop", "play files over and over"),
	})
}

// answerFlags are of who answers; cooperate is the default of that.
func answerFlags(cooperate bool) []cli.Flag {
	return []cli.Flag{
		boolFlag("once", "end after the first call"),
		&cli.IntFlag{Name: "max-calls", Usage: "take `N` calls at once, 0 for any number; others are told that we are busy", Sources: variable("max-calls")},
		&cli.BoolFlag{Name: "cooperate", Value: cooperate, Sources: variable("cooperate"), HideDefault: !cooperate,
			Usage: "let who calls look at the call from this end, as parley probe does: see its events, and hold, resume, mute, restart or end it, by a data channel"},
	}
}

// iceServers reads --ice-server.
func iceServers(values []string) ([]webrtc.ICEServer, error) {
	var servers []webrtc.ICEServer
	for _, v := range values {
		parts := strings.SplitN(v, ",", 3)
		s := webrtc.ICEServer{URLs: parts[:1]}
		scheme, _, _ := strings.Cut(parts[0], ":")
		switch {
		case scheme != "stun" && scheme != "stuns" && scheme != "turn" && scheme != "turns":
			return nil, exit.Usagef("--ice-server %q: the address begins with stun:, stuns:, turn: or turns:", sanitize.Text(parts[0]))
		case strings.HasPrefix(scheme, "turn") && len(parts) != 3:
			return nil, exit.Usagef("--ice-server %q: a TURN server needs user and secret: turn:HOST,USER,SECRET", sanitize.Text(parts[0]))
		case len(parts) == 3:
			s.Username, s.Credential = parts[1], parts[2]
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// portRange reads --udp-ports.
func portRange(s string) (low, high uint16, err error) {
	if s == "" {
		return 0, 0, nil
	}
	a, b, _ := strings.Cut(s, ":")
	l, err1 := strconv.ParseUint(a, 10, 16)
	h, err2 := strconv.ParseUint(b, 10, 16)
	if err1 != nil || err2 != nil || l == 0 || l > h {
		return 0, 0, exit.Usagef("--udp-ports %q: it is MIN:MAX, such as 50000:50100", sanitize.Text(s))
	}
	return uint16(l), uint16(h), nil
}

// videoSize reads --video-size.
func videoSize(s string) (width, height int, rate float64, err error) {
	if s == "" {
		return 0, 0, 0, nil
	}
	size, r, hasRate := strings.Cut(s, "@")
	w, h, _ := strings.Cut(size, "x")
	width, err1 := strconv.Atoi(w)
	height, err2 := strconv.Atoi(h)
	var err3 error
	if hasRate {
		rate, err3 = strconv.ParseFloat(r, 64)
	}
	if err1 != nil || err2 != nil || err3 != nil || width <= 0 || height <= 0 || hasRate && rate <= 0 {
		return 0, 0, 0, exit.Usagef("--video-size %q: it is WIDTHxHEIGHT or WIDTHxHEIGHT@RATE, such as 640x480@15", sanitize.Text(s))
	}
	return width, height, rate, nil
}

// videoMIME reads --video-codec.
func videoMIME(s string) (string, error) {
	switch strings.ToLower(s) {
	case "":
		return "", nil
	case "vp8":
		return webrtc.MimeTypeVP8, nil
	case "vp9":
		return webrtc.MimeTypeVP9, nil
	case "h264":
		return webrtc.MimeTypeH264, nil
	case "av1":
		return webrtc.MimeTypeAV1, nil
	}
	return "", exit.Usagef("--video-codec %q: it is vp8, vp9, h264 or av1", sanitize.Text(s))
}

// theName is the operand NAME, or otherwise if there is none.
func theName(cmd *cli.Command, otherwise string) (string, error) {
	args := cmd.Args().Slice()
	switch {
	case len(args) > 1:
		return "", exit.Usagef("%s takes one name, not %d: %s", cmd.FullName(), len(args), sanitize.Text(strings.Join(args, " ")))
	case len(args) == 1:
		otherwise = args[0]
	case otherwise == "":
		return "", exit.Usagef("%s needs the name of whom to call; see %s --help", cmd.FullName(), cmd.FullName())
	}
	if err := signal.CheckPeerName(otherwise); err != nil {
		return "", exit.Usagef("the name %q cannot be called: %v", sanitize.Text(otherwise), err)
	}
	return otherwise, nil
}

// alone makes a command refuse operands. It does so in the action: what runs
// before that runs for shell completion too, where a part of a flag is one.
func alone(c *cli.Command) *cli.Command {
	action := c.Action
	c.Action = func(ctx context.Context, cmd *cli.Command) error {
		if cmd.Args().Present() {
			return exit.Usagef("%s takes no %q; see %s --help", cmd.FullName(), sanitize.Text(cmd.Args().First()), cmd.FullName())
		}
		return action(ctx, cmd)
	}
	return c
}

func size(width, height int) string { return fmt.Sprintf("%dx%d", width, height) }
