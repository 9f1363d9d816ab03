package main

import (
	"net"
	"net/url"
	"os"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/media/device"
	"parley/peer"
	"parley/peer/netem"
)

// keyLogVariable names a file for the keys of all connections, as browsers and
// Wireshark understand it.
const keyLogVariable = "SSLKEYLOGFILE"

// openShared opens what all calls of this process share: the one UDP port, if
// --udp-ports names just one, the TCP port, the key log, and the audio device that
// --play plays to. The function gives it back.
func (s *settings) openShared() (release func(), err error) {
	var all closers
	release = func() {
		if err := all.close(); err != nil {
			s.logger.Debug("closing what calls share", "error", err)
		}
	}
	for _, open := range []func(*closers) error{s.openKeyLog, s.openCaptures, s.openUDP, s.openTCP, s.openSpeaker} {
		if err := open(&all); err != nil {
			release()
			return func() {}, err
		}
	}
	return release, nil
}

func (s *settings) openKeyLog(all *closers) error {
	path := os.Getenv(keyLogVariable)
	if path == "" {
		return nil
	}
	f, err := openPrivate(path, os.O_APPEND)
	if err != nil {
		return exit.Errorf(exit.Device, "%s: %w", keyLogVariable, err)
	}
	s.report.Warnf("keys go to %s: who reads it can decrypt this call", sanitize.Text(path))
	s.keyLog, all.all = f, append(all.all, f)
	return nil
}

func (s *settings) openUDP(all *closers) error {
	if s.MinPort == 0 || s.MinPort != s.MaxPort {
		return nil
	}
	var emulator *netem.Emulator
	if s.Impair != nil {
		emulator = netem.NewEmulator(*s.Impair)
		all.all = append(all.all, emulator)
	}
	mux, err := peer.ListenMux(s.MinPort, s.loopback(), s.Interfaces, s.portTap(), emulator)
	if err != nil {
		return exit.Errorf(exit.Failure, "--udp-ports %d:%d: %w; is another parley running", s.MinPort, s.MaxPort, err)
	}
	s.mux, all.all = mux, append(all.all, mux)
	return nil
}

func (s *settings) openTCP(all *closers) error {
	if s.TCPPort == 0 {
		return nil
	}
	mux, err := peer.ListenTCP(s.TCPPort, s.logger, s.portTap())
	if err != nil {
		return exit.Errorf(exit.Failure, "--tcp-port %d: %w; is another parley running", s.TCPPort, err)
	}
	s.tcp, all.all = mux, append(all.all, mux)
	return nil
}

// newEmulator returns the emulator of a call's own sockets, nil without --impair. Calls that share a UDP port share an
// emulator, see openUDP.
func (s *settings) newEmulator() *netem.Emulator {
	if s.Impair == nil || s.mux != nil {
		return nil
	}
	return netem.NewEmulator(*s.Impair)
}

// openSpeaker opens the audio device of --play, which all calls share.
func (s *settings) openSpeaker(all *closers) error {
	if !s.Play {
		return nil
	}
	speaker, err := device.OpenSpeaker(device.SpeakerOptions{ID: s.AudioOut, Warn: s.warn, Logger: s.logger})
	if err != nil {
		return err
	}
	s.speaker, all.all = speaker, append(all.all, speaker)
	return nil
}

// loopback reports whether loopback addresses should be offered: when the signaling
// server is on this machine, for then the peer may be too, and when the
// machine has no other address.
func (s *settings) loopback() bool {
	if u, err := url.Parse(s.Server); err == nil {
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
