package main

import (
	"errors"
	"io"
	"os"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/capture"
)

// createPrivate opens the empty file of a flag that others must not read.
func createPrivate(flag, path string) (*os.File, error) {
	f, err := openPrivate(path, os.O_TRUNC)
	if err != nil {
		return nil, exit.Errorf(exit.Device, "--%s: %w", flag, err)
	}
	return f, nil
}

// openPrivate opens a file for writing that others must not read, and restricts one that exists. A
// device or a pipe stays as it is.
func openPrivate(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|flags, 0o600)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		_ = f.Chmod(0o600) // fails on file systems without modes
	}
	return f, nil
}

// openCaptures opens --pcap, --rtpdump and --stats-dump.
func (s *settings) openCaptures(all *closers) error {
	if s.PcapPath != "" {
		f, err := createPrivate("pcap", s.PcapPath)
		if err != nil {
			return err
		}
		s.pcapng = capture.NewPcapng(f)
		s.closeCapture(all, s.PcapPath, s.pcapng, f)
		s.addKeyLog(s.pcapng)
	}
	if s.RTPDumpPath != "" {
		f, err := createPrivate("rtpdump", s.RTPDumpPath)
		if err != nil {
			return err
		}
		s.rtpdump = capture.NewRTPDump(f)
		s.closeCapture(all, s.RTPDumpPath, s.rtpdump, f)
	}
	if s.StatsDumpPath != "" {
		f, err := createPrivate("stats-dump", s.StatsDumpPath)
		if err != nil {
			return err
		}
		s.statsDump = capture.NewStatsDump(f, "parley/"+version())
		s.closeCapture(all, s.StatsDumpPath, s.statsDump, f)
	}
	return nil
}

// closeCapture has a capture closed, and then its file, when all calls are over.
func (s *settings) closeCapture(all *closers, path string, c, file io.Closer) {
	s.report.Warnf("%s has the keys of the call: keep it to yourself", sanitize.Text(path))
	all.all = append(all.all, closing(func() error {
		err := errors.Join(c.Close(), file.Close())
		if err != nil {
			s.report.Warnf("%s is not whole: %v", sanitize.Text(path), err)
		}
		return err
	}))
}

// addKeyLog has the keys of calls written to p too.
func (s *settings) addKeyLog(p *capture.Pcapng) {
	if s.keyLog == nil {
		s.keyLog = p.KeyLog()
	} else {
		s.keyLog = io.MultiWriter(s.keyLog, p.KeyLog())
	}
}

// closing is a function that closes.
type closing func() error

func (c closing) Close() error { return c() }

// tap is what sees the packets of calls, nil for nobody.
func (s *settings) tap() peer.Tap {
	if s.pcapng == nil {
		return nil // not a nil *capture.Pcapng
	}
	return s.pcapng
}

// portTap is what sees the packets of the ports that all calls share, nil for nobody.
func (s *settings) portTap() peer.Tap {
	if s.demux == nil {
		return s.tap()
	}
	return s.demux
}
