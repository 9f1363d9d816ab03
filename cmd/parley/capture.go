package main

import (
	"bufio"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/pion/webrtc/v4/pkg/media/rtpdump"
	"github.com/urfave/cli/v3"
)

func captureFlags() []cli.Flag {
	return inCategory("OUTPUT", []cli.Flag{
		stringFlag("pcap", "", "the packets of all calls go to `FILE` for Wireshark (pcapng), with the keys to decrypt them"),
		stringFlag("rtpdump", "", "the RTP packets that come go to `FILE`, decrypted, as rtpplay reads them"),
		stringFlag("stats-dump", "", "what happens in calls, with their statistics, goes to `FILE` for viewers of WebRTC dumps (RTCStatsDump)"),
	})
}

// capture is the file of --pcap: a peer.Tap, and a writer for keys.
type capture struct {
	mu      sync.Mutex // protects following
	file    *os.File
	buffer  *bufio.Writer
	pcap    *pcapng
	held    []func() // packets that wait for the keys of a handshake
	since   time.Time
	holding bool
}

// Packets wait for the keys of a handshake, which must stand before them, at most
// this many and this long.
const (
	mostHeld    = 2000
	longestHeld = 10 * time.Second
)

// createPrivate makes a file that others must not read.
func createPrivate(flag, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, failf(exitDevice, "--%s: %w", flag, err)
	}
	return f, nil
}

func openCapture(path string) (*capture, error) {
	f, err := createPrivate("pcap", path)
	if err != nil {
		return nil, err
	}
	buffer := bufio.NewWriterSize(f, 64<<10)
	return &capture{file: f, buffer: buffer, pcap: newPcapng(buffer)}, nil
}

// Datagram implements peer.Tap.
func (c *capture) Datagram(out bool, local, remote netip.AddrPort, data []byte) {
	from, to := local, remote
	if !out {
		from, to = remote, local
	}
	data = append([]byte{}, data...)
	c.take(data, func(at time.Time) { c.pcap.udp(at, from, to, data) })
}

// Segment implements peer.Tap.
func (c *capture) Segment(out bool, local, remote netip.AddrPort, data []byte) {
	data = append([]byte{}, data...)
	c.take(data, func(at time.Time) { c.pcap.tcp(at, out, local, remote, data) })
}

// take writes a packet, or has it wait while a handshake goes on.
func (c *capture) take(data []byte, write func(time.Time)) {
	const dtlsHandshake = 22 // RFC 7983 §7 and RFC 6347 §4.1
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.holding && len(data) > 13 && data[0] == dtlsHandshake && data[3] == 0 && data[4] == 0 { // epoch 0: not encrypted
		c.holding, c.since = true, now
	}
	if !c.holding {
		write(now)
		return
	}
	c.held = append(c.held, func() { write(now) })
	if len(c.held) > mostHeld || now.Sub(c.since) > longestHeld {
		c.flush()
	}
}

func (c *capture) flush() {
	for _, write := range c.held {
		write()
	}
	c.held, c.holding = nil, false
}

// Write takes lines of the key log.
func (c *capture) Write(lines []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pcap.secrets(lines)
	c.flush()
	return len(lines), nil
}

// Close ends the file. The error is the first of all.
func (c *capture) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	return errors.Join(c.pcap.err, c.buffer.Flush(), c.file.Close())
}

// packetDump is the file of --rtpdump.
type packetDump struct {
	mu     sync.Mutex // protects following
	file   *os.File
	buffer *bufio.Writer
	dump   *rtpdump.Writer
	start  time.Time
	err    error
}

func openPacketDump(path string) (*packetDump, error) {
	f, err := createPrivate("rtpdump", path)
	if err != nil {
		return nil, err
	}
	d := &packetDump{file: f, buffer: bufio.NewWriterSize(f, 64<<10), start: time.Now()}
	d.dump, err = rtpdump.NewWriter(d.buffer, rtpdump.Header{Start: d.start, Source: net.IPv4zero})
	return d, err
}

// write takes an RTP packet.
func (d *packetDump) write(packet []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = d.dump.WritePacket(rtpdump.Packet{Offset: time.Since(d.start), Payload: packet})
	}
}

// Close ends the file. The error is the first of all.
func (d *packetDump) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.err, d.buffer.Flush(), d.file.Close())
}
