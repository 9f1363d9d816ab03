package disk

import (
	"context"
	"errors"
	"hash"
	"io"
	"os"
)

// ErrShorter is the error of a file that has fewer bytes than expected.
var ErrShorter = errors.New("file became shorter")

// HashFile hashes the first n bytes of a file. It returns ErrShorter if there are fewer.
func HashFile(ctx context.Context, sum hash.Hash, f *os.File, n int64) error {
	buf := make([]byte, len(zeros))
	for at := int64(0); at < n; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		got, err := f.ReadAt(buf[:min(int64(len(buf)), n-at)], at)
		sum.Write(buf[:got])
		at += int64(got)
		if err == io.EOF && at < n {
			return ErrShorter
		}
		if err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// zeros is hashed for holes.
var zeros [64 << 10]byte

// HashZeros hashes n zero bytes.
func HashZeros(ctx context.Context, sum hash.Hash, n int64) error {
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
