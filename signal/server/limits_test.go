package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// tight are limits that a test reaches.
func tight(change func(*server.Limits)) *server.Options {
	o := &server.Options{}
	change(&o.Limits)
	return o
}

// TestLimits exceeds one bound after the other, with defaults where nothing else is said.
// Alice exceeds them, and bob and carol, who are in a call, notice nothing.
func TestLimits(t *testing.T) {
	offer := func(sdp int) string {
		return `{"type":"offer","offer":{"type":"offer","sdp":"` + strings.Repeat("x", sdp) + `"},"name":"dave"}`
	}
	candidateOf := func(n int) string {
		return `{"type":"candidate","candidate":{"candidate":"` + strings.Repeat("x", n) + `"},"name":"dave"}`
	}
	limited := `alice < {"type":"error","code":"rate_limited","message":"messages of this kind come faster than this server takes them","name":"dave"}`
	for name, tc := range map[string]struct {
		options *server.Options
		lines   string
	}{
		"a frame of 64 KiB and a byte": {nil, "alice > " + padded(64<<10+1) + `
			alice < {"type":"error","code":"too_long","message":"the message is longer than this server takes"}
			alice closed 1009`},
		"a description of 48 KiB, and a byte more": {nil, `
			alice > {"type":"login","name":"alice"}
			alice < {"type":"login","success":true}
			alice > ` + offer(48<<10) + `
			alice < {"type":"error","code":"absent","message":"dave is not signed in","name":"dave"}
			alice > ` + offer(48<<10+1) + `
			alice < {"type":"error","code":"too_long","message":"the session description is longer than this server takes"}
			alice closed 1009`},
		"a candidate of 2 KiB, and a byte more": {nil, `
			alice > {"type":"login","name":"alice"}
			alice < {"type":"login","success":true}
			alice > ` + candidateOf(2<<10) + `
			alice < {"type":"error","code":"no_call","message":"there is no call with dave","name":"dave"}
			alice > ` + candidateOf(2<<10+1) + `
			alice < {"type":"error","code":"too_long","message":"the candidate is longer than this server takes"}
			alice closed 1009`},
		"a flood of candidates": {nil, `
			alice > {"type":"login","name":"dave"}
			alice < {"type":"login","success":true}
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"dave"}
			alice < {"type":"offer","offer":` + offerSDP + `,"name":"dave"}
			` + strings.Repeat("alice > "+candidateOf(9)+"\n", 250) + `
			` + strings.Repeat(`alice < {"type":"candidate","candidate":{"candidate":"xxxxxxxxx"},"name":"dave"}`+"\n", 200) + `
			alice closed 4429`},
		"a flood of offers": {tight(func(l *server.Limits) { l.Offers = server.Rate{PerSecond: 1e-6, Burst: 2} }), `
			alice > {"type":"login","name":"alice"}
			alice < {"type":"login","success":true}
			` + strings.Repeat("alice > "+offer(1)+"\n", 5) + strings.Repeat(`
			alice < {"type":"error","code":"absent","message":"dave is not signed in","name":"dave"}`, 2) + `
			` + limited + `
			` + limited + `
			alice < {"type":"error","code":"rate_limited","message":"messages of this kind come faster than this server takes them"}
			alice closed 4429`},
		"a flood of nonsense": {nil, strings.Repeat("alice > {}\n", 50) + strings.Repeat(`
			alice < {"type":"error","code":"unknown_type","message":"Command not found: undefined"}`, 20) + `
			alice closed 4429`},
		"too many calls": {tight(func(l *server.Limits) { l.Calls = 2 }), `
			alice > {"type":"login","name":"alice"}
			alice < {"type":"login","success":true}
			erin > {"type":"login","name":"erin"}
			erin < {"type":"login","success":true}
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"erin"}
			erin < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			alice < {"type":"error","code":"too_many_calls","message":"you or bob are in as many calls as this server allows","name":"bob"}
			alice > {"type":"leave","name":"alice"}
			alice < {"type":"leave","name":"alice"}
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"erin"}
			erin < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}`},
		"no login in time": {&server.Options{PingInterval: 25 * time.Millisecond, Limits: server.Limits{LoginWait: 50 * time.Millisecond}}, `
			alice < {"type":"error","code":"login_timeout","message":"no login came within 50ms"}
			alice closed 4408`},
		"too many without a login": {tight(func(l *server.Limits) { l.Pending = 1 }), `
			alice > {}
			alice < {"type":"error","code":"unknown_type","message":"Command not found: undefined"}
			# erin's coming is what makes alice go, as the oldest
			erin > {}
			erin < {"type":"error","code":"unknown_type","message":"Command not found: undefined"}
			alice < {"type":"error","code":"overloaded","message":"too many connections wait to log in"}
			alice closed 4503
			erin > {"type":"login","name":"erin"}
			erin < {"type":"login","success":true}`},
		"too long, in the relay dialect": {nil, `
			alice > {"inst":"init","id":"alice","errors":true}
			alice > {"inst":"send","peerId":"dave","message":{"type":"offer","sdp":"` + strings.Repeat("x", 48<<10+1) + `"}}
			alice < {"type":"error","code":"too_long","message":"the session description or candidate is longer than this server takes"}
			alice closed 1009`},
		"a flood, in the relay dialect, by one who does not want to know": {nil, `
			alice > {"inst":"init","id":"alice"}
			` + strings.Repeat(`alice > {"inst":"send","peerId":"dave","message":{"candidate":{"candidate":"x"}}}`+"\n", 250) + `
			alice closed 4429`},
	} {
		t.Run(name, func(t *testing.T) {
			talk(t, tc.options, signIn("bob", "carol")+`
				bob > {"type":"offer","offer":`+offerSDP+`,"name":"carol"}
				carol < {"type":"offer","offer":`+offerSDP+`,"name":"bob"}
				`+tc.lines+`
				carol > {"type":"answer","answer":`+answerSDP+`,"name":"bob"}
				bob < {"type":"answer","answer":`+answerSDP+`,"name":"carol"}
				carol quiet`)
		})
	}
}

