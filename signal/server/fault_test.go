package server_test

import (
	"strings"
	"testing"
	"time"

	"parley/signal/server"
)

// Faults that a server on the open internet meets, and the tests that make them. Those of
// TestHandshakeFaults, TestFrameFaults, TestWaits and TestMessageFaults happen one after the other
// on one server (victim_test.go); after each, two users in a call still hear each other and nobody
// else, and goroutines, open files and memory are as before.
//
//	The transport
//	no WebSocket, a bad upgrade, subprotocols, origins    TestHandshakeFaults, TestOrigin, TestToken
//	a TLS handshake that does not end                     TestTLSHandshakes
//	slow headers, slow frames                             TestWaits, TestTLSHalfAFrame
//	half-open connections                                 TestDeadSocket, TestWheelFindsTheDead
//	resets in mid-frame                                   TestFrameFaults, TestTLSReset
//	close frames of all kinds                             TestFrameFaults
//	too long, in pieces, compressed                       TestFrameFaults, TestFragments
//	not masked, reserved, not UTF-8, binary               TestFrameFaults, TestBrokenFrames, FuzzFrames
//	floods of pings and pongs                             TestFrameFaults
//	slow readers                                          TestFrameFaults, TestSlowReader, TestTLSSlowReader
//	crowds                                                TestFrameFaults, TestDoor, TestPending, make bench-signal
//	no more file descriptors                              TestFewFiles
//	drains, restarts                                      TestDrain*, TestServerRestarts
//	a full disk below the log, a port in use              e2e/server: TestFullLog; script serve
//	clocks                                                the server's own are monotonic (Server.now); TestJWT, TestThrottle have theirs
//
//	Messages
//	no JSON, no object, depth, numbers, duplicates        TestMessageFaults, TestHostileFrames, FuzzObject, FuzzServerCall, FuzzServerRelay
//	names                                                 TestMessageFaults, TestCallNames
//	unknown types, versions, members                      TestMessageFaults, TestUnknownType
//	before, twice, after; to oneself, absent, elsewhere   TestMessageFaults, TestCall, TestWhoMaySayWhat
//	a forged sender                                       TestMessageFaults
//	repeated messages                                     TestMessageFaults, TestResume
//	answers and candidates without a call, third parties  TestMessageFaults, TestWhoMaySayWhat, TestRelayCalls
//	bounds and rates                                      TestMessageFaults, TestLimits, TestDoor
//	tokens that expire in mid-session                     TestTokenExpiresInMidSession, TestJWT
//
//	Who may come in
//	cross-site WebSockets                                 TestOrigin, TestCheckOriginPattern
//	names that are held, squatted or raced for            TestLoginRace, TestResumeRefused, TestNameTakenMeanwhile
//	tokens, webhooks                                      TestJWT*, TestWebhook, TestAuth, TestSlowAuth
//	guessing                                              TestAuth, TestResumeGuessing, TestThrottle*
//	what a log may hold                                   TestToken, TestLogHoldsNoBodies
//	relays                                                package relay: TestPeers, TestPrivatePeers, TestWrongCredentials, TestQuota, ...

// TestHandshakeFaults attacks before there is a WebSocket.
func TestHandshakeFaults(t *testing.T) {
	v := newVictim(t, &server.Options{Limits: server.Limits{Upgrades: server.Rate{PerSecond: -1}}})
	says := func(status int, text string) func() {
		return func() {
			r := v.socket()
			_, _ = r.Write([]byte(text))
			r.status(status)
		}
	}
	const upgrade = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n"
	const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	v.suffer([]attack{
		{"no HTTP", says(400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")},
		{"no WebSocket", says(404, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")},
		{"an upgrade without version", says(400, upgrade+key+"\r\n")},
		{"an upgrade without key", says(400, upgrade+"Sec-WebSocket-Version: 13\r\n\r\n")},
		{"a version of long ago", says(400, upgrade+key+"Sec-WebSocket-Version: 8\r\n\r\n")},
		{"an upgrade by POST", says(405, strings.Replace(upgrade, "GET", "POST", 1)+key+"Sec-WebSocket-Version: 13\r\n\r\n")},
		{"an evil origin", says(403, upgrade+key+"Sec-WebSocket-Version: 13\r\nOrigin: https://evil.example\r\n\r\n")},
		{"a subprotocol nobody speaks", func() { v.upgrade("Sec-WebSocket-Protocol: soap\r\n").reset() }},
		{"a token of garbage", func() { v.upgrade("Sec-WebSocket-Protocol: parley, parley.token.***\r\n").reset() }},
		{"a header without bound", func() {
			r := v.socket()
			_, _ = r.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n"))
			r.ends()
		}},
		{"gone right after the upgrade", func() { v.upgrade("").reset() }},
		{"gone before the answer to the upgrade", func() {
			r := v.socket()
			_, _ = r.Write([]byte(upgrade + key + "Sec-WebSocket-Version: 13\r\n\r\n"))
			r.reset()
		}},
		{"closed one way after the upgrade", func() { r := v.upgrade(""); _ = r.CloseWrite(); r.closed(0) }},
	})
}

// TestWaits attacks with patience: each on a server that has less of it.
func TestWaits(t *testing.T) {
	const short = 100 * time.Millisecond
	t.Run("header", func(t *testing.T) {
		v := newVictim(t, &server.Options{Limits: server.Limits{HeaderWait: short}})
		v.suffer([]attack{
			{"nothing at all", func() { v.socket().ends() }},
			{"a header that never ends", func() {
				r := v.socket()
				_, _ = r.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\nUpgr"))
				r.ends()
			}},
			{"a header byte by byte", func() {
				r := v.socket()
				r.trickle([]byte("GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 200)))
				r.ends()
			}},
		})
	})
	t.Run("frame", func(t *testing.T) {
		v := newVictim(t, &server.Options{Limits: server.Limits{FrameWait: short}})
		v.suffer([]attack{
			{"half a frame", func() { r := v.upgrade(""); r.write(halfAFrame); r.closed(0) }},
			{"a frame byte by byte", func() { r := v.upgrade(""); r.trickle(masked(0x81, padded(200))); r.closed(0) }},
			{"half a message", func() { r := v.upgrade(""); r.frame(0x01, `{"type":`); r.closed(0) }},
			{"half a message, with pings in it", func() { r := v.upgrade(""); r.frame(0x01, `{"type":`); r.frame(0x89, ""); r.closed(0) }},
		})
	})
	t.Run("login", func(t *testing.T) {
		v := newVictim(t, &server.Options{PingInterval: 25 * short, Limits: server.Limits{LoginWait: 5 * short}})
		v.suffer([]attack{
			{"never a login", func() { v.upgrade("").closed(4408) }},
			{"nonsense instead of a login", func() { r := v.upgrade(""); r.text(`{"type":"x"}`); r.closed(4408) }},
		})
	})
}

// halfAFrame announces 4 KiB and has little of it.
const halfAFrame = "\x81\xfe\x10\x00\x00\x00\x00\x00{\"type\":"

// trickle writes byte by byte, until it is cut off.
func (r *raw) trickle(bytes []byte) {
	for _, b := range bytes {
		if _, err := r.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(2 * time.Millisecond) // the attack itself, not a wait for anything
	}
}
