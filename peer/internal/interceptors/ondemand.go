package interceptors

import (
	"sync"

	"github.com/pion/interceptor"
)

// onDemand is the factory of an interceptor that gets its RTCP writer with the first stream that
// needs it. Pion's start a goroutine with a ticker there, which would wake up for nothing in a
// connection without such a stream.
type onDemand struct {
	interceptor.Factory
	local, remote func(*interceptor.StreamInfo) bool // report whether a stream needs it; nil for none
}

// NewInterceptor implements interceptor.Factory.
func (f onDemand) NewInterceptor(id string) (interceptor.Interceptor, error) {
	i, err := f.Factory.NewInterceptor(id)
	return &delayed{Interceptor: i, local: f.local, remote: f.remote}, err
}

// delayed is an interceptor of onDemand. It must pass RTCP packets on as they are.
type delayed struct {
	interceptor.Interceptor
	local, remote func(*interceptor.StreamInfo) bool

	mu      sync.Mutex // guards the following
	writer  interceptor.RTCPWriter
	started bool
}

// BindRTCPWriter implements interceptor.Interceptor.
func (d *delayed) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writer = w
	return w
}

// BindLocalStream implements interceptor.Interceptor.
func (d *delayed) BindLocalStream(info *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	if d.local != nil && d.local(info) {
		d.start()
	}
	return d.Interceptor.BindLocalStream(info, w)
}

// BindRemoteStream implements interceptor.Interceptor.
func (d *delayed) BindRemoteStream(info *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	if d.remote != nil && d.remote(info) {
		d.start()
	}
	return d.Interceptor.BindRemoteStream(info, r)
}

func (d *delayed) start() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.writer != nil && !d.started {
		d.started = true
		d.Interceptor.BindRTCPWriter(d.writer)
	}
}
