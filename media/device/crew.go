package device

import (
	"context"
	"sync"
)

// crew does one piece of work for as long as somebody needs it.
type crew struct {
	// begin gets ready; the work is done when its context ends, or with an error.
	begin func() (work func(context.Context) error, err error)

	mu    sync.Mutex // guards what follows, and is held while the work begins and ends
	users int
	now   *shift
}

// shift is a crew at work.
type shift struct {
	stop context.CancelFunc
	done chan struct{} // closed at the end
	err  error         // valid once done is closed
}

// run keeps the crew at work until ctx ends, which is no error, or the work does.
func (c *crew) run(ctx context.Context) error {
	s, err := c.join()
	if err != nil {
		return err
	}
	defer c.leave()
	select {
	case <-ctx.Done():
		return nil
	case <-s.done:
		return s.err
	}
}

func (c *crew) join() (*shift, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now == nil {
		work, err := c.begin()
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.Background())
		s := &shift{stop: stop, done: make(chan struct{})}
		go func() {
			defer close(s.done)
			s.err = work(ctx)
		}()
		c.now = s
	}
	c.users++
	return c.now, nil
}

// leave ends the work when nobody is left.
func (c *crew) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	c.now.stop()
	<-c.now.done
	c.now = nil
}
