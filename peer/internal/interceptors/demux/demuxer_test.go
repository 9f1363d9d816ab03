package demux

import (
	"testing"

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
