// Package resources opens what the calls of a process share.
package resources

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
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/media/device"
	"parley/peer"
	"parley/peer/capture"
	"parley/peer/netem"
)

// Options say what resources.open opens.
type Options struct {
	config.Network
	config.Capture
	Server   string // the signaling server
	Play     bool
	AudioOut string // the speaker
	Version  string // of this program
}

// Resources are what the calls of a process share while it runs.
type Resources struct {
	Report *event.Reporter
	Logger *slog.Logger
	Stdin  io.Reader

	TCPMux    ice.TCPMux         // nil without TCPPort
	UDPMux    ice.UDPMux         // nil unless MinPort is MaxPort
	Pcapng    *capture.Pcapng    // nil without --pcap
	Demux     *capture.Demux     // of shared ports to the captures of single calls, nil for none
	RTPDump   *capture.RTPDump   // nil without --rtpdump
	StatsDump *capture.StatsDump // nil without --stats-dump
	KeyLog    io.Writer          // nil for none

	Watcher    mediain.Watcher // of video, nil for none
	Devices    *device.Shared  // those that several calls use at once
	Speaker    *device.Speaker // nil without Play
	Recordings *mediain.Recordings

	Identity *webrtc.Certificate // nil for a new one for each call
	Asker    *stdio.Asker

	opened []io.Closer // by open
}

// New returns resources of which nothing is opened. The caller closes report.
func New(report *event.Reporter, logger *slog.Logger, stdin io.Reader) *Resources {
	return &Resources{Report: report, Logger: logger, Stdin: stdin, Devices: &device.Shared{}, Recordings: mediain.NewRecordings(), Asker: &stdio.Asker{}}
}

// Warn reports a warning whose text is not to be trusted.
func (r *Resources) Warn(text string) { r.Report.Warnf("%s", sanitize.Text(text)) }

// Open opens what all calls of this process share: the key log, the captures, the one UDP port, if
// --udp-ports names just one, the TCP port, and the audio device that --play plays to. The caller
// closes r, unless there is an error.
func (r *Resources) Open(o Options) error {
	for _, open := range []func(Options) error{r.openKeyLog, r.openCaptures, r.openUDP, r.openTCP, r.openSpeaker} {
		if err := open(o); err != nil {
			r.Close()
			return err
		}
	}
	return nil
}

// Close closes what open has opened.
func (r *Resources) Close() {
	var err error
	for _, c := range r.opened {
		err = errors.Join(err, c.Close())
	}
	r.TCPMux, r.UDPMux, r.Pcapng, r.RTPDump, r.StatsDump, r.KeyLog, r.Speaker, r.opened = nil, nil, nil, nil, nil, nil, nil, nil
	if err != nil {
		r.Logger.Debug("closing what calls share", "error", err)
	}
}

// keyLogVariable names a file for the keys of all connections, as browsers and
// Wireshark understand it.
const keyLogVariable = "SSLKEYLOGFILE"

func (r *Resources) openKeyLog(o Options) error {
	path := os.Getenv(keyLogVariable)
	if path == "" {
		return nil
	}
	f, err := openPrivate(path, os.O_APPEND)
	if err != nil {
		return exit.Errorf(exit.Device, "%s: %w", keyLogVariable, err)
	}
	r.Report.Warnf("keys go to %s: who reads it can decrypt this call", sanitize.Text(path))
	r.KeyLog, r.opened = f, append(r.opened, f)
	return nil
}

func (r *Resources) openUDP(o Options) error {
	if o.MinPort == 0 || o.MinPort != o.MaxPort {
		return nil
	}
	var emulator *netem.Emulator
	if o.Impair != nil {
		emulator = netem.NewEmulator(*o.Impair)
		r.opened = append(r.opened, emulator)
	}
	mux, err := peer.ListenMux(o.MinPort, OffersLoopback(o.Server), o.Interfaces, r.portTap(), emulator)
	if err != nil {
		return exit.Errorf(exit.Failure, "--udp-ports %d:%d: %w; is another parley running", o.MinPort, o.MaxPort, err)
	}
	r.UDPMux, r.opened = mux, append(r.opened, mux)
	return nil
}

func (r *Resources) openTCP(o Options) error {
	if o.TCPPort == 0 {
		return nil
	}
	mux, err := peer.ListenTCP(o.TCPPort, r.Logger, r.portTap())
	if err != nil {
		return exit.Errorf(exit.Failure, "--tcp-port %d: %w; is another parley running", o.TCPPort, err)
	}
	r.TCPMux, r.opened = mux, append(r.opened, mux)
	return nil
}

// openSpeaker opens the audio device of --play, which all calls share.
func (r *Resources) openSpeaker(o Options) error {
	if !o.Play {
		return nil
	}
	speaker, err := device.OpenSpeaker(device.SpeakerOptions{ID: o.AudioOut, Warn: r.Warn, Logger: r.Logger})
	if err != nil {
		return err
	}
	r.Speaker, r.opened = speaker, append(r.opened, speaker)
	return nil
}

// NewEmulator returns the emulator of a call's own sockets, nil without --impair. Calls that share
// a UDP port share an emulator, see openUDP.
func (r *Resources) NewEmulator(o config.Network) *netem.Emulator {
	if o.Impair == nil || r.UDPMux != nil {
		return nil
	}
	return netem.NewEmulator(*o.Impair)
}

// OffersLoopback reports whether loopback addresses should be offered: when the signaling
// server is on this machine, for then the peer may be too, and when the
// machine has no other address.
func OffersLoopback(server string) bool {
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
