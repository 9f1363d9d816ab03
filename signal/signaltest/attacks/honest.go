package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// patience bounds the wait for a message. One that takes longer is lost.
const patience = 10 * time.Second

// habits are what the honest clients do beside calling.
type habits struct {
	relays  bool   // allocate relays, over UDP and TCP in turn
	monitor string // path to fetch from the admin address
	plain   bool   // fetch from the address of ACME challenges
}

// crowd is the honest clients of a server. They call each other in pairs: client 2i calls client
// 2i+1.
type crowd struct {
	server   *server
	habits   habits
	names    []string
	span     time.Duration // of attacks by volume
	attacked atomic.Bool   // the attack has begun

	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu      sync.Mutex         // guards what follows
	trips   [2][]time.Duration // without and with the attack
	calls   int                // with the attack
	notices map[string]int
}

func newCrowd(s *server, clients int, h habits, span time.Duration) *crowd {
	c := &crowd{server: s, habits: h, span: span, notices: make(map[string]int)}
	for i := range clients {
		c.names = append(c.names, fmt.Sprintf("honest-%d", i))
	}
	return c
}

// address is where client i connects from.
func (c *crowd) address(i int) net.IP { return net.IPv4(127, 1, byte(i/250), byte(i%250+1)) }

// start logs all clients in and makes them call.
func (c *crowd) start(ctx context.Context) error {
	ctx, c.cancel = context.WithCancel(ctx)
	clients := make([]*client, len(c.names))
	for i := range clients {
		clients[i] = &client{crowd: c, name: c.names[i], address: c.address(i)}
		if err := clients[i].connect(ctx); err != nil {
			for _, other := range clients[:i+1] {
				other.close()
			}
			return fmt.Errorf("logging in as %s: %w", c.names[i], err)
		}
	}
	for i := 0; i+1 < len(clients); i += 2 {
		c.wait.Go(func() { c.callEachOther(ctx, clients[i], clients[i+1]) })
	}
	if c.habits.relays {
		for i := range min(10, len(clients)) {
			c.wait.Go(func() { c.allocateRelays(ctx, i) })
		}
	}
	if c.habits.monitor != "" {
		c.wait.Go(func() { c.fetch(ctx, "http://"+c.server.admin+c.habits.monitor) })
	}
	if c.habits.plain {
		c.wait.Go(func() { c.fetch(ctx, "http://"+c.server.challenges+"/") })
	}
	return nil
}

// watch lets the clients go on for d.
func (c *crowd) watch(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *crowd) stop() {
	c.cancel()
	c.wait.Wait()
}

// note counts something that a client noticed.
func (c *crowd) note(what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		what += " (" + err.Error() + ")"
	}
	c.notices[what]++
}

// noticed returns what was noticed so far, the most frequent first, at most three kinds of it.
func (c *crowd) noticed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var kinds []string
	for what := range c.notices {
		kinds = append(kinds, what)
	}
	slices.SortFunc(kinds, func(a, b string) int {
		if n := c.notices[b] - c.notices[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	for i, what := range kinds {
		kinds[i] = fmt.Sprintf("%d × %s", c.notices[what], what)
	}
	return kinds[:min(3, len(kinds))]
}

func (c *crowd) tookTrip(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	phase := 0
	if c.attacked.Load() {
		phase = 1
	}
	c.trips[phase] = append(c.trips[phase], d)
}

// callEachOther lets a call b again and again until ctx ends. After some calls they log out and in.
func (c *crowd) callEachOther(ctx context.Context, a, b *client) {
	defer a.close()
	defer b.close()
	for n := rand.IntN(4); ; n++ {
		if err := c.call(a, b); err != nil {
			if ctx.Err() != nil {
				return
			}
			c.note("failed call", err)
			n = 0
		} else if c.attacked.Load() {
			c.mu.Lock()
			c.calls++
			c.mu.Unlock()
		}
		if pause(ctx, 300*time.Millisecond) != nil {
			return
		}
		if n%4 != 0 {
			continue
		}
		for _, client := range []*client{a, b} {
			client.logout()
			for {
				err := client.connect(ctx)
				if err == nil {
					break
				}
				if ctx.Err() != nil {
					return
				}
				c.note("failed login", err)
				if pause(ctx, 300*time.Millisecond) != nil {
					return
				}
			}
		}
	}
}

// pause waits for d, up to a half more or less.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d/2 + rand.N(d)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const (
	offer     = `{"type":"offer","sdp":"v=0"}`
	answer    = `{"type":"answer","sdp":"v=0"}`
	candidate = `{"candidate":"candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host generation 0 ufrag abcd","sdpMid":"0","sdpMLineIndex":0}`
)

// call makes one call: offer and answer, four candidates each way, leave.
func (c *crowd) call(a, b *client) error {
	if err := c.roundTrip(a, b, "offer", offer, "answer", answer); err != nil {
		return err
	}
	for range 4 {
		if err := c.roundTrip(a, b, "candidate", candidate, "candidate", candidate); err != nil {
			return err
		}
	}
	if err := a.send("leave", "", b.name); err != nil {
		return err
	}
	return b.receive("leave", a.name)
}

// roundTrip sends a message from a to b, and one back, and takes the time.
func (c *crowd) roundTrip(a, b *client, there, thereBody, back, backBody string) error {
	start := time.Now()
	if err := a.send(there, thereBody, b.name); err != nil {
		return err
	}
	if err := b.receive(there, a.name); err != nil {
		return err
	}
	if err := b.send(back, backBody, a.name); err != nil {
		return err
	}
	if err := a.receive(back, b.name); err != nil {
		return err
	}
	c.tookTrip(time.Since(start))
	return nil
}

// fetch fetches a URL again and again, from an address of its own.
func (c *crowd) fetch(ctx context.Context, url string) {
	client := &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: dialerFrom(net.IPv4(127, 2, 0, 1)).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for pause(ctx, 200*time.Millisecond) == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			c.note("failed fetch", err)
			return
		}
		resp, err := client.Do(req)
		if err != nil {
			if ctx.Err() == nil {
				c.note("failed fetch", cause(err))
			}
			continue
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode >= 400 {
			c.note("failed fetch", errors.New(resp.Status))
		}
	}
}

