package device

import (
	"context"
	"sync"

	"parley/media/source"
)

// Shared shares devices between calls. A device is opened for the first call and closed after the
// last one, and encoded once for all of them. The zero value is ready for use.
type Shared struct {
	mu     sync.Mutex // guards what follows
	videos map[string]*sharedVideo
	audios map[string]*sharedAudio
}

// OpenVideo is like the function OpenVideo. A device that is open by the same spec is shared, with
// the options of the first call except StreamID and Simulcast.
func (s *Shared) OpenVideo(spec string, o VideoOptions) (source.Source, error) {
	if err := checkVideo(spec, &o); err != nil {
		return nil, err
	}
	return s.openVideo(spec, o)
}

// OpenAudio is like the function OpenAudio, and shares the microphone in the same way.
func (s *Shared) OpenAudio(spec string, o AudioOptions) (source.Source, error) {
	if err := checkAudio(spec, &o); err != nil {
		return nil, err
	}
	return s.openAudio(spec, o)
}

// sharedWorker runs one task for as long as it has users.
type sharedWorker struct {
	// start prepares the task, which runs until its context ends or it fails.
	start func() (task func(context.Context) error, err error)

	mu      sync.Mutex // guards what follows, and is held while the task starts and stops
	users   int
	current *workerRun
}

// workerRun is a task that runs.
type workerRun struct {
	stop context.CancelFunc
	done chan struct{} // closed at the end
	err  error         // valid once done is closed
}

// run is a user until ctx ends, which is no error, or the task does.
func (c *sharedWorker) run(ctx context.Context) error {
	s, err := c.acquire()
	if err != nil {
		return err
	}
	defer c.release()
	select {
	case <-ctx.Done():
		return nil
	case <-s.done:
		return s.err
	}
}

func (c *sharedWorker) acquire() (*workerRun, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		task, err := c.start()
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.Background())
		s := &workerRun{stop: stop, done: make(chan struct{})}
		go func() {
			defer close(s.done)
			s.err = task(ctx)
		}()
		c.current = s
	}
	c.users++
	return c.current, nil
}

// release stops the task after its last user.
func (c *sharedWorker) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	c.current.stop()
	<-c.current.done
	c.current = nil
}
