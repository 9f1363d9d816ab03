// SPDX-FileCopyrightText: 2026 The Pion community <https://pion.ly>
// SPDX-License-Identifier: MIT

package dtls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3/pkg/crypto/ciphersuite"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/recordlayer"
)

// stuckConn is a UDP socket whose writes, once it is stuck, wait for a deadline or Close.
type stuckConn struct {
	net.PacketConn
	stuck   atomic.Bool
	waiting chan struct{} // receives a value when a write waits

	mu       sync.Mutex // guards the following
	deadline *sync.Cond
	passed   bool
}

func newStuckConn(t *testing.T) *stuckConn {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stuckConn{PacketConn: conn, waiting: make(chan struct{}, 1)}
	s.deadline = sync.NewCond(&s.mu)

	return s
}

type timeoutError struct{ error }

func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

func (s *stuckConn) WriteTo(b []byte, to net.Addr) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.stuck.Load() && !s.passed {
		select {
		case s.waiting <- struct{}{}:
		default:
		}
		s.deadline.Wait()
	}
	if s.passed {
		s.stuck.Store(false) // Close writes an alert

		return 0, timeoutError{errors.New("deadline")}
	}

	return s.PacketConn.WriteTo(b, to)
}

func (s *stuckConn) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passed = !t.IsZero() && time.Until(t) <= 0
	s.deadline.Broadcast()

	return nil
}

// directPair returns two connected ends, of which the first writes to the first socket.
func directPair(t *testing.T) (*Conn, *Conn, *stuckConn) {
	t.Helper()
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	config := &Config{Certificates: []tls.Certificate{certificate}, InsecureSkipVerify: true}
	ours, theirs := newStuckConn(t), newStuckConn(t)
	client, err := Client(ours, theirs.LocalAddr(), config)
	if err != nil {
		t.Fatal(err)
	}
	server, err := Server(theirs, ours.LocalAddr(), config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- server.HandshakeContext(ctx) }()
	if err := errors.Join(client.HandshakeContext(ctx), <-failed); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })

	return client, server, ours
}

func TestDirectWriteIsInterrupted(t *testing.T) {
	for name, c := range map[string]struct {
		interrupt func(*Conn) error
		want      error
	}{
		"closed":             {(*Conn).Close, ErrConnClosed},
		"deadline passed":    {func(c *Conn) error { return c.SetWriteDeadline(time.Unix(1, 0)) }, context.DeadlineExceeded},
		"deadline of future": {func(c *Conn) error { return c.SetWriteDeadline(time.Now().Add(5 * time.Millisecond)) }, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			client, server, socket := directPair(t)
			socket.stuck.Store(true)
			failed := make(chan error, 1)
			go func() {
				_, err := client.Write([]byte("stuck"))
				failed <- err
			}()
			<-socket.waiting
			if err := c.interrupt(client); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-failed:
				if !errors.Is(err, c.want) {
					t.Errorf("Write: %v, want %v", err, c.want)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("Write goes on")
			}
			if errors.Is(c.want, ErrConnClosed) {
				return
			}
			// The connection is usable without a deadline.
			socket.stuck.Store(false)
			if err := client.SetWriteDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Write([]byte("later")); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 10)
			if n, err := server.Read(b); err != nil || string(b[:n]) != "later" {
				t.Errorf("Read: %q, %v, want %q", b[:n], err, "later")
			}
		})
	}
}

