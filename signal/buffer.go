package signal

import "sync"

// buffer is scratch memory that idle connections do not hold: borrowed for one frame in, or for what is queued out.
type buffer struct{ b []byte }

// buffers is a pool of buffer. Its zero value works.
type buffers struct{ pool sync.Pool }

const (
	smallBuffer = 1 << 10
	// keptBuffer bounds what goes back to the pool, so that one large frame does not stay.
	keptBuffer = 32 << 10
)

func (p *buffers) get() *buffer {
	if buf, ok := p.pool.Get().(*buffer); ok {
		return buf
	}
	return &buffer{b: make([]byte, 0, smallBuffer)}
}

func (p *buffers) put(buf *buffer) {
	if cap(buf.b) > keptBuffer {
		return
	}
	buf.b = buf.b[:0]
	p.pool.Put(buf)
}