// TestNoLimits lifts what TestLimits reaches.
func TestNoLimits(t *testing.T) {
	talk(t, &server.Options{Limits: server.NoLimits(), MaxQueue: 1 << 20}, signIn("alice")+`
		alice > {"type":"offer","offer":{"type":"offer","sdp":"`+strings.Repeat("x", 200<<10)+`"},"name":"alice"}
		alice < {"type":"offer","offer":{"type":"offer","sdp":"`+strings.Repeat("x", 200<<10)+`"},"name":"alice"}
		`+strings.Repeat(`alice > {"type":"candidate","candidate":null,"name":"alice"}`+"\n", 500)+`
		`+strings.Repeat(`alice < {"type":"candidate","candidate":null,"name":"alice"}`+"\n", 500))
}

// TestDoor counts connections before they are WebSockets.
func TestDoor(t *testing.T) {
	for name, tc := range map[string]struct {
		limits server.Limits
		status int
	}{
		"per address": {server.Limits{PerAddress: 3}, http.StatusTooManyRequests},
		"in all":      {server.Limits{Connections: 3}, http.StatusServiceUnavailable},
		"a second":    {server.Limits{Upgrades: server.Rate{PerSecond: 1e-6, Burst: 3}}, http.StatusTooManyRequests},
	} {
		t.Run(name, func(t *testing.T) {
			srv, url := signaltest.StartServer(t, &server.Options{Limits: tc.limits})
			for i := range 3 {
				ws := dialRaw(t, url)
				defer ws.Close()
				ask(t, ws, map[string]any{"type": "login", "name": fmt.Sprint(i)}, map[string]any{"type": "login", "success": true})
			}
			_, resp, err := websocket.DefaultDialer.Dial(url, nil)
			if err == nil || resp == nil || resp.StatusCode != tc.status || resp.Header.Get("Retry-After") == "" {
				t.Fatalf("the fourth: %v, %v", resp, err)
			}
			if st := srv.Stats(); st != (server.Stats{Connections: 3, Names: 3}) {
				t.Errorf("the server counts %+v", st)
			}
		})
	}
}

// TestDoorGivesBack fills the places again and again: none is lost, whichever way a connection
// ends.
func TestDoorGivesBack(t *testing.T) {
	srv, url := signaltest.StartServer(t, &server.Options{Limits: server.Limits{Connections: 2, Upgrades: server.Rate{PerSecond: -1}}})
	for i := range 50 {
		ws := dialRaw(t, url)
		switch i % 4 {
		case 0:
			_ = shake(ws)
		case 1:
			_ = ws.WriteMessage(websocket.BinaryMessage, nil)
			_ = closedWith(ws, websocket.CloseUnsupportedData)
			_ = ws.Close()
		case 2:
			ask(t, ws, map[string]any{"type": "login", "name": "alice"}, map[string]any{"type": "login", "success": true})
			_ = shake(ws)
		default:
			_ = ws.Close()
		}
		eventually(t, "the place is free", func() bool { return srv.Stats() == server.Stats{} })
		header := http.Header{"Origin": {"https://evil.example"}} // an upgrade that fails gives its place back, too
		if _, _, err := websocket.DefaultDialer.Dial(url, header); err == nil {
			t.Fatal("an evil origin was let in")
		}
	}
}

