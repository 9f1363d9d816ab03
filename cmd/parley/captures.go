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
func (r *resources) openCaptures(o resourcesOptions) error {
	if o.PcapPath != "" {
		f, err := createPrivate("pcap", o.PcapPath)
		if err != nil {
			return err
		}
		r.pcapng = capture.NewPcapng(f)
		r.closeCapture(o.PcapPath, r.pcapng, f)
		r.addKeyLog(r.pcapng)
	}
	if o.RTPDumpPath != "" {
		f, err := createPrivate("rtpdump", o.RTPDumpPath)
		if err != nil {
			return err
		}
		r.rtpdump = capture.NewRTPDump(f)
		r.closeCapture(o.RTPDumpPath, r.rtpdump, f)
	}
	if o.StatsDumpPath != "" {
		f, err := createPrivate("stats-dump", o.StatsDumpPath)
		if err != nil {
			return err
		}
		r.statsDump = capture.NewStatsDump(f, "parley/"+o.Version)
		r.closeCapture(o.StatsDumpPath, r.statsDump, f)
	}
	return nil
}

// closeCapture has a capture closed, and then its file, when all calls are over.
func (r *resources) closeCapture(path string, c, file io.Closer) {
	r.report.Warnf("%s has the keys of the call: keep it to yourself", sanitize.Text(path))
	r.opened = append(r.opened, closing(func() error {
		err := errors.Join(c.Close(), file.Close())
		if err != nil {
			r.report.Warnf("%s is not whole: %v", sanitize.Text(path), err)
		}
		return err
	}))
}

// addKeyLog has the keys of calls written to p too.
func (r *resources) addKeyLog(p *capture.Pcapng) {
	if r.keyLog == nil {
		r.keyLog = p.KeyLog()
	} else {
		r.keyLog = io.MultiWriter(r.keyLog, p.KeyLog())
	}
}

// closing is a function that closes.
type closing func() error

func (c closing) Close() error { return c() }

// tap is what sees the packets of calls, nil for nobody.
func (r *resources) tap() peer.Tap {
	if r.pcapng == nil {
		return nil // not a nil *capture.Pcapng
	}
	return r.pcapng
}

// portTap is what sees the packets of the ports that all calls share, nil for nobody.
func (r *resources) portTap() peer.Tap {
	if r.demux == nil {
		return r.tap()
	}
	return r.demux
}
