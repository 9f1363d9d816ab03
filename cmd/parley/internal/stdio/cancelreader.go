package stdio

import "io"

// abandoningReader is a reader that can be stopped while a read of any other reader blocks. That
// read goes on, and its bytes are lost.
type abandoningReader struct {
	r        io.Reader
	results  chan int
	requests chan []byte
	stopped  chan struct{}
	err      error // valid after a result of -1
}

func newAbandoningReader(r io.Reader) (io.Reader, func()) {
	a := &abandoningReader{r: r, results: make(chan int), requests: make(chan []byte), stopped: make(chan struct{})}
	go a.run()
	return a, func() { close(a.stopped) }
}

func (a *abandoningReader) run() {
	for {
		select {
		case p := <-a.requests:
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

func (a *abandoningReader) deliver(n int) {
	select {
	case a.results <- n:
	case <-a.stopped:
	}
}

// Read implements io.Reader. It must not be called again after an error.
func (a *abandoningReader) Read(p []byte) (int, error) {
	select {
	case a.requests <- p:
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
