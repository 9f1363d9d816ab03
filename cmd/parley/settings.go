package main

import (
	"io"
	"log/slog"
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
	"parley/peer/capture"
	"parley/peer/datachannel"
)

// settings are the options of a command, and what its calls share while it runs.
type settings struct {
	config.Signaling
	config.Network
	config.Capture
	config.MediaOut
	config.MediaIn
	config.Call
	config.Security
	channels []datachannel.Options // that a caller opens; none: one with the usual label
	input    bool                  // there are commands on stdin

	report *event.Reporter
	logger *slog.Logger
	stdin  io.Reader

	tcp       ice.TCPMux         // nil without TCPPort
	mux       ice.UDPMux         // nil unless MinPort is MaxPort
	pcapng    *capture.Pcapng    // nil without --pcap
	demux     *capture.Demux     // of shared ports to the captures of single calls, nil for none
	rtpdump   *capture.RTPDump   // nil without --rtpdump
	statsDump *capture.StatsDump // nil without --stats-dump
	keyLog    io.Writer          // nil for none

	watcher    watcher         // of video, nil for none
	codecs     []string        // preferred for video, nil for any
	decodable  []string        // what this machine can show of --show; nil without
	devices    *device.Shared  // those that several calls use at once
	speaker    *device.Speaker // nil without Play
	recordings *recordings

	identity *webrtc.Certificate // nil for a new one for each call
	asker    *asker

	attach       []func(*session) // add observers, middleware and channel applications to a new call
	measurements measurements     // of received media, from the start of a call
	recordPartly bool             // what a recording lacks is no error
	timeLeft     time.Duration    // of Timeout, once signed in
	minDuration  time.Duration    // in place of Linger: no less than this from the start of the call
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

func (s *settings) readSignaling(cmd *cli.Command) (err error) {
	s.Signaling, err = config.ReadSignaling(cmd)
	return err
}

func (s *settings) readPath(cmd *cli.Command) (err error) {
	s.Capture = config.ReadCapture(cmd)
	s.Network, err = config.ReadNetwork(cmd)
	return err
}

func (s *settings) readMedia(cmd *cli.Command) (err error) {
	if s.MediaOut, err = config.ReadMediaOut(cmd); err != nil {
		return err
	}
	if s.MediaIn, err = config.ReadMediaIn(cmd); err != nil {
		return err
	}
	switch {
	case s.Encoding != "":
		s.codecs = []string{s.Encoding}
	case s.Record != "":
		_, s.codecs = recorder.Codecs(s.Record)
	}
	s.input, err = config.ReadInput(cmd, s.MediaOut)
	return err
}

func (s *settings) readGoal(cmd *cli.Command) (err error) {
	s.Call, err = config.ReadCall(cmd, expectKeys())
	return err
}

func (s *settings) readSecurity(cmd *cli.Command) (err error) {
	if s.Security, err = config.ReadSecurity(cmd); err != nil {
		return err
	}
	if s.Verify == config.VerifyAsk {
		if err := writeTerminal(""); err != nil {
			return exit.Errorf(exit.Device, "--expect-code ask: %w; give the code with --expect-code CODE, see --identity", err)
		}
	}
	if s.IdentityPath != "" {
		s.identity, err = openIdentity(s.IdentityPath)
	}
	return err
}

func (s *settings) readChannels(cmd *cli.Command) (err error) {
	s.channels, err = config.ReadChannels(cmd)
	return err
}
