//go:build !gorilla

package wsconn_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// conformance is a case of the Autobahn test suite
// (github.com/crossbario/autobahn-testsuite, autobahntestsuite/case).
type conformance struct {
	id   string
	send []byte
	want []reply // before the close frame
	code int     // of the server's close frame; 1005 if it has no payload
	// closes means that send contains the client's close frame. Otherwise the client sends one
	// after it has received the server's.
	closes bool
}

// passes returns a case that ends with a close handshake of the client.
func passes(id string, want []reply, send ...[]byte) conformance {
	return conformance{id, append(join(send...), closeWith(1000, "")...), want, 1000, true}
}

// fails returns a case in which the server fails the connection.
func fails(id string, code int, want []reply, send ...[]byte) conformance {
	return conformance{id, join(send...), want, code, false}
}

func texts(payloads ...string) (all []reply) {
	for _, p := range payloads {
		all = append(all, reply{0x1, p})
	}
	return all
}

func pongs(payloads ...string) (all []reply) {
	for _, p := range payloads {
		all = append(all, reply{0xA, p})
	}
	return all
}

// octets returns the bytes of s as strings.
func octets(s string) (all []string) {
	for i := range len(s) {
		all = append(all, s[i:i+1])
	}
	return all
}

// chunks cuts s into strings of n bytes.
func chunks(s string, n int) (all []string) {
	for c := range slices.Chunk([]byte(s), n) {
		all = append(all, string(c))
	}
	return all
}

