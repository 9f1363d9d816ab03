package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/media/device"
	"parley/media/recorder"
	"parley/peer"
	"parley/peer/capture"
	"parley/peer/datachannel"
	"parley/peer/netem"
	"parley/signal"
)

// settings is a command line that has been read and checked.
type settings struct {
	report *event.Reporter
	logger *slog.Logger

	server  string
	name    string
	dialect signal.Dialect
	header  http.Header
	token   func() (string, error)
	tls     *tls.Config

	iceGiven                             []webrtc.ICEServer
	relayOnly                            bool
	minPort, maxPort                     uint16
	tcpPort                              uint16     // 0 for none
	tcp                                  ice.TCPMux // nil without tcpPort
	mux                                  ice.UDPMux // nil unless minPort is maxPort
	pcapPath, rtpdumpPath, statsDumpPath string
	pcapng                               *capture.Pcapng    // nil without --pcap
	demux                                *capture.Demux     // of shared ports to the captures of single calls, nil for none
	rtpdump                              *capture.RTPDump   // nil without --rtpdump
	statsDump                            *capture.StatsDump // nil without --stats-dump
	keyLog                               io.Writer          // nil for none
	advertise                            []string
	interfaces                           peer.InterfaceFilter
	impair                               *netem.Config // --impair, nil without

	input         string // format of commands on stdin, "" for none
	video, audio  string // sources, "" for none
	stdin         io.Reader
	show          string  // how to show pictures, "" for not at all
	watcher       watcher // of pictures, nil for none
	codecs        []string
	decodable     []string // what this machine can show of --show; nil without
	encode        string   // MIME type for what a device sends, "" for the best of this build
	audioRate     int
	width, height int
	rate          float64
	bitrate       int
	simulcast     bool
	loop          bool
	devices       *device.Shared // those that several calls use at once
	play          bool
	audioOut      string          // of play, "" for the system's default
	speaker       *device.Speaker // nil without play

	verify   string              // "", verifyAsk, or the code that a call must have
	identity *webrtc.Certificate // nil for a new one for each call
	asker    *asker

	channels []datachannel.Options // that a caller opens; none: one with the usual label
	attach   []func(*session)      // add observers, middleware and channel applications to a new call
	analysis analysis              // of received media, from the start of a call

	maxCalls      int // at once, 0 for any number
	say           []string
	checks        []event.Check
	record        string
	overwrite     bool // replace existing files
	recordPartly  bool // what a recording lacks is no error
	recordings    *recordings
	splitTime     time.Duration
	splitBytes    int64
	duration      time.Duration
	timeout       time.Duration
	retryTaken    bool          // --timeout was given: a login is tried again until then while the name is taken
	timeLeft      time.Duration // of timeout, once signed in
	stay          time.Duration // in place of linger: no less than this from the start of the call
	linger        time.Duration
	statsInterval time.Duration
}

// analysis is what is measured of received media although no expectation asks for it.
type analysis struct {
	tone     bool // the tone and level of audio
	frameIDs bool // the frame IDs of the test source
	quality  bool // what quality.Analyzer reports
}

// readSettings reads the flags that cmd has; std is where it reports to.
func readSettings(cmd *cli.Command, std stdio.Streams) (*settings, error) {
	s := &settings{recordings: newRecordings(), asker: &asker{}, devices: &device.Shared{}, stdin: std.In, attach: []func(*session){refuseControl, refuseFiles}}
	for _, read := range []func(*cli.Command) error{s.readSignaling, s.readPath, s.readMedia, s.readGoal, s.readVerify, s.readInput, s.readChannels} {
		if err := read(cmd); err != nil {
			return nil, err
		}
	}
	return s, s.readOutput(cmd, std)
}

