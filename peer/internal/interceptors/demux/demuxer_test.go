package demux

import (
	"io"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
)

// The second reader of a stream gets all of it in order, and the stream stays bound when the first
// one unbinds it.
func TestDemuxerStreamBoundTwice(t *testing.T) {
	inner := &boundCount{bound: map[uint32]int{}}
	d := New(Config{})
	d.Interceptor = inner
	var sent byte
	from := interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		sent++
		return copy(b, []byte{sent}), a, nil
	})
	info := &interceptor.StreamInfo{SSRC: 7}
	read := func(r interceptor.RTPReader) byte {
		b := make([]byte, 4)
		if n, _, err := r.Read(b, nil); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		return b[0]
	}
	first := d.BindRemoteStream(info, from)
	read(first)
	read(first)
	second := d.BindRemoteStream(info, from)
	read(first)
	d.UnbindRemoteStream(info)
	for want := byte(1); want < 50; want++ {
		if got := read(second); got != want {
			t.Fatalf("got packet %d, want %d", got, want)
		}
	}
	if inner.bound[7] != 1 {
		t.Errorf("bound %d times, want once", inner.bound[7])
	}
	d.UnbindRemoteStream(info)
	d.UnbindRemoteStream(info)
	if inner.bound[7] != 0 || len(d.streams) > 0 {
		t.Errorf("bound %d times at the end with %d streams kept, want 0 and 0", inner.bound[7], len(d.streams))
	}
	for i := range uint32(1000) { // streams that are never announced
		r := d.BindRemoteStream(&interceptor.StreamInfo{SSRC: i}, from)
		read(r)
		d.UnbindRemoteStream(&interceptor.StreamInfo{SSRC: i})
	}
	if len(d.streams) > maxUnbound {
		t.Errorf("%d streams are kept, want at most %d", len(d.streams), maxUnbound)
	}
}

// boundCount counts how often streams are bound.
type boundCount struct {
	interceptor.NoOp
	bound map[uint32]int
}

func (c *boundCount) BindRemoteStream(info *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	c.bound[info.SSRC]++
	return r
}

func (c *boundCount) UnbindRemoteStream(info *interceptor.StreamInfo) { c.bound[info.SSRC]-- }

// However many streams are unknown, few are probed, read, reported and kept. The newest is probed.
func TestDemuxerGivesUnknownStreamsUp(t *testing.T) {
	reported := make(chan UnknownStream, 1000)
	d := New(Config{OnUnknown: func(u UnknownStream) { reported <- u }})
	d.Interceptor = &interceptor.NoOp{}
	d.Update(HeaderExtensions{MID: 1}, nil)
	end := make(chan struct{})
	var probing sync.WaitGroup
	const streams = 200
	given := make(chan uint32, streams)
	var newest chan struct{}
	for ssrc := uint32(1); ssrc <= streams; ssrc++ {
		sent := false
		info := &interceptor.StreamInfo{SSRC: ssrc}
		r := d.BindRemoteStream(info, interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
			if sent {
				<-end
				return 0, a, io.EOF
			}
			sent = true
			return copy(b, []byte{rtpVersion2, 96, 11: 0}), a, nil
		}))
		probing.Go(func() { // as Pion does
			for b := make([]byte, 1500); ; {
				if _, _, err := r.Read(b, nil); err != nil {
					break
				}
			}
			d.UnbindRemoteStream(info)
			given <- ssrc
		})
		await(t, func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			if len(d.probes) != int(min(ssrc, maxProbes)) || d.probes[len(d.probes)-1] == newest {
				return false
			}
			newest = d.probes[len(d.probes)-1]
			return true
		})
	}
	for ssrc := range uint32(streams - maxProbes) {
		select {
		case got := <-given:
			if got > streams-maxProbes {
				t.Errorf("stream %d is given up, want the oldest ones", got)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%d streams are given up, want %d", ssrc, streams-maxProbes)
		}
	}
	d.mu.Lock()
	if len(d.streams) > maxUnbound+maxProbes || d.reading > maxReading || len(reported) > maxReported {
		t.Errorf("%d streams kept, %d read, %d reported", len(d.streams), d.reading, len(reported))
	}
	d.mu.Unlock()
	close(end)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	probing.Wait()
	await(t, func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.reading == 0 && len(d.probes) == 0
	})
}

// await waits until done returns true.
func await(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("timeout")
		}
	}
}
