package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// client is one connection of the load.
type client struct {
	ws *websocket.Conn
}

var pools = &sync.Pool{} // of write buffers: 9,000 of them would be the load generator's memory

func dial(url string) (*client, error) {
	d := websocket.Dialer{
		ReadBufferSize: 4 << 10, WriteBufferSize: 1 << 10, WriteBufferPool: pools,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the certificate is made for the run
	}
	ws, _, err := d.Dial(url, nil)
	return &client{ws}, err
}

func (c *client) send(frame []byte) error { return c.ws.WriteMessage(websocket.TextMessage, frame) }

// login signs in, past the greeting.
func (c *client) login(name string) error {
	if err := c.send(fmt.Appendf(nil, `{"type":"login","name":%q}`, name)); err != nil {
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
		if err != nil || bytes.Contains(frame, []byte(text)) {
			return frame, err
		}
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
func relay(url, prefix string, p plan, cpu func() (time.Duration, error), stop func(), r *result) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var relayed atomic.Int64
	var measuring atomic.Bool
	trips := make([][]time.Duration, p.pairs)
	done := make(chan error, 1)
	var begun sync.WaitGroup
	begun.Add(p.pairs)
	go func() {
		done <- together(p.pairs, func(i int) error {
			return pair(ctx, url, prefix, i, p.inFlight, &begun, &relayed, &measuring, &trips[i])
		})
	}()
	ready := make(chan struct{})
	go func() { begun.Wait(); close(ready) }()
	select {
	case <-ready:
	case err := <-done:
		return cmpErr(err, errors.New("the pairs ended before they began"))
	}
	time.Sleep(p.span / 4) // warm
	before, err := cpu()
	if err != nil {
		return err
	}
	start, from := time.Now(), relayed.Load()
	measuring.Store(true)
	time.Sleep(p.span)
	measuring.Store(false)
	took, count := time.Since(start), float64(relayed.Load()-from)
	after, err := cpu()
	if stop != nil {
		stop()
	}
	cancel()
	<-done
	all := slices.Concat(trips...)
	slices.Sort(all)
	if len(all) == 0 {
		return errors.New("nothing was relayed")
	}
	r.relayed, r.rate = count/(after-before).Seconds(), count/took.Seconds()
	r.p50, r.p99 = all[len(all)/2], all[len(all)*99/100]
	return err
}

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// pair is two users in a call: the first sends candidates, the second sends each back.
func pair(ctx context.Context, url, prefix string, i, inFlight int, begun *sync.WaitGroup, relayed *atomic.Int64, measuring *atomic.Bool, trips *[]time.Duration) error {
	one, two := fmt.Sprintf("%scaller-%d", prefix, i), fmt.Sprintf("%scallee-%d", prefix, i)
	a, b, err := call(url, url, one, two)
	for _, c := range []*client{a, b} {
		if c != nil {
			defer c.ws.Close()
			defer context.AfterFunc(ctx, func() { _ = c.ws.NetConn().Close() })()
		}
	}
	begun.Done()
	if err != nil {
		return err
	}
	echoed := make(chan error, 1)
	go func() { echoed <- echo(b, candidateFor(one, 0), relayed) }()
	defer func() { _ = b.ws.NetConn().Close(); <-echoed }()
	sent := make(chan time.Time, inFlight)
	for range inFlight {
		sent <- time.Now()
		if err := a.send(candidateFor(two, i)); err != nil {
			return err
		}
	}
	frame := candidateFor(two, i)
	for {
		if _, err := a.until(`"candidate"`); err != nil {
			return err
		}
		relayed.Add(1)
		if trip := time.Since(<-sent); measuring.Load() {
			*trips = append(*trips, trip)
		}
		runtime.Gosched() // or a few pairs would have the machine to themselves
		sent <- time.Now()
		if err := a.send(frame); err != nil {
			return err
		}
	}
}

// call signs two in, each at a server, and opens a call between them.
func call(urlA, urlB, one, two string) (a, b *client, err error) {
	if a, err = dial(urlA); err != nil {
		return nil, nil, err
	}
	if b, err = dial(urlB); err != nil {
		return a, nil, err
	}
	for c, name := range map[*client]string{a: one, b: two} {
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

// echo answers each candidate with one.
func echo(b *client, frame []byte, relayed *atomic.Int64) error {
	for {
		if _, err := b.until(`"candidate"`); err != nil {
			return err
		}
		relayed.Add(1)
		runtime.Gosched()
		if err := b.send(frame); err != nil {
			return err
		}
	}
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
