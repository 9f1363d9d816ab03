//go:build !gorilla

package wsconn

import "syscall"

// Batch collects the connections to which one goroutine queues frames, so that several frames leave
// in one system call. It also holds what a connection needs while it handles input and not while it
// is idle. One goroutine uses it at a time.
type Batch struct {
	// Now is the time at which the bytes being handled were read, by Config.Now.
	Now int64
	// Scratch is memory for building a frame. Its content is lost when another frame is built.
	Scratch []byte

	pool       *Pool
	in         []byte
	start, end int // the part of in that was read from the socket and not parsed yet

	pendingFlush []*Conn

	out     []byte // of flush
	written int
	err     error
	write   func(fd uintptr) bool
}

// readSize is the size of a read in bytes: half a dozen candidates.
const readSize = 4 << 10

// Batch returns an empty batch from the pool. Release gives it back.
func (p *Pool) Batch() *Batch {
	if b, ok := p.batches.Get().(*Batch); ok {
		return b
	}
	b := &Batch{pool: p, in: make([]byte, readSize)}
	b.write = func(fd uintptr) bool {
		b.written, b.err = writeNow(fd, b.out)
		return true
	}
	return b
}

// Release flushes the batch and gives it back to its pool.
func (b *Batch) Release() {
	b.Flush()
	if len(b.in) > keptBuffer {
		b.in = make([]byte, readSize)
	}
	if cap(b.Scratch) > keptBuffer {
		b.Scratch = nil
	}
	b.start, b.end = 0, 0
	b.pool.batches.Put(b)
}

// Flush writes to every connection to which something was queued. It never waits: what the kernel
// does not take at once is left to a goroutine of that connection.
func (b *Batch) Flush() {
	for i, c := range b.pendingFlush {
		b.pendingFlush[i] = nil
		c.flush(b)
	}
	b.pendingFlush = b.pendingFlush[:0]
}

// space returns where to read into, at least one byte.
func (b *Batch) space() []byte {
	switch {
	case b.start == b.end:
		b.start, b.end = 0, 0
	case len(b.in)-b.end < readSize/4 && b.start > 0:
		b.end = copy(b.in, b.in[b.start:b.end])
		b.start = 0
	}
	if b.end == len(b.in) {
		b.in = append(b.in, make([]byte, len(b.in))...)
	}
	return b.in[b.end:]
}

// tryWrite writes as much of p to a socket as the kernel takes without waiting.
func (b *Batch) tryWrite(raw syscall.RawConn, p []byte) (n int, err error) {
	b.out, b.written, b.err = p, 0, nil
	if err := raw.Write(b.write); err != nil {
		return 0, err
	}
	b.out = nil
	return b.written, b.err
}