// TestAwayCounts cuts connections of clients that may come back: their names count as long as they
// may.
func TestAwayCounts(t *testing.T) {
	server, url := signaltest.StartServer(t, &server.Options{Resume: time.Minute, Limits: server.Limits{PerAddress: 2}})
	var tickets []any
	signIn := func(i int) map[string]any {
		ws := dialRaw(t, url)
		defer ws.NetConn().Close() // without a close frame
		return exchange(t, ws, map[string]any{"type": "login", "name": fmt.Sprint("user", i), "resume": true})
	}
	for i := range 2 {
		reply := signIn(i)
		tickets = append(tickets, reply["resume"])
		eventually(t, "the connection is gone", func() bool { return server.Stats().Connections == 0 })
	}
	for range 2 {
		if reply := signIn(2); reply["success"] != false || reply["code"] != signal.CodeOverloaded {
			t.Errorf("a third name of the address: %v", reply)
		}
		eventually(t, "the connection is gone", func() bool { return server.Stats().Connections == 0 })
	}
	ws := dialRaw(t, url) // who comes back has a place
	defer ws.Close()
	if reply := exchange(t, ws, map[string]any{"type": "login", "resume": tickets[0], "seq": 0, "ack": 0}); reply["success"] != true {
		t.Fatalf("the first one coming back: %v", reply)
	}
	_ = shake(ws) // who leaves gives it up
	eventually(t, "the name is free", func() bool { return server.Stats().Names == 1 })
	if reply := signIn(3); reply["success"] != true {
		t.Errorf("a name in the place of the first: %v", reply)
	}
}

