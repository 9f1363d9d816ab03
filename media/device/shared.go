package device

import (
	"context"
	"sync"

	"parley/media/source"
)

// Shared are the devices that several calls of one program use at the same time: each is opened for the first and
// closed after the last, and what it gives is encoded once for all. The zero value works.
type Shared struct {
	mu     sync.Mutex // guards what follows
	videos map[string]*sharedVideo
	audios map[string]*sharedAudio
}

// OpenVideo is as the function, and shares the device with those who have it open by the same spec; these have given
// the options, but for StreamID and Simulcast.
func (s *Shared) OpenVideo(spec string, o VideoOptions) (source.Source, error) {
	if err := checkVideo(spec, &o); err != nil {
		return nil, err
	}
	return s.openVideo(spec, o)
}

// OpenAudio is the same for a microphone.
func (s *Shared) OpenAudio(spec string, o AudioOptions) (source.Source, error) {
	if err := checkAudio(spec, &o); err != nil {
		return nil, err
	}
	return s.openAudio(spec, o)
}

// crew does one piece of work for as long as somebody needs it.
type sharedWorker struct {
	// begin gets ready; the work is done when its context ends, or with an error.
	begin func() (work func(context.Context) error, err error)

	mu    sync.Mutex // guards what follows, and is held while the work begins and ends
	users int
	now   *workerRun
}

// shift is a crew at work.
type workerRun struct {
	stop context.CancelFunc
	done chan struct{} // closed at the end
	err  error         // valid once done is closed
}

// run keeps the crew at work until ctx ends, which is no error, or the work does.
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
	if c.now == nil {
		work, err := c.begin()
		if err != nil {
			return nil, err
		}
		ctx, stop := context.WithCancel(context.Background())
		s := &workerRun{stop: stop, done: make(chan struct{})}
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
func (c *sharedWorker) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users--; c.users > 0 {
		return
	}
	c.now.stop()
	<-c.now.done
	c.now = nil
}

// presence tells the calls that share a device when it goes away and when it is back.
type presence struct {
	mu       sync.Mutex // guards what follows, and keeps what is told in order
	gone     bool
	watchers map[any]func(gone bool)
}

// watch has f told from now on, at once if the device is away; nil ends that. who is whom it is for.
func (p *presence) watch(who any, f func(gone bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f == nil {
		delete(p.watchers, who)
		return
	}
	if p.watchers == nil {
		p.watchers = make(map[any]func(bool))
	}
	p.watchers[who] = f
	if p.gone {
		f(true)
	}
}

func (p *presence) set(gone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone == gone {
		return
	}
	p.gone = gone
	for _, f := range p.watchers {
		f(gone)
	}
}
