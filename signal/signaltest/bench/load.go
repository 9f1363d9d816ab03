package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// client is one connection of the load.
type client struct {
	ws *websocket.Conn
	// resumes makes login request a session that can be resumed. Then messages are numbered.
	resumes bool
	sent    uint64        // number of the latest message
	seen    atomic.Uint64 // number of the latest message of the server
}

var pools = &sync.Pool{} // of write buffers: 9,000 of them would be the load generator's memory

func dial(url string) (*client, error) {
	d := websocket.Dialer{
		ReadBufferSize: 4 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: pools,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the certificate is made for the run
	}
	ws, _, err := d.Dial(url, nil)
	return &client{ws: ws}, err
}

// send sends a JSON object, with its number if the session can be resumed.
func (c *client) send(frame []byte) error {
	if c.resumes {
		c.sent++
		frame = strconv.AppendUint(append(frame[:len(frame)-1:len(frame)-1], `,"seq":`...), c.sent, 10)
		frame = append(strconv.AppendUint(append(frame, `,"ack":`...), c.seen.Load(), 10), '}')
	}
	return c.ws.WriteMessage(websocket.TextMessage, frame)
}

// login signs in, past the greeting.
func (c *client) login(name string) error {
	login := fmt.Appendf(nil, `{"type":"login","name":%q,"resume":%t}`, name, c.resumes)
	if err := c.ws.WriteMessage(websocket.TextMessage, login); err != nil {
		return err
	}
	reply, err := c.until(`"login"`)
	if err == nil && !bytes.Contains(reply, []byte("true")) {
		err = fmt.Errorf("login refused: %s", reply)
	}
	return err
}

func (c *client) until(text string) ([]byte, error) {
	for {
		_, frame, err := c.ws.ReadMessage()
		if c.resumes {
			c.note(frame)
		}
		if err != nil || bytes.Contains(frame, []byte(text)) {
			return frame, err
		}
	}
}

// note notes the number of a message of the server, which is at its end.
func (c *client) note(frame []byte) {
	i := bytes.LastIndex(frame, []byte(`,"seq":`))
	if i < 0 {
		return
	}
	text, _, _ := bytes.Cut(frame[i+len(`,"seq":`):], []byte(","))
	if number, err := strconv.ParseUint(string(text), 10, 64); err == nil {
		c.seen.Store(number)
	}
}

// idle signs many in and leaves them silent.
func idle(s *server, p plan) (memory, logins float64, err error) {
	before, err := s.memory()
	if err != nil {
		return 0, 0, err
	}
	var mu sync.Mutex
	var all []*client
	defer func() {
		for _, c := range all {
			_ = c.ws.NetConn().Close()
		}
	}()
	var next atomic.Int64
	start := time.Now()
	err = together(32, func(int) error {
		for {
			i := next.Add(1)
			if i > int64(p.idle) {
				return nil
			}
			c, err := dial(s.url)
			if err != nil {
				return err
			}
			mu.Lock()
			all = append(all, c)
			mu.Unlock()
			if err := c.login(fmt.Sprintf("user-%06d", i)); err != nil {
				return err
			}
		}
	})
	took := time.Since(start)
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(3 * time.Second) // as a user would, who looks at it a moment later
	after, err := s.memory()
	return (after - before) / float64(p.idle), float64(p.idle) / took.Seconds(), err
}

// relay keeps pairs busy and measures. cpu returns the CPU time of the server at url, and stop, if
// not nil, ends it before the first user leaves.
func relay(url string, p plan, cpu func() (time.Duration, error), stop func(), r *result) error {
	l, err := newLoad(url, "", p)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.begin(); err != nil {
		return err
	}
	time.Sleep(p.span / 4) // warm
	before, err := cpu()
	if err != nil {
		return err
	}
	start, from := time.Now(), l.relayed.Load()
	l.measuring.Store(true)
	time.Sleep(p.span)
	l.measuring.Store(false)
	took, count := time.Since(start), float64(l.relayed.Load()-from)
	after, err := cpu()
	if stop != nil {
		stop()
	}
	l.close()
	var all []time.Duration
	for _, p := range l.pairs {
		all = append(all, p.trips...)
	}
	slices.Sort(all)
	if len(all) == 0 {
		return errors.New("nothing was relayed")
	}
	r.relayed, r.rate = count/(after-before).Seconds(), count/took.Seconds()
	r.p50, r.p99 = all[len(all)/2], all[len(all)*99/100]
	return err
}

// load is the pairs of one server. They stay connected, and exchange messages between begin and
// end.
type load struct {
	pairs    []*pair
	inFlight int
	relayed  atomic.Int64
	// measuring makes the pairs keep the times of their round trips.
	measuring atomic.Bool

	on      atomic.Bool
	quiet   chan struct{} // has a value for each pair without messages in flight after end
	readers sync.WaitGroup
	failed  atomic.Pointer[error]
	closing atomic.Bool
}

