package stdio

import (
	"bufio"
	"errors"
	"io"
)

// EachLine calls f with each line of in until f returns false or there are no more. f gets no text
// of a line of more than most bytes.
func EachLine(in io.Reader, most int, f func(line []byte, tooLong bool) bool) error {
	lines := bufio.NewReaderSize(in, 4096)
	for {
		text, tooLong, err := readLine(lines, most)
		if (len(text) > 0 || tooLong) && !f(text, tooLong) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// readLine reads a line, and skips one that is too long.
func readLine(r *bufio.Reader, most int) (line []byte, tooLong bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > most {
			line, tooLong = nil, true
		}
		if !tooLong {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}
