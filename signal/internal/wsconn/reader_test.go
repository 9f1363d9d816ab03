//go:build !gorilla

package wsconn

import (
	"bytes"
	"testing"
)

// FuzzFrames parses a stream of bytes as a client might send it, in one piece and in pieces. The
// frames must be the same, and none may exceed the limit.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x82\x01\x02\x03\x04\x7a\x7f"), []byte{1})
	f.Add([]byte("\x01\x80\x00\x00\x00\x00\x89\x80\x00\x00\x00\x00\x80\x82\x00\x00\x00\x00{}\x88\x82\x00\x00\x00\x00\x03\xe8"), []byte{3, 1, 2})
	f.Add([]byte("\x81\xfe\x00\x80\x00\x00\x00\x00"), []byte{})
	f.Add([]byte("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"), []byte{2})
	pool := NewPool(Config{MaxMessage: 200})
	f.Fuzz(func(t *testing.T, stream, pieces []byte) {
		whole, wholeErr := parseStream(pool, stream, nil)
		parts, partsErr := parseStream(pool, stream, pieces)
		if len(whole) != len(parts) || (wholeErr == nil) != (partsErr == nil) || wholeErr != nil && wholeErr.Error() != partsErr.Error() {
			t.Fatalf("%d frames and %v, in pieces %d and %v", len(whole), wholeErr, len(parts), partsErr)
		}
		for i := range whole {
			if whole[i].opcode != parts[i].opcode || whole[i].final != parts[i].final || !bytes.Equal(whole[i].payload, parts[i].payload) {
				t.Fatalf("frame %d is %+v, in pieces %+v", i, whole[i], parts[i])
			}
			if len(whole[i].payload) > 200 {
				t.Fatalf("a frame of %d bytes", len(whole[i].payload))
			}
		}
	})
}

// parseStream parses as reader.next does. The stream comes in pieces of these sizes, repeated.
func parseStream(pool *Pool, stream, pieces []byte) (frames []frame, err error) {
	r := &reader{c: &Conn{pool: pool}}
	b := r.hold()
	defer func() { r.b, r.message = nil, nil }()
	for i := 0; ; i++ {
		for {
			f, ok, err := r.parse(b)
			if err != nil {
				return frames, err
			}
			if !ok {
				break
			}
			f.payload = bytes.Clone(f.payload)
			frames = append(frames, f)
			if f.opcode <= opText { // as handle does
				if r.message == nil && !f.final {
					r.message = &buffer{}
				}
				if r.message != nil {
					r.message.b = append(r.message.b, f.payload...)
					r.fragments++
				}
				if f.final {
					r.message, r.fragments = nil, 0
				}
			}
		}
		if len(stream) == 0 {
			return frames, nil
		}
		n := len(stream)
		if len(pieces) > 0 {
			n = min(n, 1+int(pieces[i%len(pieces)]))
		}
		n = copy(b.space(), stream[:n])
		b.end += n
		stream = stream[n:]
	}
}

// TestUnmask holds the fast way against the plain one.
func TestUnmask(t *testing.T) {
	key := [4]byte{1, 2, 4, 8}
	for n := range 40 {
		p, want := make([]byte, n), make([]byte, n)
		for i := range p {
			p[i] = byte(i * 7)
			want[i] = p[i] ^ key[i%4]
		}
		if unmask(p, key); !bytes.Equal(p, want) {
			t.Errorf("%d bytes: %v", n, p)
		}
	}
}
