package main

import "io"

// abandoned is a reader whose reads are waited for no longer once it is
// stopped, for what knows no other way: the read that is under way goes on.
type abandoned struct {
	r       io.Reader
	results chan int
	wanted  chan []byte
	stopped chan struct{}
	err     error // valid after a result of -1
}

func newAbandoned(r io.Reader) (io.Reader, func()) {
	a := &abandoned{r: r, results: make(chan int), wanted: make(chan []byte), stopped: make(chan struct{})}
	go a.run()
	return a, func() { close(a.stopped) }
}

func (a *abandoned) run() {
	for {
		select {
		case p := <-a.wanted:
			n, err := a.r.Read(p)
			a.deliver(n)
			if err != nil {
				a.err = err
				a.deliver(-1)
				return
			}
		case <-a.stopped:
			return
		}
	}
}

func (a *abandoned) deliver(n int) {
	select {
	case a.results <- n:
	case <-a.stopped:
	}
}

// Read implements io.Reader. After an error there must be no more calls.
func (a *abandoned) Read(p []byte) (int, error) {
	select {
	case a.wanted <- p:
	case n := <-a.results: // of the read before
		return max(n, 0), a.err
	case <-a.stopped:
		return 0, io.EOF
	}
	select {
	case n := <-a.results:
		return n, nil
	case <-a.stopped:
		return 0, io.EOF
	}
}
