package capture

import (
	"bufio"
	"cmp"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"github.com/pion/webrtc/v4/pkg/media/rtpdump"
)

// RTPDump writes RTP packets to a file of rtptools.
type RTPDump struct {
	mu     sync.Mutex // guards following
	buffer *bufio.Writer
	dump   *rtpdump.Writer
	start  time.Time
	err    error // the first one; nothing is written after it
	closed bool
}

// NewRTPDump returns an RTPDump that writes to w. The times of packets count from now.
func NewRTPDump(w io.Writer) *RTPDump {
	d := &RTPDump{buffer: bufio.NewWriterSize(w, bufferSize), start: time.Now()}
	d.dump, d.err = rtpdump.NewWriter(d.buffer, rtpdump.Header{Start: d.start, Source: net.IPv4zero})
	return d
}

// maxRTPPacket is the length of the longest packet that a file can express, in bytes.
const maxRTPPacket = math.MaxUint16 - 8

// WriteRTP writes a decrypted RTP packet. It does not keep packet. A longer one than a file can
// express is dropped.
func (d *RTPDump) WriteRTP(packet []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil && !d.closed && len(packet) <= maxRTPPacket {
		d.err = d.dump.WritePacket(rtpdump.Packet{Offset: time.Since(d.start), Payload: packet})
	}
}

// Close writes what is buffered. It returns the first error of all. Later packets are dropped.
func (d *RTPDump) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return cmp.Or(d.err, d.buffer.Flush())
}
