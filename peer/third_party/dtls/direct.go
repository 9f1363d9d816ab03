// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package dtls

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/pion/dtls/v3/pkg/protocol"
)

var interrupt = time.Unix(0, 1) //nolint:gochecknoglobals

// directWrite is a Write in progress. It writes to the underlying net.PacketConn without a goroutine
// that waits for the deadline or Close; one is started only when either comes while the Write is in
// progress.
type directWrite struct {
	record []byte // the buffer of the last record, to be used again; guarded by Conn.lock

	mu         sync.Mutex
	inProgress bool
	done       chan struct{} // closed at the end of the Write; nil without a goroutine that waits for it
	waiting    sync.WaitGroup
}

// writeDirectly writes a record with application data.
func (c *Conn) writeDirectly(pkt *packet) error {
	c.writeLock.Lock()
	defer c.writeLock.Unlock()

	rawPackets, rAddr, err := c.prepareRawPackets([]*packet{pkt})
	if err != nil {
		return err
	}

	c.directWrite.start()
	defer c.directWrite.end()
	if _, ok := c.writeDeadline.Deadline(); ok || c.isConnectionClosed() {
		c.interruptDirectWrite()
	}

	for _, raw := range rawPackets {
		n, err := c.nextConn.Conn().WriteTo(raw, rAddr)
		if e := c.writeDeadline.Err(); e != nil && n == 0 {
			err = e
		}
		if err != nil {
			if n == 0 && c.isConnectionClosed() {
				return ErrConnClosed
			}

			return netError(err)
		}
	}

	return nil
}

// maxOverhead is how many bytes encryption adds to a record at most, with an AEAD: nonce and tag.
const maxOverhead = 8 + 16

// marshalRecord returns the plaintext of a record. That of application data, which only Write sends,
// has room for its encryption in place, and is valid until the next Write: writeLock is held until
// the record is written.
func (c *Conn) marshalRecord(pkt *packet) ([]byte, error) {
	data, ok := pkt.record.Content.(*protocol.ApplicationData)
	if !ok || !pkt.shouldEncrypt {
		return pkt.record.Marshal()
	}
	pkt.record.Header.ContentType = data.ContentType()
	pkt.record.Header.ContentLen = uint16(len(data.Data)) //nolint:gosec // G115
	header, err := pkt.record.Header.Marshal()
	if err != nil {
		return nil, err
	}
	record := slices.Grow(c.directWrite.record[:0], len(header)+len(data.Data)+maxOverhead)
	c.directWrite.record = append(append(record, header...), data.Data...)

	return c.directWrite.record, nil
}

func (d *directWrite) start() {
	d.mu.Lock()
	d.inProgress = true
	d.mu.Unlock()
}

// end waits until the deadline of the underlying connection has been reset.
func (d *directWrite) end() {
	d.mu.Lock()
	d.inProgress = false
	done := d.done
	d.done = nil
	d.mu.Unlock()

	if done != nil {
		close(done)
		d.waiting.Wait()
	}
}

// interruptDirectWrite ends a Write in progress at the write deadline, or now if the connection is
// closed.
func (c *Conn) interruptDirectWrite() {
	d := &c.directWrite
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.inProgress {
		return
	}
	if d.done == nil {
		d.done = make(chan struct{})
	}
	done := d.done
	d.waiting.Add(1)
	go func() {
		defer d.waiting.Done()
		select {
		case <-c.closed.Done():
		case <-c.writeDeadline.Done():
		case <-done:
			return
		}
		if err := c.nextConn.Conn().SetWriteDeadline(interrupt); err != nil {
			return
		}
		<-done
		_ = c.nextConn.Conn().SetWriteDeadline(time.Time{})
	}()
}

// interruptReads ends reads of the underlying connection once ctx is done. The result, which must be
// called after the last of them, resets its deadline.
func (c *Conn) interruptReads(ctx context.Context) func() {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(interrupted)
		_ = c.nextConn.Conn().SetReadDeadline(interrupt)
	})

	return func() {
		if !stop() {
			<-interrupted
			_ = c.nextConn.Conn().SetReadDeadline(time.Time{})
		}
	}
}

// maxDecrypted is how many records with application data may wait for Read. They are of one burst,
// mostly: a reader that was woken up by the first finds the others.
const maxDecrypted = 64

// ReadPacket reads like Read. What it returns belongs to the caller.
func (c *Conn) ReadPacket() ([]byte, error) {
	if err := c.Handshake(); err != nil {
		return nil, err
	}

	select {
	case <-c.readDeadline.Done():
		return nil, errDeadlineExceeded
	default:
	}

	select {
	case out, ok := <-c.decrypted: // also what came before the end
		return packetOf(out, ok)
	default:
	}

	select {
	case <-c.closed.Done():
		return nil, io.EOF
	case <-c.readDeadline.Done():
		return nil, errDeadlineExceeded
	case out, ok := <-c.decrypted:
		return packetOf(out, ok)
	}
}

// packetOf returns what was received from Conn.decrypted.
func packetOf(out any, ok bool) ([]byte, error) {
	if !ok {
		return nil, io.EOF
	}
	if err, ok := out.(error); ok {
		return nil, err
	}
	data, _ := out.([]byte)

	return data, nil
}

// PacketWaits reports whether there is something to read.
func (c *Conn) PacketWaits() bool { return len(c.decrypted) > 0 }
