package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// beat is the pause of an attacker between two requests of a loop: the machine is also that of the
// honest clients, who are not to notice that it is busy with attacking.
const beat = time.Millisecond

// attack is one attack of review/signal.md, by its number there.
type attack struct {
	id, title string
	flags     []string // of parley serve
	habits    habits
	// run attacks. It returns what the attacker got, and an error if that is something that a
	// server must not give.
	run func(context.Context, *server, *crowd) (got string, breach error)
}

// attacker is where attacks come from.
var attacker = net.IPv4(127, 66, 0, 1)

func attacks() []attack {
	return []attack{
		{"S2", "WebSocket handshakes without a version, 6 at once in a loop, from one address", nil, habits{}, halfHandshakes},
		{"S2 valid", "connects and closes, 6 at once in a loop, from one address", nil, habits{}, connectAndClose},
		{"S3", "10 bad logins for each client, through the trusted proxy, with `Forwarded: for=` the client",
			[]string{"--trusted-proxy", proxy.String(), "--client-ip-header", "X-Forwarded-For", "--auth-jwt", "{dir}/token.key"}, habits{}, forgedHeaders},
		{"S4", "logs in under 63 names and allocates relays, 32 for each",
			[]string{"--turn", "{turn}"}, habits{relays: true}, anonymousRelays},
		{"S7", "opens 2,000 TCP connections to TURN, a STUN message on each", []string{"--turn", "{turn}"}, habits{relays: true}, turnStreams},
		{"S8", "a page whose name points to this server now (DNS rebinding) connects", nil, habits{}, rebinding},
		{"S9", "requests that never end: 600 each to the port of ACME challenges, the admin port, and the pages",
			[]string{"--acme", host, "--acme-cache", "{dir}/acme", "--acme-http", "{challenges}", "--acme-directory", "http://127.0.0.1:1/", "--admin", "{admin}"},
			habits{plain: true, monitor: "/metrics"}, endlessRequests},
		{"S10", "asks for relay credentials, and resumes, after its token has expired",
			[]string{"--turn", "{turn}", "--auth-jwt", "{dir}/token.key"}, habits{}, expiredToken},
		{"S11", "logs in as each client with a space, a zero-width space or another form of the same letters", nil, habits{}, lookalikes},
		{"S12", "reads the secret of TURN from the admin port's profiles, and its metrics by a name that points there",
			[]string{"--turn", "{turn}", "--turn-secret-file", "{dir}/turn.secret", "--admin", "{admin}", "--admin-host", monitorHost}, habits{monitor: "/metrics"}, profiles},
		{"S13", "claims each client's name, 5 times; then a client whose connection went dead comes back", nil, habits{}, claims},
		{"S14", "logs in with resume and cuts the connection, 4 at once in a loop", []string{"--admin", "{admin}"}, habits{}, cutSessions},
		{"S15", "floods pongs and empty fragments, 8 connections, again when they are closed", nil, habits{}, controlFrames},
		{"S18", "looks for TLS without HSTS, which lets it keep a browser on plain HTTP", []string{"--tls-cert", "{dir}/cert.pem", "--tls-key", "{dir}/key.pem"}, habits{}, downgrade},
		{"S19", "calls every client and sends each as many candidates as it can; meanwhile 100 honest peers call one answerer", nil, habits{}, candidateFlood},
	}
}

// monitorHost is a name that the operator has given to the admin port.
const monitorHost = "monitor.internal"

// proxy is the address of a trusted proxy.
var proxy = net.IPv4(127, 9, 0, 1)

// volume runs do in several goroutines again and again for the time of an attack, and returns how
// often it was called.
func (c *crowd) volume(ctx context.Context, goroutines int, do func(context.Context)) int64 {
	ctx, cancel := context.WithTimeout(ctx, c.span)
	defer cancel()
	var n atomic.Int64
	var wait sync.WaitGroup
	for range goroutines {
		wait.Go(func() {
			for pause(ctx, beat) == nil {
				do(ctx)
				n.Add(1)
			}
		})
	}
	wait.Wait()
	return n.Load()
}

// counter counts outcomes.
type counter struct {
	mu sync.Mutex // guards n
	n  map[string]int
}

func (c *counter) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]int)
	}
	c.n[what]++
}

func (c *counter) count(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[what]
}

