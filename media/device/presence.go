package device

import "sync"

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
