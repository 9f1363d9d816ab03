package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"os"
)

// A piece is what goes out next: a control message, or data of a file.
type piece struct {
	control *message
	data    []byte // of a buffer of the reader's, to be given back
	entry   *Entry
}

// reader reads the files of a list ahead of the network: it hashes and finds
// holes while the pieces before are under way.
type reader struct {
	list *List
	had  map[int]had // what the receiver has
	out  chan piece
	free chan []byte
}

// had is what the receiver has of a file.
type had struct {
	bytes int64
	sum   []byte
}

// buffersAhead is how many messages are read ahead.
const buffersAhead = 16

func newReader(l *List, had map[int]had, size int) *reader {
	r := &reader{list: l, had: had, out: make(chan piece, buffersAhead), free: make(chan []byte, buffersAhead)}
	for range buffersAhead {
		r.free <- make([]byte, size)
	}
	return r
}

// run reads everything and closes out.
func (r *reader) run(ctx context.Context) error {
	defer close(r.out)
	for i := r.list.next(0); i < len(r.list.Entries); i = r.list.next(i + 1) {
		if err := r.file(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) put(ctx context.Context, p piece) error {
	select {
	case r.out <- p:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (r *reader) buffer(ctx context.Context) ([]byte, error) {
	select {
	case b := <-r.free:
		return b[:cap(b)], nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// file reads one file: from its start, or from where the receiver has it.
func (r *reader) file(ctx context.Context, i int) error {
	e := &r.list.Entries[i]
	f, err := os.Open(r.list.paths[i])
	if err != nil {
		return failed(FailedRead, "%w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	before, err := f.Stat()
	if err == nil && before.Size() < e.Size {
		err = errShorter
	}
	if err != nil {
		return failed(FailedRead, "failed to read %s: %w", e.Name, err)
	}
	sum, offset, err := r.start(ctx, f, r.had[i])
	if err != nil {
		return failed(FailedRead, "failed to read %s: %w", e.Name, err)
	}
	if err := r.put(ctx, piece{control: &message{Type: "file", File: &i, Offset: &offset}, entry: e}); err != nil {
		return err
	}
	if err := r.rest(ctx, f, sum, offset, e.Size); err != nil {
		return failed(FailedRead, "failed to read %s: %w", e.Name, err)
	}
	return r.put(ctx, piece{control: &message{Type: "end", File: &i, SHA256: hex.EncodeToString(sum.Sum(nil))}, entry: e})
}

var errShorter = errors.New("it became shorter")

// start hashes what the receiver has and tells from where to send.
func (r *reader) start(ctx context.Context, f *os.File, h had) (sum hash.Hash, offset int64, err error) {
	sum = sha256.New()
	if h.bytes == 0 {
		return sum, 0, nil
	}
	if err := hashBytes(ctx, sum, f, h.bytes); err != nil {
		return nil, 0, err
	}
	if !bytes.Equal(sum.Sum(nil), h.sum) {
		return sha256.New(), 0, nil
	}
	return sum, h.bytes, nil
}

// hashBytes hashes the first n bytes of a file.
func hashBytes(ctx context.Context, sum hash.Hash, f *os.File, n int64) error {
	buf := make([]byte, maxData)
	for at := int64(0); at < n; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		got, err := f.ReadAt(buf[:min(int64(len(buf)), n-at)], at)
		sum.Write(buf[:got])
		at += int64(got)
		if err == io.EOF && at < n {
			return errShorter
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// rest sends the bytes of a file from offset to size.
func (r *reader) rest(ctx context.Context, f *os.File, sum hash.Hash, offset, size int64) error {
	for offset < size {
		from, to := extent(f, offset, size)
		for hole := int64(0); offset < from; offset += hole {
			hole = min(from-offset, mostZeros)
			if err := hashZeros(ctx, sum, hole); err != nil {
				return err
			}
			if err := r.put(ctx, piece{control: &message{Type: "zeros", Bytes: new(hole)}}); err != nil {
				return err
			}
		}
		if err := r.stretch(ctx, f, sum, from, to); err != nil {
			return err
		}
		offset = to
	}
	return nil
}

// stretch sends the bytes from offset to end, none of which are in a hole.
func (r *reader) stretch(ctx context.Context, f *os.File, sum hash.Hash, offset, end int64) error {
	for offset < end {
		buf, err := r.buffer(ctx)
		if err != nil {
			return err
		}
		n, err := f.ReadAt(buf[:min(int64(len(buf)), end-offset)], offset)
		if n == 0 && err == io.EOF {
			return errShorter
		}
		if err != nil && err != io.EOF {
			return err
		}
		sum.Write(buf[:n])
		if err := r.put(ctx, piece{data: buf[:n]}); err != nil {
			return err
		}
		offset += int64(n)
	}
	return nil
}

// zeros are hashed for a hole.
var zeros [64 << 10]byte

// hashZeros hashes n bytes of value zero.
func hashZeros(ctx context.Context, sum hash.Hash, n int64) error {
	for n > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		step := min(n, int64(len(zeros)))
		sum.Write(zeros[:step])
		n -= step
	}
	return nil
}