// conformances returns the cases of sections 1 to 7 and the limits of section 9, without binary
// messages and compression, which the server does not support.
func conformances() []conformance {
	const hello = "Hello, world!"
	binaryPing := "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	long := strings.Repeat("p", 125)
	var all []conformance
	add := func(c ...conformance) { all = append(all, c...) }

	for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536} {
		s := strings.Repeat("*", n)
		add(passes(fmt.Sprintf("1.1.%d text of %d bytes", i+1, n), texts(s), frame(text, s)))
	}
	add(fails("1.2 binary", 1003, nil, frame(binaryFrame, "")),
		passes("2.1 ping without payload", pongs(""), frame(ping, "")),
		passes("2.2 ping with text", pongs(hello), frame(ping, hello)),
		passes("2.3 ping with binary payload", pongs(binaryPing), frame(ping, binaryPing)),
		passes("2.4 ping with 125 bytes", pongs(long), frame(ping, long)),
		fails("2.5 ping with 126 bytes", 1002, nil, frame(ping, long+"p")),
		passes("2.7 unsolicited pong", nil, frame(pong, "")),
		passes("2.8 unsolicited pong with payload", nil, frame(pong, hello)),
		passes("2.9 unsolicited pong, then ping", pongs(hello), frame(pong, "unsolicited"), frame(ping, hello)))
	var pings []byte
	var answers []reply
	for i := range 10 {
		payload := fmt.Sprintf("payload-%d", i)
		pings, answers = append(pings, frame(ping, payload)...), append(answers, pongs(payload)...)
	}
	add(passes("2.10 ten pings", answers, pings))

	add(fails("3.1 RSV 1", 1002, nil, frame(text|0x10, hello)),
		fails("3.2 text, RSV 2, ping", 1002, texts(hello), frame(text, hello), frame(text|0x20, hello), frame(ping, "")),
		fails("3.4 RSV 4 after text", 1002, texts(hello), frame(text, hello), frame(text|0x40, hello), frame(ping, "")),
		fails("3.5 RSV 5, binary", 1002, nil, frame(binaryFrame|0x50, binaryPing)),
		fails("3.6 RSV 6, ping", 1002, nil, frame(ping|0x60, hello)),
		fails("3.7 RSV 7, close", 1002, nil, frame(closeFrame|0x70, "\x03\xe8")))

	for _, opcode := range []byte{3, 4, 5, 6, 7} {
		add(fails(fmt.Sprintf("4.1 reserved opcode %d", opcode), 1002, nil, frame(0x80|opcode, "")),
			fails(fmt.Sprintf("4.1 text, then reserved opcode %d", opcode), 1002, texts(hello), frame(text, hello), frame(0x80|opcode, hello), frame(ping, "")))
	}
	for _, opcode := range []byte{11, 12, 13, 14, 15} {
		add(fails(fmt.Sprintf("4.2 reserved control opcode %d", opcode), 1002, nil, frame(0x80|opcode, "")),
			fails(fmt.Sprintf("4.2 text, then reserved control opcode %d", opcode), 1002, texts(hello), frame(text, hello), frame(0x80|opcode, hello), frame(ping, "")))
	}

	two := fragments("fragment1", "fragment2")
	add(fails("5.1 ping in two fragments", 1002, nil, frame(0x09, "fragment1"), frame(0x80, "fragment2")),
		fails("5.2 pong in two fragments", 1002, nil, frame(0x0A, "fragment1"), frame(0x80, "fragment2")),
		passes("5.3 text in two fragments", texts("fragment1fragment2"), two),
		passes("5.6 ping between fragments", append(pongs("ping"), texts("fragment1fragment2")...),
			frame(textStart, "fragment1"), frame(ping, "ping"), frame(lastFragment, "fragment2")),
		fails("5.9 last continuation of nothing, then text", 1002, nil, frame(lastFragment, "non-continuation"), frame(text, hello)),
		fails("5.12 continuation of nothing, then text", 1002, nil, frame(continuation, "non-continuation"), frame(text, hello)),
		fails("5.15 continuation of nothing between messages", 1002, texts("fragment1fragment2"),
			two, frame(continuation, "fragment3"), frame(text, "fragment4")),
		fails("5.16 continuation of nothing before a message", 1002, nil, frame(continuation, "fragment1"), two),
		fails("5.17 last continuation of nothing before a message", 1002, nil, frame(lastFragment, "fragment1"), two),
		fails("5.18 text within a message", 1002, nil, frame(textStart, "fragment1"), frame(text, "fragment2")),
		passes("5.19 two pings between five fragments", append(pongs("ping1", "ping2"), texts("12345")...),
			frame(textStart, "1"), frame(continuation, "2"), frame(ping, "ping1"), frame(continuation, "3"),
			frame(continuation, "4"), frame(ping, "ping2"), frame(lastFragment, "5")))

	add(passes("6.1.1 empty text", texts(""), frame(text, "")),
		passes("6.1.2 three empty fragments", texts(""), fragments("", "", "")),
		passes("6.1.3 empty fragments around a full one", texts("middle"), fragments("", "middle", "")))
	const greek = "Hello-µ@ßöäüàá-UTF-8!!"
	const invalidGreek = "κόσμε\xed\xa0\x80edited"
	add(passes("6.2.2 fragments between runes", texts(greek), fragments("Hello-µ@ßöä", "üàá-UTF-8!!")),
		fails("6.4.1 an invalid fragment before the last", 1007, nil, frame(textStart, "κόσμε"), frame(continuation, "\xf4\x90\x80\x80")),
		fails("6.4.2 an invalid rune across fragments before the last", 1007, nil, frame(textStart, "κόσμε\xf4"), frame(continuation, "\x90")))
	for id, s := range validTexts(greek) {
		add(passes("6 valid, "+id, texts(s), frame(text, s)), passes("6 valid in fragments of a byte, "+id, texts(s), fragments(octets(s)...)))
	}
	for id, s := range invalidTexts(invalidGreek) {
		add(fails("6 invalid, "+id, 1007, nil, frame(text, s)), fails("6 invalid in fragments of a byte, "+id, 1007, nil, fragments(octets(s)...)))
	}

	closed := func(id string, code int, want []reply, send ...[]byte) conformance {
		return conformance{id, join(send...), want, code, true}
	}
	big := strings.Repeat("BAsd7&jh23", 25<<10)
	add(closed("7.1.1 text, then close", 1000, texts(hello), frame(text, hello), closeWith(1000, "")),
		closed("7.1.2 two closes", 1000, nil, closeWith(1000, ""), closeWith(1000, "")),
		closed("7.1.3 ping after close", 1000, nil, closeWith(1000, ""), frame(ping, "")),
		closed("7.1.4 text after close", 1000, nil, closeWith(1000, ""), frame(text, hello)),
		closed("7.1.5 close within a message", 1000, nil, frame(textStart, "fragment1"), closeWith(1000, ""), frame(lastFragment, "fragment2")),
		closed("7.1.6 256 KiB, close, ping", 1000, texts(big), frame(text, big), closeWith(1000, ""), frame(ping, "")),
		closed("7.3.1 close without payload", 1005, nil, frame(closeFrame, "")),
		fails("7.3.2 close with one byte", 1002, nil, frame(closeFrame, "a")),
		closed("7.3.3 close with a code", 1000, nil, closeWith(1000, "")),
		closed("7.3.4 close with a reason", 1000, nil, closeWith(1000, "Hello World!")),
		closed("7.3.5 close with a reason of 123 bytes", 1000, nil, closeWith(1000, strings.Repeat("*", 123))),
		fails("7.3.6 close with a reason of 124 bytes", 1002, nil, closeWith(1000, strings.Repeat("*", 124))),
		fails("7.5.1 close with invalid UTF-8", 1002, nil, closeWith(1000, invalidGreek)))
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		add(closed(fmt.Sprintf("7.7 close code %d", code), code, nil, closeWith(uint16(code), "")))
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		add(fails(fmt.Sprintf("7.9 and 7.13 invalid close code %d", code), 1002, nil, closeWith(code, "")),
			fails(fmt.Sprintf("7.9 and 7.13 invalid close code %d with a reason", code), 1002, nil, closeWith(code, "reason")))
	}

	limit := strings.Repeat("*", maxMessage)
	add(passes("9.1 the longest text", texts(limit), frame(text, limit)),
		fails("9.1 a byte over the limit", 1009, nil, frame(text, limit+"*")),
		fails("9.1 a length over the limit without payload", 1009, nil, frame(text, limit+"*")[:10]),
		fails("9.1 a length of 2^63", 1002, nil, []byte("\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00")),
		fails("9.1 a length of 2^63-1", 1009, nil, []byte("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff")),
		passes("9.3 the longest text in fragments of 1 KiB", texts(limit), fragments(chunks(limit, 1<<10)...)),
		passes("9.3 64 KiB in fragments of 64 bytes", texts(limit[:64<<10]), fragments(chunks(limit[:64<<10], 64)...)),
		fails("9.3 fragments over the limit", 1009, nil, fragments(limit[:maxMessage/2], limit[:maxMessage/2], "*")),
		fails("9.3 too many fragments", 1009, nil, fragments(slices.Repeat([]string{""}, 5000)...)))
	return all
}

