package peer

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"parley/peer/internal/sender"
	"parley/peer/peertest"
)

// callHostileWithAudio makes a call that receives audio, up to SRTP.
func callHostileWithAudio(t *testing.T) *faulty {
	t.Helper()
	return callHostile(t, func(c *Config, h *peertest.Hostile) {
		h.Lines = "a=ssrc:43981 cname:x\r\n"
		c.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}
	}).connect().handshake().associate()
}

// callHostileWithVideo makes a call that sends a video, up to SRTP.
func callHostileWithVideo(t *testing.T) (*faulty, *countedTrack) {
	t.Helper()
	track := &countedTrack{TrackLocalStaticSample: testTrack(t, webrtc.MimeTypeVP8)}
	f := callHostile(t, func(c *Config, _ *peertest.Hostile) { c.Media.Tracks = []webrtc.TrackLocal{track} })
	return f.connect().handshake().associate(), track
}

// countedTrack counts the requests for a key frame.
type countedTrack struct {
	*webrtc.TrackLocalStaticSample
	asked atomic.Int64
}

func (c *countedTrack) RequestKeyFrame() { c.asked.Add(1) }

// opus is a packet of audio, of the payload type that Pion offers it with.
func opus(sequence uint16) *rtp.Packet {
	return &rtp.Packet{
		Header:  rtp.Header{Version: 2, PayloadType: 111, SequenceNumber: sequence, Timestamp: uint32(sequence) * 960, SSRC: 43981},
		Payload: []byte{0xf8, byte(sequence >> 8), byte(sequence)},
	}
}

// receivedPackets collects the packets of the track that comes, until the call is over.
func (f *faulty) receivedPackets() (packets func() []uint16, await func(uint16)) {
	f.t.Helper()
	track := anyOf[TrackReceived](f.side).Track
	var mu sync.Mutex
	more := make(chan struct{}, 1)
	var got []uint16
	done := make(chan struct{})
	f.t.Cleanup(func() { f.stop(); <-done })
	go func() {
		defer close(done)
		for {
			p, _, err := track.ReadRTP()
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
				return
			}
			if err != nil {
				continue // one of those that cannot be parsed
			}
			mu.Lock()
			got = append(got, p.SequenceNumber)
			mu.Unlock()
			select {
			case more <- struct{}{}:
			default:
			}
		}
	}()
	packets = func() []uint16 {
		mu.Lock()
		defer mu.Unlock()
		return append([]uint16(nil), got...)
	}
	return packets, func(last uint16) {
		f.t.Helper()
		for {
			for _, s := range packets() {
				if s == last {
					return
				}
			}
			select {
			case <-more:
			case <-f.ctx.Done():
				f.t.Fatalf("packet %d did not come; %v did", last, packets())
			}
		}
	}
}

func anyOf[E Event](s *side) E { return await(s, func(E) bool { return true }) }

// rtp sends packets of audio, protected.
func (f *faulty) rtp(packets ...*rtp.Packet) {
	f.t.Helper()
	for _, p := range packets {
		f.send(must(f.session.RTP(p))(f.t))
	}
}