func (s *settings) readOutput(cmd *cli.Command, std stdio.Streams) error {
	output := cmd.String("output")
	if output != "human" && output != "ndjson" {
		return exit.Usagef("--output %q: it is human or ndjson", sanitize.Text(output))
	}
	s.report = event.NewReporter(event.Options{
		Out: std.Out, Err: std.Err, NDJSON: output == "ndjson", Quiet: cmd.Bool("quiet"), Verbose: cmd.Bool("verbose"),
	})
	s.logger = slog.New(slog.DiscardHandler)
	if cmd.Bool("verbose") {
		s.logger = slog.New(slog.NewTextHandler(std.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return nil
}

func (s *settings) readSignaling(cmd *cli.Command) (err error) {
	s.server, s.name = cmd.String("server"), cmd.String("as")
	if s.token, err = tokenSource(cmd); err != nil {
		return err
	}
	if s.dialect, err = signal.ParseDialect(cmd.String("dialect")); err != nil {
		return exit.Usagef("--dialect: %v", err)
	}
	if s.header, err = parseHeaders("header", cmd.StringSlice("header")); err != nil {
		return err
	}
	return s.readTLS(cmd)
}

func (s *settings) readTLS(cmd *cli.Command) error {
	s.tls = &tls.Config{InsecureSkipVerify: cmd.Bool("insecure")}
	file := cmd.String("ca")
	if file == "" {
		return nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return exit.Errorf(exit.Device, "--ca: %w", err)
	}
	s.tls.RootCAs = x509.NewCertPool()
	if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
		return exit.Errorf(exit.Device, "--ca %s: there is no certificate in it; it should be a PEM file", sanitize.Text(file))
	}
	return nil
}

func (s *settings) readPath(cmd *cli.Command) (err error) {
	servers, err := expandFiles("ice-server", cmd.StringSlice("ice-server"))
	if err != nil {
		return err
	}
	if s.iceGiven, err = iceServers(servers); err != nil {
		return err
	}
	switch policy := cmd.String("ice-policy"); policy {
	case "", "all":
	case "relay":
		s.relayOnly = true
	default:
		return exit.Usagef("--ice-policy %q: it is all or relay", sanitize.Text(policy))
	}
	s.pcapPath, s.rtpdumpPath, s.statsDumpPath = cmd.String("pcap"), cmd.String("rtpdump"), cmd.String("stats-dump")
	s.interfaces = peer.InterfaceFilter{Include: cmd.StringSlice("interface"), Exclude: cmd.StringSlice("exclude-interface")}
	if err := s.interfaces.Check(); err != nil {
		return exit.Usagef("--interface, --exclude-interface: %s", sanitize.Text(err.Error()))
	}
	s.advertise = cmd.StringSlice("advertise-ip")
	for _, ip := range s.advertise {
		if a, err := netip.ParseAddr(ip); err != nil || a.IsUnspecified() || a.Zone() != "" {
			return exit.Usagef("--advertise-ip %q: it is an address, such as 198.51.100.7", sanitize.Text(ip))
		}
	}
	if text := cmd.String("impair"); text != "" {
		c, err := netem.Parse(text)
		if err != nil {
			return exit.Usagef("--impair: %s", sanitize.Text(err.Error()))
		}
		s.impair = &c
	}
	tcp := cmd.Int("tcp-port")
	if tcp < 0 || tcp > 65535 {
		return exit.Usagef("--tcp-port %d: it is a port, 1 to 65535", tcp)
	}
	s.tcpPort = uint16(tcp)
	s.minPort, s.maxPort, err = portRange(cmd.String("udp-ports"))
	return err
}

func (s *settings) readMedia(cmd *cli.Command) (err error) {
	s.video, s.audio = sourceSpec(cmd.String("video")), sourceSpec(cmd.String("audio"))
	s.loop, s.bitrate = cmd.Bool("loop"), cmd.Int("video-bitrate")
	if s.width, s.height, s.rate, err = videoSize(cmd.String("video-size")); err != nil {
		return err
	}
	s.play, s.audioOut = cmd.Bool("play") || cmd.String("audio-out") != "", cmd.String("audio-out")
	s.audioRate, s.simulcast = cmd.Int("audio-rate"), cmd.Bool("simulcast")
	mime, err := videoMIME(cmd.String("video-codec"))
	if s.encode = mime; mime != "" {
		s.codecs = []string{mime}
	}
	return err
}

// sourceSpec returns the value of --video or --audio, "" for none.
func sourceSpec(s string) string {
	if s == "none" {
		return ""
	}
	return s
}

func (s *settings) readGoal(cmd *cli.Command) error {
	if s.maxCalls = cmd.Int("max-calls"); s.maxCalls < 0 {
		return exit.Usagef("--max-calls %d: it is a number of calls, or 0 for any", s.maxCalls)
	}
	s.say, s.record, s.show = cmd.StringSlice("say"), cmd.String("record"), cmd.String("show")
	s.overwrite = cmd.Bool("overwrite")
	s.duration, s.timeout, s.retryTaken = cmd.Duration("duration"), cmd.Duration("timeout"), cmd.IsSet("timeout")
	s.linger, s.statsInterval = cmd.Duration("linger"), cmd.Duration("stats-interval")
	for _, raw := range cmd.StringSlice("expect") {
		c, err := parseExpect(raw)
		if err != nil {
			return err
		}
		s.checks = append(s.checks, c)
	}
	var err error
	if s.splitTime, s.splitBytes, err = recordSplit(cmd.String("record-split")); err != nil {
		return err
	}
	if s.record != "" && len(s.codecs) == 0 {
		_, s.codecs = recorder.Codecs(s.record)
	}
	return nil
}