func TestDeadlineBeforeDirectWrite(t *testing.T) {
	client, _, socket := directPair(t)
	socket.stuck.Store(true)
	if err := client.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("stuck")); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errDeadlineExceeded) {
		t.Errorf("Write: %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestWriteStartsNoGoroutine(t *testing.T) {
	client, server, socket := directPair(t)
	go func() {
		for b := make([]byte, 100); ; {
			if _, err := server.Read(b); err != nil {
				return
			}
		}
	}()
	if _, err := client.Write([]byte("first")); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	socket.stuck.Store(true)
	done := make(chan error, 1)
	go func() {
		_, err := client.Write([]byte("stuck"))
		done <- err
	}()
	<-socket.waiting
	if got := runtime.NumGoroutine(); got > before+1 {
		t.Errorf("%d goroutines during a Write, want %d", got, before+1)
	}
	_ = client.Close()
	<-done
}

// Records that have arrived together are read one by one, in order, by Read and ReadPacket.
func TestReadPacket(t *testing.T) {
	client, server, _ := directPair(t)
	const records = maxDecrypted / 2
	for i := range records {
		if _, err := client.Write([]byte{byte(i), 1, 2, 3}); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); len(server.decrypted) < records; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d records", len(server.decrypted), records)
		}
	}
	b := make([]byte, 10)
	for i := range records {
		if !server.PacketWaits() {
			t.Fatalf("no record waits after %d", i)
		}
		switch i % 3 {
		case 0:
			if p, err := server.ReadPacket(); err != nil || len(p) != 4 || p[0] != byte(i) {
				t.Fatalf("record %d: %v, %v", i, p, err)
			}
		case 1:
			if n, err := server.Read(b); err != nil || n != 4 || b[0] != byte(i) {
				t.Fatalf("record %d: %v, %v", i, b[:n], err)
			}
		default:
			if n, err := server.Read(b[:3]); !errors.Is(err, errBufferTooSmall) || n != 0 {
				t.Fatalf("record %d in too short a buffer: %d, %v", i, n, err)
			}
		}
	}
	if server.PacketWaits() {
		t.Error("a record waits after the last")
	}
	if err := server.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if p, err := server.ReadPacket(); !errors.Is(err, errDeadlineExceeded) {
		t.Errorf("after the deadline: %v, %v", p, err)
	}
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		_, err := server.ReadPacket()
		ended <- err
	}()
	_ = server.Close()
	if err := <-ended; !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// What was received before the other end closed the connection can be read afterwards.
func TestReadPacketAfterClose(t *testing.T) {
	for range 20 {
		client, server, _ := directPair(t)
		const records = 20
		for i := range records {
			if _, err := client.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		_ = client.Close()
		<-server.closed.Done()
		for i := range records {
			if p, err := server.ReadPacket(); err != nil || len(p) != 1 || p[0] != byte(i) {
				t.Fatalf("record %d: %v, %v", i, p, err)
			}
		}
		if p, err := server.ReadPacket(); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last record: %v, %v", p, err)
		}
	}
}

// A record that is encrypted in place is the same, and so is what it carries.
func TestEncryptInPlace(t *testing.T) {
	key, iv := make([]byte, 16), make([]byte, 12)
	gcm, err := ciphersuite.NewGCM(key, iv, key, iv)
	if err != nil {
		t.Fatal(err)
	}
	ccm, err := ciphersuite.NewCCM(ciphersuite.CCMTagLength8, key, iv, key, iv)
	if err != nil {
		t.Fatal(err)
	}
	for name, suite := range map[string]interface {
		Encrypt(record *recordlayer.RecordLayer, raw []byte) ([]byte, error)
	}{"GCM": gcm, "CCM": ccm} {
		for _, size := range []int{1, 7, 8, 9, 100, 1200} {
			record := &recordlayer.RecordLayer{
				Header:  recordlayer.Header{Version: protocol.Version1_2, Epoch: 1, SequenceNumber: 7},
				Content: &protocol.ApplicationData{Data: bytes.Repeat([]byte("x"), size)},
			}
			raw, err := record.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			want, err := suite.Encrypt(record, slices.Clip(raw))
			if err != nil {
				t.Fatal(err)
			}
			buffer := append(make([]byte, 0, len(raw)+maxOverhead), raw...)
			got, err := suite.Encrypt(record, buffer)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes: got %x, want %x", name, size, got, want)
			}
			if &got[0] != &buffer[0] {
				t.Errorf("%s: %d bytes are not encrypted in place", name, size)
			}
		}
	}
}
