package server_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal/server"
)

// TestFrameFaults attacks with frames.
func TestFrameFaults(t *testing.T) {
	v := newVictim(t, &server.Options{
		MaxQueue: 64 << 10,
		Limits:   server.Limits{PerAddress: -1, Upgrades: server.Rate{PerSecond: -1}, Offers: server.Rate{PerSecond: -1}, Candidates: server.Rate{PerSecond: -1}},
	})
	login := `{"type":"login","name":"alice"}`
	sends := func(first byte, payload string, code int) func() {
		return func() { r := v.upgrade(""); r.frame(first, payload); r.closed(code) }
	}
	writes := func(bytes string, code int) func() {
		return func() { r := v.upgrade(""); _, _ = r.Write([]byte(bytes)); r.closed(code) }
	}
	many := func(code int, frames ...[]byte) func() {
		return func() { r := v.upgrade(""); _, _ = r.Write(bytes.Join(frames, nil)); r.closed(code) }
	}
	v.suffer([]attack{
		{"a reset in mid-frame", func() { r := v.upgrade(""); r.write(halfAFrame); r.reset() }},
		{"a reset in mid-message, signed in", func() { r := v.upgrade(""); r.text(login); r.frame(0x01, "{"); r.reset() }},
		{"the end in mid-frame", func() { r := v.upgrade(""); r.write(halfAFrame); _ = r.CloseWrite(); r.closed(0) }},
		{"100 MB announced", writes("\x81\xff\x00\x00\x00\x00\x06\x40\x00\x00\x00\x00\x00\x00{", 1009)},
		{"a length below zero", writes("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1002)},
		{"a byte over the bound", sends(0x81, padded(64<<10+1), 1009)},
		{"a message of empty fragments", many(4429, masked(0x01, ""), bytes.Repeat(masked(0x00, ""), 100_000))},
		{"messages of small fragments", many(4429, bytes.Repeat(append(masked(0x01, ""), masked(0x80, `{"type":"candidate","candidate":null,"name":"dave"}`)...), 30))},
		{"a message of fragments over the bound", many(1009, masked(0x01, ""), bytes.Repeat(masked(0x00, padded(4<<10)), 17))},
		{"a compressed bomb", func() {
			r := v.upgrade("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")
			r.frame(0xc1, strings.Repeat("\x00", 1000))
			r.closed(1002)
		}},
		{"reserved bits", sends(0xb1, "{}", 1002)},
		{"a reserved opcode", sends(0x83, "{}", 1002)},
		{"a reserved control opcode", sends(0x8b, "", 1002)},
		{"a ping in pieces", sends(0x09, "", 1002)},
		{"a long ping", sends(0x89, strings.Repeat("p", 126), 1002)},
		{"not masked", writes("\x81\x02{}", 1002)},
		{"a continuation of nothing", sends(0x80, "{}", 1002)},
		{"a message within a message", many(1002, masked(0x01, "{"), masked(0x81, "{}"))},
		{"invalid UTF-8", sends(0x81, "{\"type\":\"\xc3\x28\"}", 1007)},
		{"invalid UTF-8 across fragments", many(1007, masked(0x01, "\xc3"), masked(0x80, "\x28"))},
		{"binary", sends(0x82, login, 1003)},
		{"a flood of pings", many(4429, bytes.Repeat(masked(0x89, strings.Repeat("p", 125)), 10_000))},
		{"a few pongs nobody asked for", many(1000, masked(0x81, login), bytes.Repeat(masked(0x8a, "pong"), 10), masked(0x88, "\x03\xe8"))},
		{"a flood of pongs nobody asked for", many(4429, masked(0x81, login), bytes.Repeat(masked(0x8a, "pong"), 10_000))},
		{"a flood of nonsense, unread", func() {
			r := v.upgrade("")
			_ = r.SetReadBuffer(1 << 10)
			_, _ = r.Write(bytes.Repeat(masked(0x81, `{"type":"`+strings.Repeat("x", 500)+`"}`), 2000))
			r.closed(4429)
		}},
		{"a reader with 1 KiB of room", func() { v.slowReader() }},
		{"a close without a code", sends(0x88, "", 0)},
		{"a close with 1000", sends(0x88, "\x03\xe8bye", 1000)},
		{"a close with 1001, signed in", many(1001, masked(0x81, login), masked(0x88, "\x03\xe9"))},
		{"a close with 1006", sends(0x88, "\x03\xee", 1002)},
		{"a close with 1009", sends(0x88, "\x03\xf1", 1009)},
		{"a close with 1011", sends(0x88, "\x03\xf3", 1011)},
		{"a close with 5000", sends(0x88, "\x13\x88", 1002)},
		{"a close with one byte", sends(0x88, "\x03", 1002)},
		{"a close with invalid UTF-8", sends(0x88, "\x03\xe8\xff", 1002)},
		{"frames behind a close", many(1000, masked(0x88, "\x03\xe8"), masked(0x81, login))},
		{"a client that goes on after it was closed", func() {
			r := v.upgrade("")
			r.frame(0x82, "x")
			for range 1000 {
				r.text(login)
			}
			r.frame(0x88, "\x03\xeb")
			r.closed(1003)
		}},
		{"400 at once that come and go", func() { v.crowd(400) }},
	})
}

// slowReader is in a call and reads nothing of what it requests, until it is cut off and its
// partner gets a leave.
func (v *victim) slowReader() {
	v.t.Helper()
	slow := v.upgrade("")
	defer slow.Close()
	_ = slow.SetReadBuffer(1 << 10)
	slow.text(`{"type":"login","name":"slow"}`)
	eventually(v.t, "the slow one is signed in", func() bool { return v.server.Stats().Names == 3 })
	dave := v.signIn("dave")
	defer dave.Close()
	if err := dave.WriteMessage(websocket.TextMessage, []byte(`{"type":"offer","offer":`+offerSDP+`,"name":"slow"}`)); err != nil {
		v.t.Fatal(err)
	}
	left := make(chan error, 1)
	_ = dave.SetReadDeadline(time.Now().Add(patience))
	go func() { left <- means(dave, `{"type":"leave","name":"slow"}`) }()
	for {
		select {
		case err := <-left:
			if err != nil {
				v.t.Error(err)
			}
			return
		default:
		}
		slow.text(unknownType)
		v.talk()
	}
}

// unknownType is a message whose error is as long as the message.
var unknownType = `{"type":"` + strings.Repeat("x", 1<<10) + `"}`

// crowd comes, signs in by half, and goes all at once.
func (v *victim) crowd(n int) {
	v.t.Helper()
	var all []*raw
	for range n {
		all = append(all, v.upgrade(""))
	}
	v.talk()
	for i, r := range all {
		if i%2 == 0 {
			r.text(fmt.Sprintf(`{"type":"login","name":"n%d"}`, i))
		}
		r.reset()
	}
}
