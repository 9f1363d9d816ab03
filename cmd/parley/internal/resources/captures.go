package resources

import (
	"errors"
	"io"
	"os"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/capture"
)

// CreatePrivate opens the empty file of a flag that others must not read.
func CreatePrivate(flag, path string) (*os.File, error) {
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
func (r *Resources) openCaptures(o Options) error {
	if o.PcapPath != "" {
		f, err := CreatePrivate("pcap", o.PcapPath)
		if err != nil {
			return err
		}
		r.Pcapng = capture.NewPcapng(f)
		r.closeCapture(o.PcapPath, r.Pcapng, f)
		r.AddKeyLog(r.Pcapng)
	}
	if o.RTPDumpPath != "" {
		f, err := CreatePrivate("rtpdump", o.RTPDumpPath)
		if err != nil {
			return err
		}
		r.RTPDump = capture.NewRTPDump(f)
		r.closeCapture(o.RTPDumpPath, r.RTPDump, f)
	}
	if o.StatsDumpPath != "" {
		f, err := CreatePrivate("stats-dump", o.StatsDumpPath)
		if err != nil {
			return err
		}
		r.StatsDump = capture.NewStatsDump(f, "parley/"+o.Version)
		r.closeCapture(o.StatsDumpPath, r.StatsDump, f)
	}
	return nil
}

// closeCapture has a capture closed, and then its file, when all calls are over.
func (r *Resources) closeCapture(path string, c, file io.Closer) {
	r.Report.Warnf("%s has the keys of the call: keep it to yourself", sanitize.Text(path))
	r.opened = append(r.opened, closing(func() error {
		err := errors.Join(c.Close(), file.Close())
		if err != nil {
			r.Report.Warnf("%s is not whole: %v", sanitize.Text(path), err)
		}
		return err
	}))
}

// AddKeyLog has the keys of calls written to p too.
func (r *Resources) AddKeyLog(p *capture.Pcapng) {
	if r.KeyLog == nil {
		r.KeyLog = p.KeyLog()
	} else {
		r.KeyLog = io.MultiWriter(r.KeyLog, p.KeyLog())
	}
}

// closing is a function that closes.
type closing func() error

func (c closing) Close() error { return c() }

// Tap is what sees the packets of calls, nil for nobody.
func (r *Resources) Tap() peer.Tap {
	if r.Pcapng == nil {
		return nil // not a nil *capture.Pcapng
	}
	return r.Pcapng
}

// portTap is what sees the packets of the ports that all calls share, nil for nobody.
func (r *Resources) portTap() peer.Tap {
	if r.Demux == nil {
		return r.Tap()
	}
	return r.Demux
}
