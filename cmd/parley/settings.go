package main

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
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

	input         bool   // there are commands on stdin
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
	minDuration   time.Duration // in place of linger: no less than this from the start of the call
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
	for _, read := range []func(*cli.Command) error{s.readSignaling, s.readPath, s.readMedia, s.readGoal, s.readSecurity, s.readChannels} {
		if err := read(cmd); err != nil {
			return nil, err
		}
	}
	return s, s.readOutput(cmd, std)
}

func (s *settings) readOutput(cmd *cli.Command, std stdio.Streams) error {
	o, err := config.ReadOutput(cmd)
	if err != nil {
		return err
	}
	s.report = event.NewReporter(event.Options{Out: std.Out, Err: std.Err, NDJSON: o.NDJSON, Quiet: o.Quiet, Verbose: o.Verbose})
	s.logger = slog.New(slog.DiscardHandler)
	if o.Verbose {
		s.logger = slog.New(slog.NewTextHandler(std.Err, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return nil
}

func (s *settings) readSignaling(cmd *cli.Command) error {
	o, err := config.ReadSignaling(cmd)
	s.server, s.name, s.dialect, s.header, s.token, s.tls = o.Server, o.Name, o.Dialect, o.Header, o.Token, o.TLS
	return err
}

func (s *settings) readPath(cmd *cli.Command) error {
	o, err := config.ReadNetwork(cmd)
	s.iceGiven, s.relayOnly, s.minPort, s.maxPort, s.tcpPort = o.ICEServers, o.RelayOnly, o.MinPort, o.MaxPort, o.TCPPort
	s.advertise, s.interfaces, s.impair = o.AdvertiseIPs, o.Interfaces, o.Impair
	files := config.ReadCapture(cmd)
	s.pcapPath, s.rtpdumpPath, s.statsDumpPath = files.PcapPath, files.RTPDumpPath, files.StatsDumpPath
	return err
}

func (s *settings) readMedia(cmd *cli.Command) error {
	o, err := config.ReadMediaOut(cmd)
	if err != nil {
		return err
	}
	s.video, s.audio, s.encode, s.audioRate, s.width, s.height = o.Video, o.Audio, o.Encoding, o.AudioRate, o.Width, o.Height
	s.rate, s.bitrate, s.simulcast, s.loop = o.FrameRate, o.Bitrate, o.Simulcast, o.Loop
	if s.encode != "" {
		s.codecs = []string{s.encode}
	}
	in, err := config.ReadMediaIn(cmd)
	if err != nil {
		return err
	}
	s.record, s.overwrite, s.splitTime, s.splitBytes = in.Record, in.Overwrite, in.SegmentTime, in.SegmentBytes
	s.show, s.play, s.audioOut = in.Show, in.Play, in.AudioOut
	if s.record != "" && len(s.codecs) == 0 {
		_, s.codecs = recorder.Codecs(s.record)
	}
	s.input, err = config.ReadInput(cmd, o)
	return err
}

func (s *settings) readGoal(cmd *cli.Command) error {
	o, err := config.ReadCall(cmd, expectKeys())
	s.maxCalls, s.say, s.checks, s.duration, s.timeout = o.MaxCalls, o.Say, o.Checks, o.Duration, o.Timeout
	s.retryTaken, s.linger, s.statsInterval = o.RetryTaken, o.Linger, o.StatsInterval
	return err
}

func (s *settings) readSecurity(cmd *cli.Command) error {
	o, err := config.ReadSecurity(cmd)
	if err != nil {
		return err
	}
	if s.verify = o.Verify; s.verify == config.VerifyAsk {
		if err := tell(""); err != nil {
			return exit.Errorf(exit.Device, "--verify ask: %w; give the code with --verify CODE, see --identity", err)
		}
	}
	if o.IdentityPath != "" {
		s.identity, err = openIdentity(o.IdentityPath)
	}
	return err
}

func (s *settings) readChannels(cmd *cli.Command) (err error) {
	s.channels, err = config.ReadChannels(cmd)
	return err
}