// validTexts returns the valid UTF-8 of section 6.
func validTexts(greek string) map[string]string {
	all := map[string]string{"6.2": greek, "6.5": "κόσμε"}
	for i, s := range []string{"κ", "κό", "κόσ", "κόσμ", "κόσμε"} {
		all[fmt.Sprintf("6.6 prefix %d", i)] = s
	}
	for _, s := range []string{
		"\x00", "\u0080", "\u0800", "\U00010000", // 6.7: the first of each length
		"\x7f", "\u07ff", "\uffff", "\U0010ffff", // 6.9: the last of each length
		"\ud7ff", "\ue000", "\ufffd", // 6.11: boundaries
		"\ufffa", "\ufffb", "\ufffc", "\ufeff", // 6.23: specials
	} {
		all[fmt.Sprintf("%+q", s)] = s
	}
	for plane := rune(0); plane <= 16; plane++ { // 6.22: noncharacters
		for _, r := range []rune{plane<<16 | 0xfffe, plane<<16 | 0xffff} {
			all[fmt.Sprintf("6.22 %U", r)] = string(r)
		}
	}
	return all
}

// invalidTexts returns the invalid UTF-8 of section 6.
func invalidTexts(greek string) map[string]string {
	all := map[string]string{"6.3": greek}
	for _, s := range []string{
		"\xce", "κ\xcf", "κόσμ\xce", // 6.6: prefixes that end within a rune
		"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", // 6.8: lengths 5 and 6
		"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf", // 6.10
		"\xf4\x90\x80\x80",                                                     // 6.11: above U+10FFFF
		"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf\x80\xbf", // 6.12: continuations alone
		"\xc0 \xc1 \xdf ", "\xe0 \xe1 \xef ", "\xf0 \xf1 \xf7 ", "\xf8 \xfb ", "\xfc \xfd ", // 6.13: starts alone
		"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80", // 6.14: the last byte is missing
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf",
		"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf", // 6.15
		"\xfe", "\xff", "\xfe\xfe\xff\xff", // 6.16
		"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf", // 6.17: overlong
		"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf", // 6.18
		"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80", // 6.19
		"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf", // 6.20: surrogates
		"\xed\xa0\x80\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf", "\xed\xae\x80\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf", // 6.21
	} {
		all[fmt.Sprintf("% x", s)] = s
	}
	return all
}

// TestAutobahn runs each case over TCP, over TLS, and with each byte in a write of its own.
func TestAutobahn(t *testing.T) {
	for _, mode := range []struct {
		name           string
		secure, octets bool
	}{{"TCP", false, false}, {"TLS", true, false}, {"TCP in octets", false, true}, {"TLS in octets", true, true}} {
		t.Run(mode.name, func(t *testing.T) {
			s := startServer(t, mode.secure, nil)
			for _, tc := range conformances() {
				if mode.octets && len(tc.send) > 500 {
					continue
				}
				t.Run(tc.id, func(t *testing.T) {
					c := s.dial(t)
					if mode.octets {
						go c.sendOctets(tc.send)
					} else {
						go c.send(tc.send)
					}
					tc.check(t, c, mode.octets)
				})
			}
		})
	}
}

// check reads all replies, up to the orderly end of the stream.
func (tc conformance) check(t *testing.T, c *client, octets bool) {
	var got []reply
	for {
		r, err := c.receive()
		if err != nil {
			t.Fatalf("got %d replies and %v, want a close frame", len(got), err)
		}
		if r.opcode == 0x8 {
			checkClose(t, r.payload, tc.code)
			break
		}
		got = append(got, r)
	}
	if !slices.Equal(got, tc.want) {
		t.Errorf("got %.200q, want %.200q", got, tc.want)
	}
	if !tc.closes {
		c.send(closeWith(1000, ""))
	}
	// Octets after a close frame can arrive when the socket is closed, which resets the connection.
	if _, err := c.receive(); !errors.Is(err, io.EOF) && !(octets && errors.Is(err, syscall.ECONNRESET)) {
		t.Errorf("after the close frame: got %v, want the end of the stream", err)
	}
}

func checkClose(t *testing.T, payload string, want int) {
	t.Helper()
	if code := closeCode(payload); code != want {
		t.Errorf("got the close code %d (%s), want %d", code, payload[min(2, len(payload)):], want)
	}
}