// newLoad signs the pairs in at a server and opens a call between the two users of each.
func newLoad(url, prefix string, p plan) (*load, error) {
	l := &load{inFlight: p.inFlight, pairs: make([]*pair, p.pairs), quiet: make(chan struct{}, p.pairs)}
	err := together(p.pairs, func(i int) error {
		one, two := fmt.Sprintf("%scaller-%d", prefix, i), fmt.Sprintf("%scallee-%d", prefix, i)
		a, b, err := call(url, url, one, two, p.resume)
		l.pairs[i] = &pair{a: a, b: b, there: candidateFor(two, i), back: candidateFor(one, 0), sent: make(chan time.Time, p.inFlight)}
		return err
	})
	if err != nil {
		l.close()
		return nil, err
	}
	for _, p := range l.pairs {
		l.readers.Go(func() { l.fail(p.echo(l)) })
		l.readers.Go(func() { l.fail(p.exchange(l)) })
	}
	return l, nil
}

// fail notes why a pair has ended.
func (l *load) fail(err error) {
	if !l.closing.Load() {
		l.failed.CompareAndSwap(nil, &err)
	}
}

// begin puts the messages of all pairs on their way.
func (l *load) begin() error {
	if err := l.failed.Load(); err != nil {
		return fmt.Errorf("a pair has ended: %w", *err)
	}
	l.on.Store(true)
	for _, p := range l.pairs {
		p.out.Store(int64(l.inFlight))
		for range l.inFlight {
			if err := p.send(); err != nil {
				return err
			}
		}
	}
	return nil
}

// end waits until no message is on its way.
func (l *load) end() error {
	l.on.Store(false)
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	for range l.pairs {
		select {
		case <-l.quiet:
		case <-timeout.C:
			if err := l.failed.Load(); err != nil {
				return fmt.Errorf("a pair has ended: %w", *err)
			}
			return errors.New("messages did not arrive within 10 s")
		}
	}
	return nil
}

// close ends the connections.
func (l *load) close() {
	l.closing.Store(true)
	for _, p := range l.pairs {
		if p == nil {
			continue
		}
		for _, c := range []*client{p.a, p.b} {
			if c != nil {
				_ = c.ws.NetConn().Close()
			}
		}
	}
	l.readers.Wait()
}

// pair is two users in a call: the first sends candidates, the second sends each back.
type pair struct {
	a, b        *client
	there, back []byte
	out         atomic.Int64 // messages in flight
	trips       []time.Duration

	mu   sync.Mutex     // serializes send
	sent chan time.Time // of the messages in flight
}

// send sends a message of the first user.
func (p *pair) send() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent <- time.Now()
	return p.a.send(p.there)
}

// exchange sends the next message for each that has come back.
func (p *pair) exchange(l *load) error {
	for {
		if _, err := p.a.until(`"candidate"`); err != nil {
			return err
		}
		l.relayed.Add(1)
		if trip := time.Since(<-p.sent); l.measuring.Load() {
			p.trips = append(p.trips, trip)
		}
		if !l.on.Load() {
			if p.out.Add(-1) == 0 {
				l.quiet <- struct{}{}
			}
			continue
		}
		runtime.Gosched() // or a few pairs would have the machine to themselves
		if err := p.send(); err != nil {
			return err
		}
	}
}

// echo answers each candidate with one.
func (p *pair) echo(l *load) error {
	for {
		if _, err := p.b.until(`"candidate"`); err != nil {
			return err
		}
		l.relayed.Add(1)
		runtime.Gosched()
		if err := p.b.send(p.back); err != nil {
			return err
		}
	}
}

// call signs two in, each at a server, and opens a call between them.
func call(urlA, urlB, one, two string, resume bool) (a, b *client, err error) {
	if a, err = dial(urlA); err != nil {
		return nil, nil, err
	}
	if b, err = dial(urlB); err != nil {
		return a, nil, err
	}
	for c, name := range map[*client]string{a: one, b: two} {
		c.resumes = resume
		if err := c.login(name); err != nil {
			return a, b, err
		}
	}
	if err := a.send(fmt.Appendf(nil, `{"type":"offer","offer":{"type":"offer","sdp":"v=0"},"name":%q}`, two)); err != nil {
		return a, b, err
	}
	_, err = b.until(`"offer"`)
	return a, b, err
}

// candidateFor is a message with a candidate of 250 bytes that has the number i.
func candidateFor(name string, i int) []byte {
	const head, tail = `{"candidate":"`, `","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"abcd"}`
	line := fmt.Sprintf("candidate:%d 1 udp 2122260223 192.0.2.1 54321 typ host generation 0 ufrag abcd network-id 1 ", i)
	line += strings.Repeat("x", 250-len(head)-len(tail)-len(line))
	return fmt.Appendf(nil, `{"type":"candidate","candidate":%s%s%s,"name":%q}`, head, line, tail, name)
}

// together runs n of them and returns the first error.
func together(n int, do func(i int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- do(i) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}
