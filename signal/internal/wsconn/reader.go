//go:build !gorilla

package wsconn

import (
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// reader parses the frames that one connection receives (RFC 6455, section 5). It waits without a
// buffer where the socket allows that: the batch that it reads into is borrowed when there is
// input, and given back when all of it is handled.
type reader struct {
	c         *Conn
	b         *Batch  // nil while idle
	message   *buffer // the fragments of a message received so far
	fragments int     // their number
	valid     int     // the part of message that is known to be UTF-8, in bytes
	timed     bool    // the rest of a message must come in time
	failed    bool    // the socket failed
	broken    bool    // the boundaries of frames are lost
	deep      bool    // the handler may have grown the stack
	received  int     // bytes

	short  []byte // of fillBlocking
	reads  uint8  // of fill
	waited bool   // of pollOnce: since the last read

	poll func(fd uintptr) bool // of fill
	n    int
	err  error
}

// maxFragments bounds the fragments of a message, of which any number can be empty.
const maxFragments = 4 << 10

// shortRead is the size in bytes of a read over TLS while idle: a candidate.
const shortRead = 512

// maxRecords is the number of reads over TLS, each of one record, after which the reader yields.
// What they make it send to one client leaves in one write if no processor is idle.
const maxRecords = 8

// maxReads is the number of reads of plain TCP after which the reader writes what they made it
// send, and yields, although its client goes on sending. Otherwise it writes when there is no more
// input.
const maxReads = 8

// moderation is the time by which a read of plain TCP is put off while the server is busy. What
// arrives meanwhile is handled, and leaves, together: most of the cost of a message is that of the
// system calls and packets that it takes. Network cards moderate their interrupts for the same
// reason.
const moderation = 300 * time.Microsecond

// errRest ends read when all input is handled and the stack can be freed.
var errRest = errors.New("all input is handled")

func newReader(c *Conn) *reader {
	r := &reader{c: c}
	r.poll = r.pollOnce
	return r
}

// hold returns the batch, and borrows it if necessary.
func (r *reader) hold() *Batch {
	if r.b == nil {
		r.b = r.c.pool.Batch()
	}
	return r.b
}

// release gives back the memory.
func (r *reader) release() {
	if r.b != nil {
		r.b.Release()
		r.b = nil
	}
	if r.message != nil {
		r.endMessage()
	}
}

func (r *reader) idle() bool { return r.message == nil && (r.b == nil || r.b.start == r.b.end) }

// read handles frames until the connection ends, and returns the reason.
func (r *reader) read() error {
	for {
		f, err := r.next()
		if err != nil {
			return err
		}
		if err := r.handle(f); err != nil {
			return err
		}
		if r.c.shrink && r.idle() {
			r.release()
			r.c.shrink, r.deep = false, false
			return errRest
		}
	}
}

// next returns the next complete frame.
func (r *reader) next() (frame, error) {
	for {
		if b := r.b; b != nil {
			f, ok, err := r.parse(b)
			if ok || err != nil {
				return f, err
			}
			if r.c.raw == nil {
				b.Flush()
			}
		}
		if err := r.fill(); err != nil {
			r.failed = true
			return frame{}, err
		}
	}
}

// fill waits for input.
func (r *reader) fill() error {
	if r.timed && r.idle() {
		r.timed = false
		r.c.setReadDeadline(time.Time{})
	}
	if r.c.raw == nil {
		r.fillBlocking()
		if r.reads++; r.reads%maxRecords == 0 {
			runtime.Gosched()
		}
	} else {
		if r.reads++; r.reads%maxReads == 0 && r.b != nil { // a client that sends without pause does not delay the others
			r.b.Flush()
			runtime.Gosched()
		}
		if err := r.c.raw.Read(r.poll); err != nil {
			return err
		}
	}
	if r.err != nil {
		return r.err
	}
	r.b.end += r.n
	r.received += r.n
	r.b.Now = r.c.pool.config.Now()
	r.c.pool.load.note(r.b.Now)
	r.c.heard.Store(true)
	return nil
}

// pollOnce reads what is available. False makes the caller wait until something is.
func (r *reader) pollOnce(fd uintptr) bool {
	if r.waited && r.c.pool.load.busy.Load() {
		time.Sleep(moderation)
	}
	var later bool
	r.n, later, r.err = readNow(fd, r.hold().space())
	if r.waited = later; later {
		r.wait()
	}
	return !later
}

// wait prepares for waiting. What is queued is written. The batch is given back if no message has
// begun, and otherwise the client has a limited time to complete it.
func (r *reader) wait() {
	if r.idle() {
		r.b.Release()
		r.b = nil
		return
	}
	r.b.Flush()
	if !r.timed {
		r.limit()
	}
}

// limit sets the time by which the client must complete what it has begun.
func (r *reader) limit() {
	if timeout := r.c.pool.config.MessageTimeout; timeout < math.MaxInt64 {
		r.timed = true
		r.c.setReadDeadline(time.Now().Add(timeout))
	}
}

// fillBlocking reads from sockets that cannot report that there is input (TLS). While idle it holds
// a buffer for one short message only.
func (r *reader) fillBlocking() {
	if r.idle() && (r.b == nil || len(r.b.pendingFlush) == 0) {
		if r.b != nil {
			r.b.Release()
			r.b = nil
		}
		if r.short == nil {
			r.short = make([]byte, shortRead)
		}
		r.n, r.err = r.c.socket.Read(r.short)
		copy(r.hold().space(), r.short[:r.n])
		return
	}
	if !r.idle() && !r.timed {
		r.limit()
	}
	r.n, r.err = r.c.socket.Read(r.hold().space())
}

// parse removes one frame from the batch. It returns false if the frame is not complete. The header
// is checked before the payload is complete.
func (r *reader) parse(b *Batch) (frame, bool, error) {
	in := b.in[b.start:b.end]
	if len(in) < 2 {
		return frame{}, false, nil
	}
	f := frame{opcode: in[0] & 0xf, final: in[0]&0x80 != 0}
	length, header := uint64(in[1]&0x7f), 2
	if err := r.checkHeader(f, in[0]&0x70, in[1]&0x80 != 0, length); err != nil {
		r.broken = true
		return frame{}, false, err
	}
	switch length {
	case 126:
		if len(in) < 4 {
			return frame{}, false, nil
		}
		length, header = uint64(binary.BigEndian.Uint16(in[2:])), 4
	case 127:
		if len(in) < 10 {
			return frame{}, false, nil
		}
		length, header = binary.BigEndian.Uint64(in[2:]), 10
	}
	if err := r.checkLength(f, length); err != nil {
		r.broken = true
		return frame{}, false, err
	}
	header += 4
	if len(in) < header || uint64(len(in)-header) < length {
		return frame{}, false, nil
	}
	end := header + int(length)
	f.payload = in[header:end:end]
	unmask(f.payload, [4]byte(in[header-4:header]))
	b.start += end
	return f, true, nil
}

// checkHeader validates the first two bytes of a frame (RFC 6455, sections 5.2 and 5.5).
func (r *reader) checkHeader(f frame, reserved byte, masked bool, length uint64) error {
	control := f.opcode&0x8 != 0
	text := ""
	switch {
	case reserved != 0:
		text = "a reserved bit is set, or the frame is compressed, which was not agreed on"
	case !masked:
		text = "frames of a client must be masked"
	case control && (!f.final || length > 125):
		text = "a control frame is fragmented or longer than 125 bytes"
	case control && f.opcode != opClose && f.opcode != opPing && f.opcode != opPong, !control && f.opcode > opBinary:
		text = "the opcode is reserved"
	case !control && (f.opcode == opContinuation) != (r.message != nil):
		text = "a message begins within another, or continues none"
	default:
		return nil
	}
	return &ProtocolError{websocket.CloseProtocolError, text}
}

// checkLength validates the length of a frame's payload, and that of the message to which it
// belongs.
func (r *reader) checkLength(f frame, length uint64) error {
	switch {
	case length>>63 != 0:
		return &ProtocolError{websocket.CloseProtocolError, "the length is negative"}
	case f.opcode&0x8 != 0:
		return nil
	case length > uint64(r.c.pool.config.MaxMessage-r.held()), r.fragments >= maxFragments:
		return &ProtocolError{websocket.CloseMessageTooBig, "the message is longer than this server takes"}
	}
	return nil
}

// held returns the length of the fragments received so far.
func (r *reader) held() int {
	if r.message == nil {
		return 0
	}
	return len(r.message.b)
}

// handle handles one frame.
func (r *reader) handle(f frame) error {
	c := r.c
	switch f.opcode {
	case opText, opContinuation:
		return r.handleText(f)
	case opBinary:
		return &ProtocolError{websocket.CloseUnsupportedData, "binary frames are not understood here"}
	case opPong:
		if sent := c.pinged.Swap(0); sent != 0 {
			c.handler.HandlePong(r.b, time.Duration(r.b.Now-sent))
		} else if err := c.handler.Meter(r.b); err != nil {
			return err
		}
		// A client that was active and is idle now: its pong is all that came.
		c.shrink, r.deep = c.shrink || r.deep, false
		return nil
	case opPing:
		if err := c.handler.Meter(r.b); err != nil {
			return err
		}
		c.enqueue(r.b, opPong, f.payload)
		return nil
	}
	code, ok := closeCode(f.payload)
	if !ok || len(f.payload) > 2 && !utf8.Valid(f.payload[2:]) {
		return &ProtocolError{websocket.CloseProtocolError, "the close frame has a code or a reason that is none"}
	}
	return &websocket.CloseError{Code: code}
}

// handleText handles a text frame or a fragment of one.
func (r *reader) handleText(f frame) error {
	text := f.payload
	if r.message != nil || !f.final {
		if r.message == nil {
			r.message = r.c.pool.buffers.get()
		}
		r.message.b = append(r.message.b, f.payload...)
		r.fragments++
		n, ok := validUTF8(r.message.b[r.valid:])
		if r.valid += n; !ok || f.final && r.valid < len(r.message.b) {
			return errNotUTF8
		}
		if !f.final && len(f.payload) < SmallFragment {
			return r.c.handler.Meter(r.b)
		}
		if !f.final {
			return nil
		}
		text = r.message.b
		defer r.endMessage()
	} else if !utf8.Valid(text) {
		return errNotUTF8
	}
	r.deep = true
	return r.c.handler.HandleMessage(r.b, text)
}

// endMessage gives back the memory of a fragmented message.
func (r *reader) endMessage() {
	r.c.pool.buffers.put(r.message)
	r.message, r.fragments, r.valid = nil, 0, 0
}

// errNotUTF8 is the error of RFC 6455, section 8.1.
var errNotUTF8 = &ProtocolError{websocket.CloseInvalidFramePayloadData, "the text is not valid UTF-8"}

// validUTF8 returns the length of the whole runes that p begins with. It returns false if what
// follows them cannot become a rune.
func validUTF8(p []byte) (n int, ok bool) {
	n = len(p)
	for i := n - 1; i >= 0 && i >= n-utf8.UTFMax; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				n = i
			}
			break
		}
	}
	return n, utf8.Valid(p[:n])
}
