package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/media/device"
	"parley/peer"
	"parley/peer/capture"
	"parley/peer/netem"
)

// resourcesOptions say what resources.open opens.
type resourcesOptions struct {
	config.Network
	config.Capture
	Server   string // the signaling server
	Play     bool
	AudioOut string // the speaker
	Version  string // of this program
}

// resources are what the calls of a process share while it runs.
type resources struct {
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
	devices    *device.Shared  // those that several calls use at once
	speaker    *device.Speaker // nil without Play
	recordings *recordings

	identity *webrtc.Certificate // nil for a new one for each call
	asker    *asker

	opened []io.Closer // by open
}

// newResources returns resources of which nothing is opened. The caller closes report.
func newResources(report *event.Reporter, logger *slog.Logger, stdin io.Reader) *resources {
	return &resources{report: report, logger: logger, stdin: stdin, devices: &device.Shared{}, recordings: newRecordings(), asker: &asker{}}
}

// warn reports a warning whose text is not to be trusted.
func (r *resources) warn(text string) { r.report.Warnf("%s", sanitize.Text(text)) }

// open opens what all calls of this process share: the key log, the captures, the one UDP port, if --udp-ports names
// just one, the TCP port, and the audio device that --play plays to. The caller closes r, unless there is an error.
func (r *resources) open(o resourcesOptions) error {
	for _, open := range []func(resourcesOptions) error{r.openKeyLog, r.openCaptures, r.openUDP, r.openTCP, r.openSpeaker} {
		if err := open(o); err != nil {
			r.close()
			return err
		}
	}
	return nil
}

// close closes what open has opened.
func (r *resources) close() {
	var err error
	for _, c := range r.opened {
		err = errors.Join(err, c.Close())
	}
	r.tcp, r.mux, r.pcapng, r.rtpdump, r.statsDump, r.keyLog, r.speaker, r.opened = nil, nil, nil, nil, nil, nil, nil, nil
	if err != nil {
		r.logger.Debug("closing what calls share", "error", err)
	}
}

// keyLogVariable names a file for the keys of all connections, as browsers and
// Wireshark understand it.
const keyLogVariable = "SSLKEYLOGFILE"

func (r *resources) openKeyLog(o resourcesOptions) error {
	path := os.Getenv(keyLogVariable)
	if path == "" {
		return nil
	}
	f, err := openPrivate(path, os.O_APPEND)
	if err != nil {
		return exit.Errorf(exit.Device, "%s: %w", keyLogVariable, err)
	}
	r.report.Warnf("keys go to %s: who reads it can decrypt this call", sanitize.Text(path))
	r.keyLog, r.opened = f, append(r.opened, f)
	return nil
}

func (r *resources) openUDP(o resourcesOptions) error {
	if o.MinPort == 0 || o.MinPort != o.MaxPort {
		return nil
	}
	var emulator *netem.Emulator
	if o.Impair != nil {
		emulator = netem.NewEmulator(*o.Impair)
		r.opened = append(r.opened, emulator)
	}
	mux, err := peer.ListenMux(o.MinPort, offersLoopback(o.Server), o.Interfaces, r.portTap(), emulator)
	if err != nil {
		return exit.Errorf(exit.Failure, "--udp-ports %d:%d: %w; is another parley running", o.MinPort, o.MaxPort, err)
	}
	r.mux, r.opened = mux, append(r.opened, mux)
	return nil
}

func (r *resources) openTCP(o resourcesOptions) error {
	if o.TCPPort == 0 {
		return nil
	}
	mux, err := peer.ListenTCP(o.TCPPort, r.logger, r.portTap())
	if err != nil {
		return exit.Errorf(exit.Failure, "--tcp-port %d: %w; is another parley running", o.TCPPort, err)
	}
	r.tcp, r.opened = mux, append(r.opened, mux)
	return nil
}

// openSpeaker opens the audio device of --play, which all calls share.
func (r *resources) openSpeaker(o resourcesOptions) error {
	if !o.Play {
		return nil
	}
	speaker, err := device.OpenSpeaker(device.SpeakerOptions{ID: o.AudioOut, Warn: r.warn, Logger: r.logger})
	if err != nil {
		return err
	}
	r.speaker, r.opened = speaker, append(r.opened, speaker)
	return nil
}

// newEmulator returns the emulator of a call's own sockets, nil without --impair. Calls that share a UDP port share an
// emulator, see openUDP.
func (r *resources) newEmulator(o config.Network) *netem.Emulator {
	if o.Impair == nil || r.mux != nil {
		return nil
	}
	return netem.NewEmulator(*o.Impair)
}

// offersLoopback reports whether loopback addresses should be offered: when the signaling
// server is on this machine, for then the peer may be too, and when the
// machine has no other address.
func offersLoopback(server string) bool {
	if u, err := url.Parse(server); err == nil {
		if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return true
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return true
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback != 0 || i.Flags&net.FlagUp == 0 {
			continue
		}
		if addrs, err := i.Addrs(); err == nil && len(addrs) > 0 {
			return false
		}
	}
	return true
}