// eventually waits until a condition holds that no event reports.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestBadHandshakesCountNothing sends requests that cannot become a connection: they take nothing
// from the limits.
func TestBadHandshakesCountNothing(t *testing.T) {
	url := signaltest.Start(t, &server.Options{Limits: server.Limits{Upgrades: server.Rate{PerSecond: 1e-6, Burst: 1}}})
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	for name, tc := range map[string]struct {
		method string
		header map[string]string
		status int
	}{
		"no version":     {http.MethodGet, map[string]string{"Sec-WebSocket-Key": key}, http.StatusBadRequest},
		"no key":         {http.MethodGet, map[string]string{"Sec-WebSocket-Version": "13"}, http.StatusBadRequest},
		"a short key":    {http.MethodGet, map[string]string{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "abcd"}, http.StatusBadRequest},
		"POST":           {http.MethodPost, map[string]string{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}, http.StatusMethodNotAllowed},
		"another origin": {http.MethodGet, map[string]string{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key, "Origin": "https://evil.example"}, http.StatusForbidden},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "http"+strings.TrimPrefix(url, "ws"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "websocket")
		for field, value := range tc.header {
			req.Header.Set(field, value)
		}
		for range 3 {
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != tc.status {
				t.Errorf("%s: %s, want %d", name, resp.Status, tc.status)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
	ws := dialRaw(t, url)
	defer ws.Close()
	ask(t, ws, map[string]any{"type": "login", "name": "alice"}, map[string]any{"type": "login", "success": true})
}

// TestUpgradesPerAddress lets one address connect in a loop: another one finds what is left for
// all.
func TestUpgradesPerAddress(t *testing.T) {
	url := signaltest.Start(t, &server.Options{TrustedProxies: loopback, ClientIPHeader: "X-Forwarded-For", Limits: server.Limits{
		Upgrades: server.Rate{PerSecond: 1e-6, Burst: 3}, UpgradesPerAddress: server.Rate{PerSecond: 1e-6, Burst: 2}}})
	connect := func(from string) int {
		ws, resp, err := websocket.DefaultDialer.Dial(url, http.Header{"X-Forwarded-For": {from}})
		if err == nil {
			_ = ws.Close()
		} else if resp == nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	for i, want := range []int{101, 101, 429, 429, 429} {
		if got := connect("192.0.2.1"); got != want {
			t.Errorf("connection %d of one address: %d, want %d", i, got, want)
		}
	}
	for i, want := range []int{101, 429} { // the last one is over the limit of all
		if got := connect(fmt.Sprintf("192.0.2.%d", i+2)); got != want {
			t.Errorf("connection of another address: %d, want %d", got, want)
		}
	}
}

// TestForwarded believes trusted proxies, and nobody else, about where a client comes from: in one
// header.
func TestForwarded(t *testing.T) {
	for name, tc := range map[string]struct {
		named  string // the ClientIPHeader of trusted proxies, "" if none is trusted
		header http.Header
		same   bool // both connections count as one address, so the second is one too many
	}{
		"nobody is trusted":        {"", http.Header{"X-Forwarded-For": {"192.0.2.%d"}}, true},
		"from the proxy":           {"X-Forwarded-For", http.Header{"X-Forwarded-For": {"192.0.2.%d"}}, false},
		"with a port":              {"X-Forwarded-For", http.Header{"X-Forwarded-For": {"192.0.2.%d:4711"}}, false},
		"the client makes up":      {"X-Forwarded-For", http.Header{"X-Forwarded-For": {"192.0.2.%d, 198.51.100.7"}}, true},
		"a proxy behind a proxy":   {"X-Forwarded-For", http.Header{"X-Forwarded-For": {"192.0.2.%d, 127.0.0.9"}}, false},
		"two fields":               {"X-Forwarded-For", http.Header{"X-Forwarded-For": {"192.0.2.%d", "127.0.0.9"}}, false},
		"nonsense":                 {"X-Forwarded-For", http.Header{"X-Forwarded-For": {"192.0.2.%d, unknown"}}, true},
		"the standard":             {"Forwarded", http.Header{"Forwarded": {`proto=https;For="192.0.2.%d:80", for=127.0.0.9;by=1.2.3.4`}}, false},
		"a forged Forwarded":       {"X-Forwarded-For", http.Header{"Forwarded": {"for=192.0.2.%d"}, "X-Forwarded-For": {"198.51.100.7"}}, true},
		"a forged X-Forwarded-For": {"Forwarded", http.Header{"Forwarded": {"for=198.51.100.7"}, "X-Forwarded-For": {"192.0.2.%d"}}, true},
		"a forged X-Real-IP":       {"X-Forwarded-For", http.Header{"X-Real-Ip": {"192.0.2.%d"}}, true},
		"one address":              {"X-Real-IP", http.Header{"X-Real-Ip": {"192.0.2.%d"}}, false},
		"one address, forged":      {"x-real-ip", http.Header{"X-Real-Ip": {"198.51.100.7"}, "X-Forwarded-For": {"192.0.2.%d"}}, true},
		"no header is named":       {"", http.Header{"Forwarded": {"for=192.0.2.%d"}, "X-Forwarded-For": {"192.0.2.%d"}, "X-Real-Ip": {"192.0.2.%d"}}, true},
		"IPv6":                     {"Forwarded", http.Header{"Forwarded": {`for="[2001:db8:0:%d::1]:4711"`}}, false},
		"IPv6, one host's /64":     {"Forwarded", http.Header{"Forwarded": {`for="[2001:db8:0:7::%d]"`}}, true},
		"hidden":                   {"Forwarded", http.Header{"Forwarded": {"for=_secret%d"}}, true},
		"IPv4 in IPv6":             {"X-Forwarded-For", http.Header{"X-Forwarded-For": {"::ffff:192.0.2.%d"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			options := &server.Options{Limits: server.Limits{PerAddress: 1}}
			if tc.named != "" {
				options.TrustedProxies, options.ClientIPHeader = loopback, tc.named
			}
			url := signaltest.Start(t, options)
			var errs [2]error
			for i := range errs {
				header := http.Header{}
				for field, values := range tc.header {
					for _, v := range values {
						header.Add(field, strings.ReplaceAll(v, "%d", fmt.Sprint(i+1)))
					}
				}
				ws, _, err := websocket.DefaultDialer.Dial(url, header)
				if errs[i] = err; err == nil {
					defer ws.Close()
				}
			}
			if errs[0] != nil || (errs[1] != nil) != tc.same {
				t.Errorf("got %v", errs)
			}
		})
	}
}

// TestManyCallers lets 100 users call one at once, on a server with the default limits: each gets
// an answer and 20 candidates.
func TestManyCallers(t *testing.T) {
	const callers, candidates = 100, 20
	url := signaltest.Start(t, nil)
	signIn := func(name string) *websocket.Conn {
		ws := dialRaw(t, url)
		t.Cleanup(func() { _ = ws.Close() })
		ask(t, ws, map[string]any{"type": "login", "name": name}, map[string]any{"type": "login", "success": true})
		return ws
	}
	studio := signIn("studio")
	all := make([]*websocket.Conn, callers)
	for i := range all {
		all[i] = signIn(fmt.Sprint("viewer", i))
		if err := all[i].WriteMessage(websocket.TextMessage, []byte(`{"type":"offer","offer":`+offerSDP+`,"name":"studio"}`)); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for range all {
		var m map[string]any
		_ = studio.SetReadDeadline(time.Now().Add(patience))
		if err := studio.ReadJSON(&m); err != nil || m["type"] != "offer" {
			t.Fatalf("got %v, %v; want an offer", m, err)
		}
		names = append(names, m["name"].(string))
	}
	send := func(frame string) {
		if err := studio.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		send(`{"type":"answer","answer":` + answerSDP + `,"name":"` + name + `"}`)
		for range candidates {
			send(`{"type":"candidate","candidate":` + candidate + `,"name":"` + name + `"}`)
		}
	}
	for i, ws := range all {
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		for n := range 1 + candidates {
			var m map[string]any
			if err := ws.ReadJSON(&m); err != nil || m["type"] == "error" {
				t.Fatalf("message %d to caller %d of %d: %v, %v", n+1, i+1, callers, m, err)
			}
		}
	}
	for _, name := range names { // all end at once
		send(`{"type":"leave","name":"` + name + `"}`)
	}
	for i, ws := range all {
		var m map[string]any
		if err := ws.ReadJSON(&m); err != nil || m["type"] != "leave" {
			t.Fatalf("caller %d of %d got %v, %v; want leave", i+1, callers, m, err)
		}
	}
	barrier(t, studio) // and the connection goes on
}

// TestControlFrames sends frames that are no message by themselves. A few are taken, a flood ends
// the connection, and what comes after that is not read for long.
func TestControlFrames(t *testing.T) {
	const pong, empty = "\x8a\x80\x00\x00\x00\x00", "\x00\x80\x00\x00\x00\x00"
	for name, tc := range map[string]struct{ first, frame string }{
		"pings":     {"", "\x89\x80\x00\x00\x00\x00"},
		"pongs":     {"", pong},
		"fragments": {"\x01\x80\x00\x00\x00\x00", empty},
	} {
		t.Run(name, func(t *testing.T) {
			ws := dialRaw(t, signaltest.Start(t, nil))
			defer ws.Close()
			conn := ws.NetConn()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(conn, tc.first+strings.Repeat(tc.frame, 100)); err != nil {
				t.Fatal(err)
			}
			if err := closedWith(ws, signal.CloseRateLimited); err != nil {
				t.Error(err)
			}
			written := 0
			for flood := strings.Repeat(tc.frame, 1000); ; written += len(flood) {
				if _, err := io.WriteString(conn, flood); err != nil {
					break
				}
				if written > 64<<20 {
					t.Fatal("the server goes on reading a connection that it has closed")
				}
			}
		})
	}
	t.Run("long fragments", func(t *testing.T) {
		ws := dialRaw(t, signaltest.Start(t, nil))
		defer ws.Close()
		const pieces, size = 60, 1000
		frame := func(opcode byte, payload string) string {
			return string([]byte{opcode, 0xfe, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}) + payload
		}
		_, _ = io.WriteString(ws.NetConn(), frame(1, strings.Repeat(" ", size))+strings.Repeat(frame(0, strings.Repeat(" ", size)), pieces)+
			frame(0x80, `{"type":"leave","name":"bob"}`+strings.Repeat(" ", size)))
		var m map[string]any
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		if err := ws.ReadJSON(&m); err != nil || m["code"] != signal.CodeLoginFirst {
			t.Errorf("a message in %d fragments: %v, %v", pieces+2, m, err)
		}
	})
}

// TestManyCallersFarAway lets 100 users call one whose acknowledgements take a while, with
// descriptions as long as browsers send.
func TestManyCallersFarAway(t *testing.T) {
	const callers, candidates = 100, 10
	url := signaltest.Start(t, nil)
	studio := dialRaw(t, url)
	defer studio.Close()
	if reply := exchange(t, studio, map[string]any{"type": "login", "name": "studio", "resume": true}); reply["success"] != true {
		t.Fatal(reply)
	}
	sdp := strings.Repeat("x", 5000)
	for i := range callers {
		ws := dialRaw(t, url)
		t.Cleanup(func() { _ = ws.Close() })
		ask(t, ws, map[string]any{"type": "login", "name": fmt.Sprint("viewer", i)}, map[string]any{"type": "login", "success": true})
		_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"offer","offer":{"type":"offer","sdp":"`+sdp+`"},"name":"studio"}`))
		for range candidates {
			_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"candidate","candidate":`+candidate+`,"name":"studio"}`))
		}
		barrier(t, ws)
	}
	for i := range callers * (1 + candidates) {
		var m map[string]any
		_ = studio.SetReadDeadline(time.Now().Add(patience))
		if err := studio.ReadJSON(&m); err != nil {
			t.Fatalf("message %d: %v", i+1, err)
		}
	}
}