func halfHandshakes(ctx context.Context, s *server, c *crowd) (string, error) {
	request := "GET / HTTP/1.1\r\nHost: " + s.address + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
	var statuses counter
	n := c.volume(ctx, 6, func(ctx context.Context) {
		conn, err := dialerFrom(attacker).DialContext(ctx, "tcp", s.address)
		if err != nil {
			statuses.add("none")
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(patience))
		in := bufio.NewReader(conn)
		for pause(ctx, beat) == nil { // on one connection for as long as the server takes it
			_, _ = io.WriteString(conn, request)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				return
			}
			statuses.add(resp.Status[:3])
			_, err = io.Copy(io.Discard, resp.Body)
			if err != nil || resp.Close {
				return
			}
		}
	})
	return fmt.Sprintf("%d connections; 400 to %d requests, 429 to %d", n, statuses.count("400"), statuses.count("429")), nil
}

func connectAndClose(ctx context.Context, s *server, c *crowd) (string, error) {
	var taken, refused atomic.Int64
	c.volume(ctx, 6, func(ctx context.Context) {
		ws, err := s.dial(ctx, attacker, nil)
		if err != nil {
			refused.Add(1)
			return
		}
		taken.Add(1)
		_ = ws.Close()
	})
	return fmt.Sprintf("%d connections, %d refused", taken.Load(), refused.Load()), nil
}

func forgedHeaders(ctx context.Context, s *server, c *crowd) (string, error) {
	var outcomes counter
	for i := range c.names {
		header := http.Header{
			"Forwarded":       {"for=" + c.address(i).String()},
			"X-Real-Ip":       {c.address(i).String()},
			"X-Forwarded-For": {c.address(i).String() + ", " + attacker.String()}, // what the proxy makes of a forged one
		}
		for range 10 {
			ws, err := s.dial(ctx, proxy, header)
			if err != nil {
				outcomes.add("none")
				continue
			}
			m, _ := exchange(ws, `{"type":"login","name":"honest-0","token":"nonsense"}`)
			outcomes.add(m.Code)
			_ = ws.Close()
		}
	}
	err := c.watch(ctx, c.span) // until the clients have logged in again
	return fmt.Sprintf("%d logins refused, %d throttled, %d not connected", outcomes.count("unauthorized"), outcomes.count("throttled"), outcomes.count("none")), err
}

// exchange sends a frame and returns the next message.
func exchange(ws *websocket.Conn, frame string) (m message, err error) {
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
		return m, err
	}
	err = ws.ReadJSON(&m)
	return m, err
}

func rebinding(ctx context.Context, s *server, c *crowd) (string, error) {
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		return "", err
	}
	evil := "evil.example:" + port
	ws, err := s.dial(ctx, c.address(0), http.Header{"Host": {evil}, "Origin": {"http://" + evil}})
	if err == nil {
		_ = ws.Close()
		return "101 Switching Protocols", errors.New("a foreign page connected through a visitor's browser")
	}
	return err.Error(), nil
}

func endlessRequests(ctx context.Context, s *server, c *crowd) (string, error) {
	request := "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 1000\r\n\r\n"
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			_ = conn.Close()
		}
	}()
	for _, address := range []string{s.challenges, s.admin, s.address} {
		for range 600 {
			conn, err := dialerFrom(attacker).DialContext(ctx, "tcp", address)
			if err != nil {
				continue
			}
			_, _ = io.WriteString(conn, request) // to the pages as well: it is no TLS
			open = append(open, conn)
		}
	}
	if err := c.watch(ctx, 12*time.Second); err != nil { // longer than a request may take
		return "", err
	}
	var left atomic.Int32
	var reads sync.WaitGroup
	deadline := time.Now().Add(time.Second) // what is closed can be read to its end by then, on a busy machine too
	for _, conn := range open {
		_ = conn.SetReadDeadline(deadline)
		reads.Go(func() {
			var network net.Error
			if _, err := io.Copy(io.Discard, conn); errors.As(err, &network) && network.Timeout() {
				left.Add(1)
			}
		})
	}
	reads.Wait()
	got := fmt.Sprintf("%d connections, %d of them still open after 13 s", len(open), left.Load())
	if left.Load() > 0 {
		return got, errors.New("a request may take for ever")
	}
	return got, nil
}

