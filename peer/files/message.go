package files

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

// version of the protocol.
const version = 1

const (
	maxEntries = 100_000
	maxSize    = 1<<53 - 1 // what JavaScript counts exactly
	maxReason  = 500       // bytes of the other side's sentence that are kept
	maxID      = 64
)

// message is any of the text messages; which members it has depends on its
// type.
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

// parse reads a text message. Numbers are checked here, once: what is there is
// in its range.
func parse(data []byte) (*message, error) {
	if len(data) > maxControl {
		return nil, failed(FailedProtocol, "a control message has %d bytes, at most %d are allowed", len(data), maxControl)
	}
	m := &message{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, failed(FailedProtocol, "a control message is no JSON object of the right form")
	}
	for name, n := range map[string]*int64{"size": m.Size, "data": m.Data, "offset": m.Offset, "bytes": m.Bytes} {
		if n != nil && (*n < 0 || *n > maxSize) {
			return nil, failed(FailedProtocol, "%s is %d", name, *n)
		}
	}
	if m.Mode != nil && (*m.Mode < 0 || *m.Mode > int64(fs.ModePerm)) {
		return nil, failed(FailedProtocol, "mode is %d", *m.Mode)
	}
	if m.Time != nil && (*m.Time < -maxSize || *m.Time > maxSize) {
		return nil, failed(FailedProtocol, "time is %d", *m.Time)
	}
	m.Reason = cut(m.Reason, maxReason)
	m.Code = cut(m.Code, maxID)
	return m, nil
}

// cut shortens s to n bytes, at a rune's border.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:border(s, n)] + "…"
}

// border is the last border between runes of s that is at most n, which is less
// than its length.
func border(s string, n int) int {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return n
}

func (m *message) sum() ([]byte, error) {
	sum, err := hex.DecodeString(m.SHA256)
	if err != nil || len(sum) != 32 {
		return nil, failed(FailedProtocol, "the SHA-256 in %q is none", m.Type)
	}
	return sum, nil
}

// entry is the entry that a message announces; its name is not checked.
func (m *message) entry() (Entry, error) {
	e := Entry{Name: m.Name, Dir: m.Dir, Mode: 0o666}
	if m.Dir {
		e.Mode = 0o777
	} else if m.Size == nil {
		return e, failed(FailedProtocol, "a file was announced without its size")
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

func (e *Entry) message() *message {
	m := &message{Type: "entry", Name: e.Name, Dir: e.Dir, Mode: new(int64(e.Mode.Perm())), Time: new(e.Time.UnixMilli())}
	if !e.Dir {
		m.Size, m.Data = &e.Size, &e.Data
	}
	return m
}

// send sends a text message.
func send(ctx context.Context, c Conn, m *message) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("failed to write a message: %w", err) // never: it is made of strings and numbers
	}
	if err := c.Write(ctx, data, true); err != nil {
		return sendError(ctx, err)
	}
	return nil
}

// sendError is the reason why a message did not go: the end of ctx, or that of
// the channel.
func sendError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return broken(err)
}

// farewell is how long the last word to the other side may take.
const farewell = 2 * time.Second

// tell tells the other side why the transfer is over, if it does not know.
func tell(ctx context.Context, c Conn, err error) {
	m := &message{Type: "error", Code: FailedCancelled, Reason: "it was ended there"}
	var refused *Refused
	var failed *Failed
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
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	_ = send(ctx, c, m) // it may be gone
}
