package capture

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// StatsDump writes an RTCStatsDump of version 3, as rtcstats.com, its importer and Chromium's
// webrtc-internals read it (github.com/rtcstats/rtcstats, packages/rtcstats-server). After two
// lines of header each line is an array: method or event, connection, value, and the milliseconds
// since the line before. A line is written at once: after a crash the file is whole.
type StatsDump struct {
	mu          sync.Mutex // guards following
	w           io.Writer
	last        float64 // time of the line before, in milliseconds since 1970
	connections int
	err         error // the first one of w; nothing is written after it
	invalid     error // the first value that JSON cannot express; its line is missing
	closed      bool
}

// NewStatsDump returns a StatsDump that writes to w. The header names the program that writes it.
func NewStatsDump(w io.Writer, userAgent string) *StatsDump {
	d := &StatsDump{w: w}
	head, err := json.Marshal(map[string]any{"fileFormat": 3, "userAgent": userAgent, "startTime": time.Now().UnixMilli()})
	if d.err = err; err == nil {
		_, d.err = fmt.Fprintf(w, "RTCStatsDump\n%s\n", head)
	}
	return d
}

// Close returns the first error of all. Later lines are dropped.
func (d *StatsDump) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return cmp.Or(d.err, d.invalid)
}

func (d *StatsDump) writeLine(method, connection string, value any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil || d.closed {
		return
	}
	now := float64(time.Now().UnixMicro()) / 1000
	line, err := json.Marshal([]any{method, connection, value, now - d.last})
	if err != nil {
		d.invalid = cmp.Or(d.invalid, fmt.Errorf("invalid %s of %s: %w", method, connection, err))
		return
	}
	d.last = now
	_, d.err = d.w.Write(append(line, '\n'))
}

// ConnectionConfig is what a dump says of the configuration of a connection: no credentials.
type ConnectionConfig struct {
	ICEServers [][]string // URLs of each server
	RelayOnly  bool
}

// Connection writes the lines of one connection. A nil Connection writes nothing.
type Connection struct {
	dump *StatsDump
	id   string

	mu    sync.Mutex // guards following
	known map[string]bool
	ufrag string // of the last local offer
}

// NewConnection returns the Connection of one more call, and writes that it was created.
func (d *StatsDump) NewConnection(config ConnectionConfig) *Connection {
	d.mu.Lock()
	d.connections++
	c := &Connection{dump: d, id: fmt.Sprintf("PC_%d", d.connections), known: map[string]bool{}}
	d.mu.Unlock()
	servers := []map[string]any{}
	for _, urls := range config.ICEServers {
		servers = append(servers, map[string]any{"urls": urls})
	}
	policy := "all"
	if config.RelayOnly {
		policy = "relay"
	}
	c.Write("create", map[string]any{"iceServers": servers, "iceTransportPolicy": policy, "bundlePolicy": "max-bundle", "rtcpMuxPolicy": "require"})
	return c
}

// Write writes a method or event of RTCPeerConnection, by the name that dumps have for it, with its
// argument.
func (c *Connection) Write(method string, value any) {
	if c != nil {
		c.dump.writeLine(method, c.id, value)
	}
}

// WriteStats writes a report: its objects by their id. An object of the report before that is
// missing in this one is written as null.
func (c *Connection) WriteStats(objects map[string]any) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	value, known := map[string]any{}, map[string]bool{}
	for id := range c.known {
		value[id] = nil
	}
	for id, o := range objects {
		value[id], known[id] = o, true
	}
	c.known = known
	c.Write("getStats", value)
}

// WriteRemoteDescription writes that a description of the peer is applied. Kind is "offer" or
// "answer".
func (c *Connection) WriteRemoteDescription(kind, sdp string) {
	c.Write("setRemoteDescription", map[string]any{"type": kind, "sdp": sdp})
}

// WriteLocalDescription writes that a description was created and applied. Kind is "offer" or
// "answer".
func (c *Connection) WriteLocalDescription(kind, sdp string) {
	if c == nil {
		return
	}
	method, options := "createAnswer", any(nil)
	if kind == "offer" {
		method, options = "createOffer", c.offerOptions(sdp)
	}
	d := map[string]any{"type": kind, "sdp": sdp}
	c.Write(method, options)
	c.Write(method+"OnSuccess", d)
	c.Write("setLocalDescription", d)
	c.Write("setLocalDescriptionOnSuccess", nil)
}

// offerOptions returns the RTCOfferOptions of a local offer. One that restarts ICE has another
// username fragment than the one before (RFC 8839 section 4.4.1.1.1).
func (c *Connection) offerOptions(sdp string) any {
	_, rest, _ := strings.Cut(sdp, "\r\na=ice-ufrag:")
	ufrag, _, _ := strings.Cut(rest, "\r\n")
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.ufrag
	c.ufrag = ufrag
	if before == "" || before == ufrag {
		return nil
	}
	return map[string]any{"iceRestart": true}
}