// message is what a client gets.
type message struct {
	Type    string          `json:"type"`
	Name    string          `json:"name"`
	Success bool            `json:"success"`
	Code    string          `json:"code"`
	Reason  string          `json:"message"`
	ICE     json.RawMessage `json:"iceServers"`
	Resume  json.RawMessage `json:"resume"`
}

// client is one connection, and the person who opens it again.
type client struct {
	crowd   *crowd
	name    string
	address net.IP
	ws      *websocket.Conn
	in      chan message
	ended   chan struct{} // closed when nothing more comes; err says why
	err     error
}

// connect connects and logs in.
func (c *client) connect(ctx context.Context) error {
	c.close()
	ws, err := c.crowd.server.dial(ctx, c.address, nil)
	if err != nil {
		return err
	}
	c.ws, c.in, c.ended = ws, make(chan message, 256), make(chan struct{})
	go c.read(ws, c.in, c.ended)
	login, err := json.Marshal(map[string]any{"type": "login", "name": c.name, "token": c.crowd.server.token(c.name, time.Hour)})
	if err != nil {
		return err
	}
	if err := c.write(login); err != nil {
		return err
	}
	return c.receive("login", "")
}

// read reads until the connection ends.
func (c *client) read(ws *websocket.Conn, in chan<- message, ended chan<- struct{}) {
	defer close(ended)
	for {
		var m message
		if err := ws.ReadJSON(&m); err != nil {
			c.err = cause(err)
			return
		}
		if m.Type != "login" && m.Type != "error" && !strings.HasPrefix(m.Name, "honest-") {
			continue // an attacker's
		}
		in <- m
	}
}

func (c *client) write(frame []byte) error {
	_ = c.ws.SetWriteDeadline(time.Now().Add(patience))
	return cause(c.ws.WriteMessage(websocket.TextMessage, frame))
}

// send sends a message of a call. The body is JSON, "" for none.
func (c *client) send(typ, body, name string) error {
	return c.write(frame(typ, body, name))
}

// frame is a message of the call dialect.
func frame(typ, body, name string) []byte {
	if body == "" {
		return fmt.Appendf(nil, `{"type":%q,"name":%q}`, typ, name)
	}
	return fmt.Appendf(nil, `{"type":%q,%q:%s,"name":%q}`, typ, typ, body, name)
}

// receive waits for a message of a type and sender. Others are left out, but for errors.
func (c *client) receive(typ, name string) error {
	timeout := time.After(patience)
	for {
		select {
		case m := <-c.in:
			switch {
			case m.Type == "error":
				return fmt.Errorf("error %s: %s", m.Code, anonymous(m.Reason))
			case m.Type == "login" && typ == "login" && !m.Success:
				return fmt.Errorf("login refused, %s: %s", m.Code, anonymous(m.Reason))
			case m.Type == typ && m.Name == name:
				return nil
			}
		case <-c.ended:
			return fmt.Errorf("connection ended: %w", c.err)
		case <-timeout:
			return fmt.Errorf("lost %s", typ)
		}
	}
}

// logout closes the connection as browsers do, and waits for the server to answer.
func (c *client) logout() {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(patience))
	select {
	case <-c.ended:
	case <-time.After(patience):
	}
}

func (c *client) close() {
	if c.ws == nil {
		return
	}
	_ = c.ws.Close()
	for {
		select {
		case <-c.in:
		case <-c.ended:
			c.ws = nil
			return
		}
	}
}

// anonymous takes the number of a client out of a text, so that equal ones are counted together.
func anonymous(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		if strings.HasPrefix(w, "honest-") {
			words[i] = "NAME"
		}
	}
	return strings.Join(words, " ")
}

// cause takes the addresses out of a network error, so that equal ones are counted together.
func cause(err error) error {
	var network *net.OpError
	if errors.As(err, &network) {
		return fmt.Errorf("%s: %w", network.Op, network.Err)
	}
	return err
}
