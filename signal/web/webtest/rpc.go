package webtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/gorilla/websocket"
)

// frame is one message of either protocol. They differ in the session (DevTools
// names it in the frame, BiDi in the parameters) and in the error (an object
// there, a string with a message beside it here).
type frame struct {
	ID        int64           `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
	Message   string          `json:"message,omitempty"`
}

// conn calls methods of a browser and hands its events to onEvent.
type conn struct {
	ws *websocket.Conn
	// onEvent runs on the reading goroutine: it must neither block nor call.
	onEvent func(frame)
	done    chan struct{} // closed when the reader has ended

	writing sync.Mutex // one writer at a time, as gorilla/websocket asks

	mu    sync.Mutex // guards what follows
	next  int64
	calls map[int64]chan frame
	err   error // why the reader ended
}

func dial(ctx context.Context, url string, onEvent func(frame)) (*conn, error) {
	// The browsers refuse an Origin they don't know; gorilla sends none.
	ws, response, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the browser at %s: %w", url, err)
	}
	_ = response.Body.Close()
	c := &conn{ws: ws, onEvent: onEvent, done: make(chan struct{}), calls: map[int64]chan frame{}}
	go c.read()
	return c, nil
}

func (c *conn) read() {
	defer close(c.done)
	for {
		var f frame
		if err := c.ws.ReadJSON(&f); err != nil {
			c.fail(err)
			return
		}
		if f.ID == 0 {
			c.onEvent(f)
			continue
		}
		c.mu.Lock()
		reply := c.calls[f.ID]
		delete(c.calls, f.ID)
		c.mu.Unlock()
		if reply != nil {
			reply <- f // has room for it
		}
	}
}

func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	for id, reply := range c.calls {
		delete(c.calls, id)
		close(reply)
	}
}

// call waits for the reply. session is empty in BiDi; result may be nil.
func (c *conn) call(ctx context.Context, session, method string, params, result any) error {
	id, reply, err := c.send(session, method, params)
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case f, ok := <-reply:
		if !ok {
			return fmt.Errorf("%s: the browser is gone: %w", method, c.reason())
		}
		return decodeReply(method, f, result)
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.calls, id)
		c.mu.Unlock()
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// send writes the request and leaves the reply to come on the channel.
func (c *conn) send(session, method string, params any) (int64, <-chan frame, error) {
	if params == nil {
		params = struct{}{} // BiDi insists on the member
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return 0, nil, err
	}
	reply := make(chan frame, 1)
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return 0, nil, c.err
	}
	c.next++
	id := c.next
	c.calls[id] = reply
	c.mu.Unlock()
	c.writing.Lock()
	defer c.writing.Unlock()
	return id, reply, c.ws.WriteJSON(frame{ID: id, SessionID: session, Method: method, Params: raw})
}

func decodeReply(method string, f frame, result any) error {
	if len(f.Error) > 0 {
		return &callError{Method: method, Text: string(f.Error) + " " + f.Message}
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(f.Result, result); err != nil {
		return fmt.Errorf("%s: cannot read the reply: %w", method, err)
	}
	return nil
}

func (c *conn) reason() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return errors.New("the connection was closed")
	}
	return c.err
}

func (c *conn) close() {
	_ = c.ws.Close()
	<-c.done
}

// callError is what the browser answered to a call it refused, for instance
// because the page was left while a script of ours ran in it.
type callError struct{ Method, Text string }

func (e *callError) Error() string { return e.Method + ": " + e.Text }
