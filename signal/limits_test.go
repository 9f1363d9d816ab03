package signal_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/signaltest"
)

// tight are limits that a test reaches.
func tight(change func(*signal.Limits)) *signal.ServerOptions {
	o := &signal.ServerOptions{}
	change(&o.Limits)
	return o
}

// TestLimits exceeds one bound after the other, with defaults where nothing else is said. It is always alice who does, and bob and
// carol, who are in a call, notice nothing.
func TestLimits(t *testing.T) {
	offer := func(sdp int) string {
		return `{"type":"offer","offer":{"type":"offer","sdp":"` + strings.Repeat("x", sdp) + `"},"name":"dave"}`
	}
	candidateOf := func(n int) string {
		return `{"type":"candidate","candidate":{"candidate":"` + strings.Repeat("x", n) + `"},"name":"dave"}`
	}
	limited := `alice < {"type":"error","code":"rate_limited","message":"messages of this kind come faster than this server takes them","name":"dave"}`
	for name, tc := range map[string]struct {
		options *signal.ServerOptions
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
			` + strings.Repeat("alice > "+candidateOf(9)+"\n", 150) + `
			` + strings.Repeat(`alice < {"type":"candidate","candidate":{"candidate":"xxxxxxxxx"},"name":"dave"}`+"\n", 100) + `
			alice closed 4429`},
		"a flood of offers": {tight(func(l *signal.Limits) { l.Offers = signal.Rate{PerSecond: 1e-6, Burst: 2} }), `
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
		"too many calls": {tight(func(l *signal.Limits) { l.Calls = 2 }), `
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
		"no login in time": {&signal.ServerOptions{PingInterval: 25 * time.Millisecond, Limits: signal.Limits{LoginWait: 50 * time.Millisecond}}, `
			alice < {"type":"error","code":"login_timeout","message":"no login came within 50ms"}
			alice closed 4408`},
		"too many without a login": {tight(func(l *signal.Limits) { l.Pending = 1 }), `
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
			` + strings.Repeat(`alice > {"inst":"send","peerId":"dave","message":{"candidate":{"candidate":"x"}}}`+"\n", 150) + `
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
	talk(t, &signal.ServerOptions{Limits: signal.NoLimits(), MaxQueue: 1 << 20}, signIn("alice")+`
		alice > {"type":"offer","offer":{"type":"offer","sdp":"`+strings.Repeat("x", 200<<10)+`"},"name":"alice"}
		alice < {"type":"offer","offer":{"type":"offer","sdp":"`+strings.Repeat("x", 200<<10)+`"},"name":"alice"}
		`+strings.Repeat(`alice > {"type":"candidate","candidate":null,"name":"alice"}`+"\n", 500)+`
		`+strings.Repeat(`alice < {"type":"candidate","candidate":null,"name":"alice"}`+"\n", 500))
}

// TestDoor counts connections before they are WebSockets.
func TestDoor(t *testing.T) {
	for name, tc := range map[string]struct {
		limits signal.Limits
		status int
	}{
		"per address": {signal.Limits{PerAddress: 3}, http.StatusTooManyRequests},
		"in all":      {signal.Limits{Connections: 3}, http.StatusServiceUnavailable},
		"a second":    {signal.Limits{Upgrades: signal.Rate{PerSecond: 1e-6, Burst: 3}}, http.StatusTooManyRequests},
	} {
		t.Run(name, func(t *testing.T) {
			server, url := signaltest.StartServer(t, &signal.ServerOptions{Limits: tc.limits})
			for i := range 3 {
				ws := dialRaw(t, url)
				defer ws.Close()
				ask(t, ws, map[string]any{"type": "login", "name": fmt.Sprint(i)}, map[string]any{"type": "login", "success": true})
			}
			_, resp, err := websocket.DefaultDialer.Dial(url, nil)
			if err == nil || resp == nil || resp.StatusCode != tc.status || resp.Header.Get("Retry-After") == "" {
				t.Fatalf("the fourth: %v, %v", resp, err)
			}
			if st := server.Stats(); st != (signal.Stats{Connections: 3, Names: 3}) {
				t.Errorf("the server counts %+v", st)
			}
		})
	}
}

// TestDoorGivesBack fills the places again and again: none is lost, whichever way a connection ends.
func TestDoorGivesBack(t *testing.T) {
	server, url := signaltest.StartServer(t, &signal.ServerOptions{Limits: signal.Limits{Connections: 2, Upgrades: signal.Rate{PerSecond: -1}}})
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
		eventually(t, "the place is free", func() bool { return server.Stats() == signal.Stats{} })
		header := http.Header{"Origin": {"https://evil.example"}} // an upgrade that fails gives its place back, too
		if _, _, err := websocket.DefaultDialer.Dial(url, header); err == nil {
			t.Fatal("an evil origin was let in")
		}
	}
}

// eventually waits for what other goroutines do, which nothing tells of.
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

// TestForwarded believes trusted proxies, and nobody else, about where a client comes from.
func TestForwarded(t *testing.T) {
	for name, tc := range map[string]struct {
		trusted bool
		header  http.Header
		same    bool // both connections count as one address, so the second is one too many
	}{
		"nobody is trusted":           {false, http.Header{"X-Forwarded-For": {"192.0.2.%d"}}, true},
		"a proxy tells":               {true, http.Header{"X-Forwarded-For": {"192.0.2.%d"}}, false},
		"with a port":                 {true, http.Header{"X-Forwarded-For": {"192.0.2.%d:4711"}}, false},
		"the client makes up":         {true, http.Header{"X-Forwarded-For": {"192.0.2.%d, 198.51.100.7"}}, true},
		"a proxy behind a proxy":      {true, http.Header{"X-Forwarded-For": {"192.0.2.%d, 127.0.0.9"}}, false},
		"two fields":                  {true, http.Header{"X-Forwarded-For": {"192.0.2.%d", "127.0.0.9"}}, false},
		"nonsense":                    {true, http.Header{"X-Forwarded-For": {"192.0.2.%d, unknown"}}, true},
		"the standard":                {true, http.Header{"Forwarded": {`proto=https;For="192.0.2.%d:80", for=127.0.0.9;by=1.2.3.4`}}, false},
		"the standard before the old": {true, http.Header{"Forwarded": {"for=198.51.100.7"}, "X-Forwarded-For": {"192.0.2.%d"}}, true},
		"IPv6":                        {true, http.Header{"Forwarded": {`for="[2001:db8:0:%d::1]:4711"`}}, false},
		"IPv6, one host's /64":        {true, http.Header{"Forwarded": {`for="[2001:db8:0:7::%d]"`}}, true},
		"hidden":                      {true, http.Header{"Forwarded": {"for=_secret%d"}}, true},
		"IPv4 in IPv6":                {true, http.Header{"X-Forwarded-For": {"::ffff:192.0.2.%d"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			options := &signal.ServerOptions{Limits: signal.Limits{PerAddress: 1}}
			if tc.trusted {
				options.TrustedProxies = loopback
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
