package signal

import (
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// reader takes the frames of one connection off its socket (RFC 6455, 5). It waits without a buffer where the socket allows that:
// the work it reads into is borrowed when something is there, and given back when all of it has been taken.
type reader struct {
	c       *conn
	w       *work   // nil at rest
	message *buffer // a fragmented message as far as it has come
	pieces  int     // the fragments of the message so far
	waited  bool    // nothing was there when fill looked
	timed   bool    // the rest of something must come in time
	broken  bool    // the stream of frames is lost
	closed  int     // the code of the client's close frame

	poll func(fd uintptr) bool // of fill
	n    int
	err  error
}

// frame is one frame of a client. Its payload shares the work's memory.
type frame struct {
	opcode  byte
	final   bool
	payload []byte
}

const (
	opContinuation = 0x0
	opBinary       = 0x2

	// maxPieces bounds the fragments of a message, of which any number might be empty.
	maxPieces = 4 << 10
)

// errRest tells that everything was taken and the stack may be given back.
var errRest = errors.New("at rest")

func newReader(c *conn) *reader {
	r := &reader{c: c}
	r.poll = r.pollOnce
	return r
}

// hold returns the work, borrowing it if need be.
func (r *reader) hold() *work {
	if r.w == nil {
		r.w = r.c.server.works.get()
	}
	return r.w
}

// release gives the work back.
func (r *reader) release() {
	if r.w != nil {
		r.w.flush()
		r.c.server.works.put(r.w)
		r.w = nil
	}
	if r.message != nil {
		r.c.server.buffers.put(r.message)
		r.message = nil
	}
}

func (r *reader) idle() bool { return r.message == nil && (r.w == nil || r.w.start == r.w.end) }

// read serves frames until the connection ends, and tells why.
func (r *reader) read() error {
	for {
		f, err := r.next()
		if err != nil {
			return err
		}
		rest, err := r.take(f)
		if err != nil {
			return err
		}
		if rest && r.idle() {
			r.release()
			r.c.deep = false
			return errRest
		}
	}
}

// next returns the next frame, once all of it is there.
func (r *reader) next() (frame, error) {
	for {
		if w := r.w; w != nil {
			f, ok, err := r.parse(w)
			if ok || err != nil {
				return f, err
			}
			w.flush()
		}
		if err := r.fill(); err != nil {
			return frame{}, err
		}
	}
}

// fill waits for bytes.
func (r *reader) fill() error {
	if r.timed && r.idle() {
		r.timed = false
		r.c.setReadDeadline(time.Time{})
	}
	if r.c.raw == nil {
		r.fillSlowly()
	} else if err := r.c.raw.Read(r.poll); err != nil {
		return err
	}
	if !r.waited {
		runtime.Gosched() // a client that sends without pause does not keep the others waiting
	}
	r.waited = false
	if r.err != nil {
		return r.err
	}
	r.w.end += r.n
	r.w.now = r.c.server.now()
	r.c.heard.Store(true)
	return nil
}

// pollOnce reads what is there; false makes the caller wait until something is.
func (r *reader) pollOnce(fd uintptr) bool {
	var later bool
	r.n, later, r.err = readNow(fd, r.hold().space())
	if later {
		r.waited = true
		r.wait()
	}
	return !later
}

// wait prepares for waiting: nothing is held for a client that owes nothing, and who owes a rest is given a time for it.
func (r *reader) wait() {
	if r.idle() {
		if len(r.w.dirty) == 0 {
			r.c.server.works.put(r.w)
			r.w = nil
		}
		return
	}
	if !r.timed {
		r.limit()
	}
}

// limit gives the client a time for the rest of what it has begun.
func (r *reader) limit() {
	if wait := r.c.server.limits.FrameWait; wait < math.MaxInt64 {
		r.timed = true
		r.c.setReadDeadline(time.Now().Add(wait))
	}
}

// fillSlowly reads from sockets that cannot say that something is there (TLS), so it holds a buffer while it waits.
func (r *reader) fillSlowly() {
	w := r.hold()
	if !r.idle() && !r.timed {
		r.limit()
	}
	r.n, r.err = r.c.socket.Read(w.space())
}

// parse takes one frame off the work, and false if it is not all there yet. It looks at a header before the payload is there.
func (r *reader) parse(w *work) (frame, bool, error) {
	in := w.in[w.start:w.end]
	if len(in) < 2 {
		return frame{}, false, nil
	}
	f := frame{opcode: in[0] & 0xf, final: in[0]&0x80 != 0}
	length, header := uint64(in[1]&0x7f), 2
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
	if err := r.check(f, in[0]&0x70, in[1]&0x80 != 0, length); err != nil {
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
	w.start += end
	return f, true, nil
}

// check holds a frame's header against RFC 6455, 5.2 and 5.5, and against the bound on messages.
func (r *reader) check(f frame, reserved byte, masked bool, length uint64) error {
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
	case length > 1<<62:
		text = "the length is negative"
	}
	if text != "" {
		return &breach{close: websocket.CloseProtocolError, text: text}
	}
	if max := r.c.server.limits.Frame; !control && (length > uint64(max) || r.held()+int(length) > max || r.pieces >= maxPieces) {
		return &breach{websocket.CloseMessageTooBig, CodeTooLong, "the message is longer than this server takes"}
	}
	return nil
}

// held is the length of the fragments so far.
func (r *reader) held() int {
	if r.message == nil {
		return 0
	}
	return len(r.message.b)
}

// take deals with one frame. Rest tells that there was nothing in it to grow the stack again.
func (r *reader) take(f frame) (rest bool, err error) {
	c := r.c
	switch f.opcode {
	case opText, opContinuation:
		return r.takeText(f)
	case opBinary:
		return false, &breach{close: websocket.CloseUnsupportedData, text: "binary frames are not understood here"}
	case opPong:
		if took, ok := c.server.wheel.ponged(c, r.w.now); ok {
			c.server.metrics.rtt.observe(took)
		}
		// A client that was busy and is quiet now: its pong is all that came. (A pong that was not asked for costs no more than this.)
		rest, c.deep = c.deep, false
		return rest, nil
	case opPing:
		if !c.others.take(r.w.now, c.server.limits.others) {
			return false, &breach{close4429, CodeRateLimited, "too many pings"}
		}
		c.enqueue(r.w, opPong, f.payload)
		return false, nil
	}
	code, ok := closeReply(f.payload)
	if !ok || len(f.payload) > 2 && !utf8.Valid(f.payload[2:]) {
		return false, &breach{close: websocket.CloseProtocolError, text: "the close frame has a code or a reason that is none"}
	}
	r.closed = code
	c.mu.Lock()
	c.final = true
	c.mu.Unlock()
	return false, errBye
}

func (r *reader) closeCode() int { return r.closed }

// takeText deals with a text frame, or a part of one.
func (r *reader) takeText(f frame) (rest bool, err error) {
	text := f.payload
	if r.message != nil || !f.final {
		if r.message == nil {
			r.message = r.c.server.buffers.get()
		}
		r.message.b = append(r.message.b, f.payload...)
		r.pieces++
		if !f.final {
			return false, nil
		}
		text = r.message.b
		defer r.endMessage()
	}
	if !utf8.Valid(text) { // RFC 6455, 8.1
		return false, &breach{close: websocket.CloseInvalidFramePayloadData, text: "the text is not valid UTF-8"}
	}
	signedIn := r.c.session != nil
	r.c.deep = true
	if err := r.c.server.serve(r.c, r.w, text); err != nil {
		return false, err
	}
	return !signedIn && r.c.session != nil, nil
}

func (r *reader) endMessage() {
	r.c.server.buffers.put(r.message)
	r.message, r.pieces = nil, 0
}

// unmask undoes a client's masking (RFC 6455, 5.3), eight bytes at a time.
func unmask(p []byte, key [4]byte) {
	k := uint64(binary.LittleEndian.Uint32(key[:]))
	k |= k << 32
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^k)
	}
	for i := range p {
		p[i] ^= key[i&3]
	}
}
