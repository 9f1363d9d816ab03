package signal

import (
	"sync"
	"syscall"
)

// work is what a connection needs while it is at work and does not hold at rest: the bytes that came, and the connections that were
// given something to write. They are written to once at the end, so that several frames leave in one system call.
type work struct {
	in         []byte
	start, end int   // what of in was read from the socket and not taken yet
	now        int64 // when the bytes came, see Server.now

	dirty []*conn

	out     []byte // of flush
	written int
	err     error
	write   func(fd uintptr) bool
}

// works is a pool of work. Its zero value works.
type works struct{ pool sync.Pool }

// readSize is what is read at once; half a dozen candidates.
const readSize = 4 << 10

func (p *works) get() *work {
	if w, ok := p.pool.Get().(*work); ok {
		return w
	}
	w := &work{in: make([]byte, readSize)}
	w.write = func(fd uintptr) bool {
		w.written, w.err = writeNow(fd, w.out)
		return true
	}
	return w
}

func (p *works) put(w *work) {
	if len(w.in) > keptBuffer {
		w.in = make([]byte, readSize)
	}
	w.start, w.end = 0, 0
	p.pool.Put(w)
}

// space returns where to read into: at least a byte.
func (w *work) space() []byte {
	switch {
	case w.start == w.end:
		w.start, w.end = 0, 0
	case len(w.in)-w.end < readSize/4 && w.start > 0:
		w.end = copy(w.in, w.in[w.start:w.end])
		w.start = 0
	}
	if w.end == len(w.in) {
		w.in = append(w.in, make([]byte, len(w.in))...)
	}
	return w.in[w.end:]
}

// flush writes to every connection that was given something. Nothing waits: what the kernel does not take at once is left to a
// goroutine of that connection.
func (w *work) flush() {
	for i, c := range w.dirty {
		w.dirty[i] = nil
		c.flush(w)
	}
	w.dirty = w.dirty[:0]
}

// try writes as much of p to a socket as goes without waiting.
func (w *work) try(raw syscall.RawConn, p []byte) (n int, err error) {
	w.out, w.written, w.err = p, 0, nil
	if err := raw.Write(w.write); err != nil {
		return 0, err
	}
	w.out = nil
	return w.written, w.err
}
