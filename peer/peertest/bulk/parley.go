package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// server is a parley serve, and the address at which the ends reach it.
type server struct {
	cmd   *exec.Cmd
	proxy *proxy
	url   string
}

// startServer runs a signaling server for one measurement.
func startServer(parley string, way *detour) (*server, error) {
	cmd := exec.Command(parley, "serve", "--listen", "127.0.0.1:0", "--output", "ndjson")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd}
	var listening struct{ Address string }
	if err := json.NewDecoder(out).Decode(&listening); err != nil {
		s.stop()
		return nil, fmt.Errorf("parley serve does not report where it listens: %w", err)
	}
	s.url = "ws://" + listening.Address
	if s.proxy, s.url, err = newProxy(s.url, way); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *server) stop() {
	if s.proxy != nil {
		s.proxy.close()
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// block is what is sent over and over: not compressible, and longer than what
// any cache keeps at hand.
func block() []byte {
	b := make([]byte, 8<<20)
	x := uint64(88172645463325252)
	for i := range b { // xorshift
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli) // which processors do by themselves

// measurePipe pipes bytes from one terminal to another for a time.
func measurePipe(parley string, way *detour, d time.Duration) (result, error) {
	s, err := startServer(parley, way)
	if err != nil {
		return result{}, err
	}
	defer s.stop()
	var ends [2]*exec.Cmd
	ends[1] = exec.Command(parley, "pipe", "--as", "there", "--server", s.url)
	out, err := ends[1].StdoutPipe()
	if err != nil {
		return result{}, err
	}
	if err := startAnswerer(ends[1]); err != nil {
		return result{}, err
	}
	defer kill(ends[1])
	ends[0] = exec.Command(parley, "pipe", "there", "--server", s.url, "-q")
	in, err := ends[0].StdinPipe()
	if err != nil {
		return result{}, err
	}
	ends[0].Stderr = os.Stderr
	if err := ends[0].Start(); err != nil {
		return result{}, err
	}
	defer kill(ends[0])
	started, fed := make(chan struct{}), make(chan uint32, 1)
	go func() { fed <- feed(in, started, d) }()
	r, sum, err := drain(out, ends, started, way)
	if err != nil {
		return r, err
	}
	if sent := <-fed; sent != sum {
		return r, fmt.Errorf("%d bytes came that are not those that were sent", r.bytes)
	}
	return r, errors.Join(r.finish(ends))
}

// startAnswerer starts one who answers, and waits until it says so.
func startAnswerer(cmd *exec.Cmd) error {
	text, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		if bytes.Contains(lines.Bytes(), []byte("signed in as")) {
			go func() { _, _ = io.Copy(io.Discard, text) }() // ends with the process
			return nil
		}
	}
	return errors.New("the one who answers has ended before it signed in")
}

// feed writes for a time after the first byte has arrived, and returns the sum
// of it all.
func feed(in io.WriteCloser, started <-chan struct{}, d time.Duration) uint32 {
	defer func() { _ = in.Close() }()
	data, sum, at := block(), uint32(0), 0
	var late <-chan time.Time
	for {
		select {
		case <-started:
			late, started = time.After(d), nil
		case <-late:
			return sum
		default:
		}
		piece := data[at : at+messageSize]
		if _, err := in.Write(piece); err != nil {
			return 0
		}
		sum = crc32.Update(sum, castagnoli, piece)
		at = (at + messageSize) % len(data)
	}
}

// drain reads until the end.
func drain(out io.Reader, ends [2]*exec.Cmd, started chan<- struct{}, way *detour) (result, uint32, error) {
	var r result
	var sum uint32
	var begun time.Time
	buffer := make([]byte, 1<<20)
	for {
		n, err := out.Read(buffer)
		if n > 0 && r.bytes == 0 {
			begun = time.Now()
			r.start(ends)
			close(started)
			way.started()
		}
		r.bytes += int64(n)
		sum = crc32.Update(sum, castagnoli, buffer[:n])
		if err == io.EOF {
			r.took = time.Since(begun)
			way.ended()
			return r, sum, nil
		}
		if err != nil {
			return r, sum, err
		}
	}
}

// measureSend sends a file from one terminal to another.
func measureSend(parley string, way *detour, size int64) (result, error) {
	dir, err := os.MkdirTemp("", "bulk")
	if err != nil {
		return result{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	name := filepath.Join(dir, "file")
	if err := writeFile(name, size); err != nil {
		return result{}, err
	}
	s, err := startServer(parley, way)
	if err != nil {
		return result{}, err
	}
	defer s.stop()
	var ends [2]*exec.Cmd
	ends[1] = exec.Command(parley, "receive", "--as", "there", "--server", s.url, "--into", filepath.Join(dir, "in"), "--yes",
		"--once", "--output", "ndjson", "--max-size", strconv.FormatInt(size, 10))
	out, err := ends[1].StdoutPipe()
	if err != nil {
		return result{}, err
	}
	ends[1].Stderr = os.Stderr
	if err := ends[1].Start(); err != nil {
		return result{}, err
	}
	defer kill(ends[1])
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	r := result{bytes: size}
	var begun time.Time
	for lines.Scan() {
		var e struct{ Event, State string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return r, err
		}
		switch {
		case e.Event == "login":
			ends[0] = exec.Command(parley, "send", name, "there", "--server", s.url, "-q")
			ends[0].Stderr = os.Stderr
			if err := ends[0].Start(); err != nil {
				return r, err
			}
			defer kill(ends[0])
		case e.Event == "file" && e.State == "began":
			begun = time.Now()
			way.started()
			r.start(ends)
		case e.Event == "file" && e.State == "done":
			r.took = time.Since(begun)
			way.ended()
		}
	}
	return r, r.finish(ends)
}

func writeFile(name string, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	data := block()
	for left := size; left > 0 && err == nil; left -= int64(len(data)) {
		_, err = f.Write(data[:min(left, int64(len(data)))])
	}
	return errors.Join(err, f.Close())
}

// kill ends a process that is still there when a measurement has failed.
func kill(cmd *exec.Cmd) {
	if cmd.ProcessState == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}