func mediaFaults() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"72_replayed_and_tampered": func(t *testing.T) {
			f := callHostileWithAudio(t)
			f.rtp(opus(1))
			packets, await := f.receivedPackets()
			wire := must(f.session.RTP(opus(2)))(t)
			tampered := bytes.Clone(wire)
			tampered[len(tampered)-1] ^= 1
			payload := bytes.Clone(wire)
			payload[13] ^= 1
			f.send(tampered, payload, wire, wire, wire)
			f.rtp(opus(3))
			await(3)
			seen := map[uint16]int{}
			for _, s := range packets() {
				seen[s]++
			}
			if seen[2] != 1 {
				t.Errorf("packet 2 came %d times", seen[2])
			}
			f.talks()
		},
		"72_rollover_and_jump": func(t *testing.T) {
			f := callHostileWithAudio(t)
			f.rtp(opus(65533))
			_, await := f.receivedPackets()
			f.rtp(opus(65534), opus(65535), opus(0), opus(1))
			await(1)
			f.rtp(opus(20000))
			await(20000)
			f.talks()
		},
		"72_lies_about_lengths": func(t *testing.T) {
			f := callHostileWithAudio(t)
			f.rtp(opus(1))
			_, await := f.receivedPackets()
			for i, change := range []func([]byte) []byte{
				func(p []byte) []byte { p[0] |= 0x0f; return p },               // 15 contributors that are not there
				func(p []byte) []byte { p[0] |= 0x20; return append(p, 0xff) }, // padding longer than the packet
				func(p []byte) []byte { // an extension that ends past the packet
					p[0] |= 0x10
					return append(p[:12], 0xbe, 0xde, 0xff, 0xff)
				},
				func(p []byte) []byte { p[0] &= 0x3f; return p }, // version 0
			} {
				plain := must(opus(uint16(2 + i)).Marshal())(t)
				if wire, err := f.session.RawRTP(change(plain)); err == nil {
					f.send(wire)
				}
			}
			f.send([]byte{128}, []byte{128, 111}, []byte{144, 111, 0, 1}, bytes.Repeat([]byte{191}, 12), []byte{128, 200, 0})
			f.rtp(opus(100))
			await(100)
			f.talks()
		},
		"72_ten_thousand_sources": func(t *testing.T) {
			f := callHostileWithAudio(t)
			f.rtp(opus(1))
			packets, await := f.receivedPackets()
			for i := range 10_000 {
				p := opus(uint16(i))
				p.SSRC = uint32(i) + 1_000_000
				f.rtp(p)
			}
			f.rtp(opus(2))
			await(2)
			if n := len(packets()); n > 2 {
				t.Errorf("%d packets of strangers came as the track's", n-2)
			}
			f.talks()
		},
		"73_malformed_reports": func(t *testing.T) {
			f, _ := callHostileWithVideo(t)
			for _, plain := range [][]byte{
				{0x80, 200, 0xff, 0xff, 0, 0, 0, 1},             // a length past the packet
				{0x9f, 201, 0, 1, 0, 0, 0, 1},                   // 31 reports that are not there
				{0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2},       // feedback with no body
				{0x80, 203, 0, 0},                               // goodbye of nobody
				{0x81, 203, 0, 1, 0xde, 0xad, 0xbe, 0xef},       // goodbye of a stranger
				{0xa0, 200, 0, 1, 0, 0, 0, 0xff},                // padding longer than the packet
				{0x8f, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0}, // transport feedback cut short
				{0x80, 204, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0},       // an application's
			} {
				if wire, err := f.session.RawRTCP(plain); err == nil {
					f.send(wire)
				}
			}
			f.send([]byte{128, 201}, bytes.Repeat([]byte{0x80, 201}, 600))
			f.talks()
		},
		"73_flood_of_requests": func(t *testing.T) {
			f, track := callHostileWithVideo(t)
			ssrc := f.sentSSRC()
			nack := &rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: []rtcp.NackPair{{PacketID: 1, LostPackets: 0xffff}}}
			before, begun := track.asked.Load(), time.Now()
			const requests = 5000
			for range requests {
				f.send(must(f.session.RTCP(&rtcp.PictureLossIndication{MediaSSRC: ssrc}, nack))(t))
			}
			f.talks()
			// Whatever the pace at which they came, one is in each interval.
			if n, most := track.asked.Load()-before, int64(time.Since(begun)/sender.KeyFrameInterval)+1; n == 0 || n > most || n > requests/10 {
				t.Errorf("the track was asked for %d key frames, want 1 to %d", n, most)
			}
		},
		"73_bandwidth_of_nothing_and_of_everything": func(t *testing.T) {
			f, _ := callHostileWithVideo(t)
			for _, b := range []float32{0, 1 << 63, 1} {
				f.send(must(f.session.RTCP(&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: b, SSRCs: []uint32{f.sentSSRC()}}))(t))
			}
			f.talks()
		},
	}
}

// sentSSRC is that of the track of ours.
func (f *faulty) sentSSRC() uint32 {
	f.t.Helper()
	for _, s := range f.call.transports.conns[0].pc.GetSenders() {
		if e := s.GetParameters().Encodings; len(e) > 0 {
			return uint32(e[0].SSRC)
		}
	}
	f.t.Fatal("nothing is sent")
	return 0
}
