package filetransfer

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"
	"unicode/utf8"
)

// Protocol is the subprotocol of a data channel that carries files (RFC 8832 section 5.1).
const Protocol = "parley.files.1"

// version is the protocol version of an offer.
const version = 1

const (
	maxControl = 64 << 10  // bytes of a text message
	maxChunk   = 256 << 10 // bytes of a received binary message
	chunkSize  = 64 << 10  // bytes of a sent binary message: larger ones are not faster
	maxZeros   = 64 << 20  // bytes of a zeros message: the receiver hashes them
	maxEntries = 100_000
	maxSize    = 1<<53 - 1 // largest integer that JavaScript represents exactly
	maxReason  = 500       // bytes kept of the peer's reason
	maxID      = 64        // bytes of an offer's ID
)

// A Conn carries whole messages in order, like a data channel. One goroutine may call Write while
// another one calls Receive.
type Conn interface {
	// Write queues a message. It blocks while the queue is full, at most until ctx is done. It does
	// not keep data.
	Write(ctx context.Context, data []byte, text bool) error
	// Receive returns the next message, which is valid until the next call. The error is io.EOF
	// once the peer has closed the channel.
	Receive(ctx context.Context) (data []byte, text bool, err error)
	// MaxMessage returns the size in bytes of the largest message that the peer accepts.
	MaxMessage() int
}

// message is a text message. Which members it has depends on its type.
type message struct {
	Type string `json:"type"`

	Version *int   `json:"version,omitempty"`
	ID      string `json:"id,omitempty"`
	Entries *int   `json:"entries,omitempty"`

	Name string `json:"name,omitempty"`
	Dir  bool   `json:"dir,omitempty"`
	Size *int64 `json:"size,omitempty"`
	Data *int64 `json:"data,omitempty"`
	Mode *int64 `json:"mode,omitempty"`
	Time *int64 `json:"time,omitempty"`

	File   *int   `json:"file,omitempty"`
	Offset *int64 `json:"offset,omitempty"`
	Bytes  *int64 `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`

	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// parseMessage returns a text message whose numbers are all within their ranges.
func parseMessage(data []byte) (*message, error) {
	if len(data) > maxControl {
		return nil, failed(FailedProtocol, "invalid control message: got %d bytes, want at most %d", len(data), maxControl)
	}
	m := &message{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, failed(FailedProtocol, "invalid control message: want a JSON object with members of the specified types")
	}
	for name, n := range map[string]*int64{"size": m.Size, "data": m.Data, "offset": m.Offset, "bytes": m.Bytes} {
		if n != nil && (*n < 0 || *n > maxSize) {
			return nil, failed(FailedProtocol, "invalid %s: got %d, want 0 to %d", name, *n, int64(maxSize))
		}
	}
	if m.Mode != nil && (*m.Mode < 0 || *m.Mode > int64(fs.ModePerm)) {
		return nil, failed(FailedProtocol, "invalid mode: got %d, want 0 to %d", *m.Mode, int64(fs.ModePerm))
	}
	if m.Time != nil && (*m.Time < -maxSize || *m.Time > maxSize) {
		return nil, failed(FailedProtocol, "invalid time: got %d", *m.Time)
	}
	m.Reason = truncate(m.Reason, maxReason)
	m.Code = truncate(m.Code, maxID)
	return m, nil
}

// truncate returns at most the first n bytes of s and an ellipsis, without cutting a rune.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:runeStart(s, n)] + "…"
}

// runeStart returns the index of the last rune of s that starts at or before n < len(s).
func runeStart(s string, n int) int {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

func (m *message) hash() ([]byte, error) {
	sum, err := hex.DecodeString(m.SHA256)
	if err != nil || len(sum) != 32 {
		return nil, failed(FailedProtocol, "invalid %q message: want a SHA-256 of 64 hexadecimal digits", m.Type)
	}
	return sum, nil
}

// entry returns the entry of an entry message. It does not check the name.
func (m *message) entry() (Entry, error) {
	e := Entry{Name: m.Name, Dir: m.Dir, Mode: 0o666}
	if m.Dir {
		e.Mode = 0o777
	} else if m.Size == nil {
		return e, failed(FailedProtocol, "invalid entry: a file has no size")
	} else {
		e.Size, e.Data = *m.Size, *m.Size
	}
	if m.Data != nil {
		e.Data = min(*m.Data, e.Size)
	}
	if m.Mode != nil {
		e.Mode = fs.FileMode(*m.Mode)
	}
	if m.Time != nil {
		e.Time = time.UnixMilli(*m.Time)
	}
	return e, nil
}

// message returns the entry message of an entry.
func (e *Entry) message() *message {
	m := &message{Type: "entry", Name: e.Name, Dir: e.Dir, Mode: new(int64(e.Mode.Perm())), Time: new(e.Time.UnixMilli())}
	if !e.Dir {
		m.Size, m.Data = &e.Size, &e.Data
	}
	return m
}

// peerError returns the error of an error message.
func (m *message) peerError() error {
	return &FailedError{Code: m.Code, Err: errors.New(m.Reason), ByPeer: true}
}

// writeMessage writes a text message.
func writeMessage(ctx context.Context, c Conn, m *message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("failed to marshal a %q message: %w", m.Type, err)
	}
	if err := c.Write(ctx, data, true); err != nil {
		return writeError(ctx, err)
	}
	return nil
}

// writeError returns the cause of ctx if it is done, else an error that wraps ErrBroken.
func writeError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return broken(err)
}

// closingTimeout bounds how long the last message to the peer may take.
const closingTimeout = 2 * time.Second

// writeFinalError sends the peer the error that ends a transfer, unless the peer knows it.
func writeFinalError(ctx context.Context, c Conn, err error) {
	m := &message{Type: "error", Code: FailedCancelled, Reason: "the transfer was cancelled"}
	var refused *RefusedError
	var failed *FailedError
	switch {
	case err == nil, errors.Is(err, ErrBroken):
		return
	case errors.As(err, &refused):
		m.Type, m.Code, m.Reason = "refuse", refused.Code, refused.Reason
		if refused.ByPeer {
			return
		}
	case errors.As(err, &failed):
		m.Code, m.Reason = failed.Code, failed.Error()
		if failed.ByPeer {
			return
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closingTimeout)
	defer cancel()
	_ = writeMessage(ctx, c, m) // the peer may be gone
}