func expiredToken(ctx context.Context, s *server, c *crowd) (string, error) {
	const life = 2 * time.Second
	ws, err := s.dial(ctx, attacker, nil)
	if err != nil {
		return "", err
	}
	defer ws.Close()
	expires := time.Now().Add(life)
	m, err := exchange(ws, fmt.Sprintf(`{"type":"login","name":"mallory","token":%q,"resume":true,"iceServers":true}`, s.token("mallory", life)))
	if err != nil || !m.Success {
		return "", fmt.Errorf("login as mallory: %v %w", m, err)
	}
	var resume string
	_ = json.Unmarshal(m.Resume, &resume)
	if err := c.watch(ctx, time.Until(expires)+2*time.Second); err != nil {
		return "", err
	}
	credentials := false
	_ = ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"iceServers","seq":1,"ack":0}`))
	_ = ws.SetReadDeadline(time.Now().Add(time.Second))
	for {
		var m message
		if err := ws.ReadJSON(&m); err != nil {
			break
		}
		credentials = credentials || bytes.Contains(m.ICE, []byte("credential"))
	}
	_ = ws.NetConn().Close()
	again, err := s.dial(ctx, attacker, nil)
	if err != nil {
		return "", err
	}
	defer again.Close()
	m, err = exchange(again, fmt.Sprintf(`{"type":"login","resume":%q,"seq":0,"ack":0,"iceServers":true}`, resume))
	resumed := err == nil && m.Success
	switch {
	case credentials && resumed:
		return "credentials and the session", errors.New("an expired user gets relay credentials and resumes")
	case credentials:
		return "credentials", errors.New("an expired user gets relay credentials")
	case resumed:
		return "the session", errors.New("an expired user resumes")
	}
	return "neither", nil
}

func lookalikes(ctx context.Context, s *server, c *crowd) (string, error) {
	taken, tried := 0, 0
	for _, name := range c.names[:min(10, len(c.names))] {
		for _, like := range []string{name + " ", " " + name, name + "\u200b", strings.Replace(name, "o", "o\u034f", 1), strings.Replace(name, "honest", "ｈonest", 1)} {
			tried++
			ws, err := s.dial(ctx, attacker, nil)
			if err != nil {
				return "", err
			}
			login, err := json.Marshal(map[string]string{"type": "login", "name": like})
			if err != nil {
				return "", err
			}
			if m, err := exchange(ws, string(login)); err == nil && m.Success {
				taken++
			}
			_ = ws.Close()
		}
	}
	if err := c.watch(ctx, time.Second); err != nil {
		return "", err
	}
	got := fmt.Sprintf("%d of %d names", taken, tried)
	if taken > 0 {
		return got, errors.New("a stranger is signed in under a name that looks like another's")
	}
	return got, nil
}

func profiles(ctx context.Context, s *server, c *crowd) (string, error) {
	get := func(path, host string) (int, string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+path, nil)
		if err != nil {
			return 0, ""
		}
		req.Host = host
		resp, err := (&http.Client{Timeout: patience}).Do(req)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	status, cmdline := get("/debug/pprof/cmdline", "")
	rebound, _ := get("/metrics", "evil.example:80")
	byName, _ := get("/metrics", monitorHost+":80")
	if err := c.watch(ctx, 2*time.Second); err != nil {
		return "", err
	}
	got := fmt.Sprintf("command line: %d, without the secret; metrics: %d", status, rebound)
	switch {
	case strings.Contains(cmdline, turnSecret):
		return "the secret", errors.New("the secret of TURN is shown")
	case byName != http.StatusOK:
		return got, fmt.Errorf("the operator asks for the metrics by name and gets %d", byName)
	case rebound != http.StatusForbidden && rebound != http.StatusMisdirectedRequest:
		return got, errors.New("a foreign page reads the metrics through the operator's browser")
	}
	return got, nil
}

func claims(ctx context.Context, s *server, c *crowd) (string, error) {
	var taken, refused int
	for range 5 {
		for _, name := range c.names {
			ws, err := s.dial(ctx, attacker, nil)
			if err != nil {
				refused++
				continue
			}
			m, err := exchange(ws, fmt.Sprintf(`{"type":"login","name":%q}`, name))
			switch {
			case err == nil && m.Success:
				taken++ // the owner is logging in again just now, or lost it
			default:
				refused++
			}
			_ = ws.Close()
		}
	}
	took, err := deadReturns(ctx, s)
	got := fmt.Sprintf("%d of %d names while their owners were logged out, %d refused; the dead client is back after %s", taken, taken+refused, refused,
		took.Round(10*time.Millisecond))
	return got, err
}

// deadReturns logs a client in whose connection then neither reads nor answers, and logs it in
// again. It returns how long that took.
func deadReturns(ctx context.Context, s *server) (time.Duration, error) {
	const name, at = "phoenix", 3 * time.Second
	from := net.IPv4(127, 1, 200, 1)
	dead, err := s.dial(ctx, from, nil)
	if err != nil {
		return 0, err
	}
	defer dead.Close()
	if m, err := exchange(dead, `{"type":"login","name":"phoenix"}`); err != nil || !m.Success {
		return 0, fmt.Errorf("login of %s: %v %w", name, m, err)
	}
	start := time.Now()
	for {
		ws, err := s.dial(ctx, from, nil)
		if err != nil {
			return 0, err
		}
		m, err := exchange(ws, `{"type":"login","name":"phoenix"}`)
		_ = ws.Close()
		took := time.Since(start)
		switch {
		case err == nil && m.Success:
			return took, nil
		case took > at:
			return took, fmt.Errorf("the owner of a dead connection does not get its name back within %s: %s", at, m.Code)
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return took, err
		}
	}
}

// maxPerAddress is the default of --max-per-address.
const maxPerAddress = 256

func cutSessions(ctx context.Context, s *server, c *crowd) (string, error) {
	before, err := s.memory()
	if err != nil {
		return "", err
	}
	var outcomes counter
	var next atomic.Int64
	c.volume(ctx, 4, func(ctx context.Context) {
		ws, err := s.dial(ctx, attacker, nil)
		if err != nil {
			outcomes.add("refused")
			return
		}
		m, err := exchange(ws, fmt.Sprintf(`{"type":"login","name":"z%d","resume":true}`, next.Add(1)))
		if err == nil && m.Success {
			outcomes.add("session")
		} else {
			outcomes.add("refused")
		}
		if tcp, ok := ws.NetConn().(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = ws.NetConn().Close()
	})
	after, err := s.memory()
	if err != nil {
		return "", err
	}
	got := fmt.Sprintf("%d names that wait for their client (%d MiB), %d refused", outcomes.count("session"), after-before, outcomes.count("refused"))
	if n := outcomes.count("session"); n > maxPerAddress {
		return got, fmt.Errorf("one address holds %d sessions, want at most %d", n, maxPerAddress)
	}
	return got, nil
}

func controlFrames(ctx context.Context, s *server, c *crowd) (string, error) {
	pongs := bytes.Repeat([]byte{0x8a, 0x80, 0, 0, 0, 0}, 100)
	fragments := bytes.Repeat([]byte{0x00, 0x80, 0, 0, 0, 0}, 100) // after the first
	const frames = 1000                                            // of a connection; a server without a limit takes any number
	var ended, all atomic.Int64
	c.volume(ctx, 8, func(ctx context.Context) {
		ws, err := s.dial(ctx, attacker, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		flood := pongs
		if all.Add(1)%2 == 0 {
			flood = fragments
			_, _ = ws.NetConn().Write([]byte{0x01, 0x80, 0, 0, 0, 0})
		}
		for range frames / 100 {
			_, _ = ws.NetConn().Write(flood)
		}
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		for err = nil; err == nil; {
			_, _, err = ws.ReadMessage()
		}
		var network net.Error
		if !errors.As(err, &network) || !network.Timeout() {
			ended.Add(1)
		}
	})
	got := fmt.Sprintf("%d connections of %d frames, %d of them closed by the server", all.Load(), frames, ended.Load())
	if ended.Load() < all.Load() {
		return got, errors.New("a flood of control frames or fragments is not ended")
	}
	return got, nil
}

func downgrade(ctx context.Context, s *server, c *crowd) (string, error) {
	transport := &http.Transport{TLSClientConfig: s.tls(), DialContext: dialerFrom(attacker).DialContext}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.address+"/", nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: transport, Timeout: patience}).Do(req)
	if err != nil {
		return "", err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if err := c.watch(ctx, time.Second); err != nil {
		return "", err
	}
	hsts := resp.Header.Get("Strict-Transport-Security")
	if hsts == "" {
		return resp.Status + " without HSTS", errors.New("the next visit may be made over plain HTTP")
	}
	return "HSTS: " + hsts, nil
}

func candidateFlood(ctx context.Context, s *server, c *crowd) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	popular := make(chan error, 1)
	go func() { popular <- popularAnswerer(ctx, s) }()
	var sent, closed atomic.Int64
	c.volume(ctx, 4, func(ctx context.Context) {
		ws, err := s.dial(ctx, attacker, nil)
		if err != nil {
			_ = pause(ctx, 100*time.Millisecond)
			return
		}
		defer ws.Close()
		if m, err := exchange(ws, fmt.Sprintf(`{"type":"login","name":"mallory-%d"}`, sent.Load())); err != nil || !m.Success {
			return
		}
		var reads sync.WaitGroup
		reads.Go(func() { _, _ = io.Copy(io.Discard, ws.NetConn()) })
		defer reads.Wait()
		defer ws.NetConn().Close()
		for i := 0; pause(ctx, 10*beat) == nil; i++ {
			name := c.names[i%len(c.names)]
			if err := ws.WriteMessage(websocket.TextMessage, frame("offer", offer, name)); err != nil {
				closed.Add(1)
				return
			}
			for range 100 {
				if err := ws.WriteMessage(websocket.TextMessage, frame("candidate", candidate, name)); err != nil {
					closed.Add(1)
					return
				}
				sent.Add(1)
			}
		}
	})
	got := fmt.Sprintf("%d candidates sent, closed %d times", sent.Load(), closed.Load())
	return got, <-popular
}

// popularAnswerer lets 100 peers call one answerer at once, with descriptions and candidates as
// browsers send, and waits until each is answered.
func popularAnswerer(ctx context.Context, s *server) error {
	const callers = 100
	sdp := fmt.Sprintf(`{"type":"offer","sdp":"v=0%s"}`, strings.Repeat("x", 3000))
	studio, err := s.dial(ctx, net.IPv4(127, 3, 1, 1), nil)
	if err != nil {
		return fmt.Errorf("answerer: %w", err)
	}
	defer studio.Close()
	if m, err := exchange(studio, `{"type":"login","name":"studio"}`); err != nil || !m.Success {
		return fmt.Errorf("login of the answerer: %v %w", m, err)
	}
	_ = studio.SetReadDeadline(time.Time{})
	var wait sync.WaitGroup
	defer wait.Wait()
	ended := make(chan error, 1)
	wait.Go(func() { ended <- answerAll(studio, sdp) })
	defer studio.NetConn().Close()
	results := make(chan error, callers)
	for i := range callers {
		go func() { results <- callOnce(ctx, s, i, sdp) }()
	}
	served := 0
	var first error
	for range callers {
		if err := <-results; err == nil {
			served++
		} else if first == nil {
			first = err
		}
	}
	if served < callers {
		select {
		case err := <-ended:
			return fmt.Errorf("%d of %d callers are answered: the answerer's connection ended: %w", served, callers, err)
		default:
			return fmt.Errorf("%d of %d callers are answered: %w", served, callers, first)
		}
	}
	return nil
}

// answerAll answers every offer, with 10 candidates behind the answer.
func answerAll(ws *websocket.Conn, sdp string) error {
	for {
		var m message
		if err := ws.ReadJSON(&m); err != nil {
			return err
		}
		switch m.Type {
		case "error":
			return fmt.Errorf("error %s", m.Code)
		case "offer":
			if err := ws.WriteMessage(websocket.TextMessage, frame("answer", strings.Replace(sdp, "offer", "answer", 1), m.Name)); err != nil {
				return err
			}
			for range 10 {
				if err := ws.WriteMessage(websocket.TextMessage, frame("candidate", candidate, m.Name)); err != nil {
					return err
				}
			}
		}
	}
}

// callOnce calls the answerer, sends 10 candidates, and waits for the answer and as many.
func callOnce(ctx context.Context, s *server, i int, sdp string) error {
	ws, err := s.dial(ctx, net.IPv4(127, 3, 2, byte(i+1)), nil)
	if err != nil {
		return err
	}
	defer ws.Close()
	if m, err := exchange(ws, fmt.Sprintf(`{"type":"login","name":"viewer-%d"}`, i)); err != nil || !m.Success {
		return fmt.Errorf("login: %v %w", m, err)
	}
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	if err := ws.WriteMessage(websocket.TextMessage, frame("offer", sdp, "studio")); err != nil {
		return err
	}
	for range 10 {
		if err := ws.WriteMessage(websocket.TextMessage, frame("candidate", candidate, "studio")); err != nil {
			return err
		}
	}
	for answers, candidates := 0, 0; answers < 1 || candidates < 10; {
		var m message
		if err := ws.ReadJSON(&m); err != nil {
			return cause(err)
		}
		switch m.Type {
		case "answer":
			answers++
		case "candidate":
			candidates++
		default:
			return fmt.Errorf("got %s %s", m.Type, m.Code)
		}
	}
	return nil
}
