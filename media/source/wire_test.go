package source

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"parley/media"
	"parley/media/receiver"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// capture binds a track and keeps what it sends, and when.
type capture struct {
	codecs []webrtc.RTPCodecParameters

	mu      sync.Mutex // guards what follows
	packets []*rtp.Packet
	times   []time.Time
}

func bind(t testing.TB, track webrtc.TrackLocal, codecs ...webrtc.RTPCodecParameters) *capture {
	t.Helper()
	if len(codecs) == 0 {
		codecs = negotiated()
	}
	c := &capture{codecs: codecs}
	if _, err := track.Bind(c); err != nil {
		t.Fatal(err)
	}
	return c
}

// negotiated are codecs as a browser offers them.
func negotiated() []webrtc.RTPCodecParameters {
	video := func(mime, fmtp string, pt webrtc.PayloadType) webrtc.RTPCodecParameters {
		return webrtc.RTPCodecParameters{PayloadType: pt, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: mime, ClockRate: 90000, SDPFmtpLine: fmtp}}
	}
	return []webrtc.RTPCodecParameters{
		video("video/rtx", "apt=96", 97),
		video("video/VP8", "", 96),
		video("video/VP9", "profile-id=0", 98),
		video("video/VP9", "profile-id=2", 100),
		video("video/H264", "packetization-mode=0;profile-level-id=42e01f", 108),
		video("video/H264", "packetization-mode=1;profile-level-id=42e01f", 109),
		video("video/H264", "packetization-mode=1;profile-level-id=640032", 110),
		video("video/AV1", "profile=0", 45),
		{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: "audio/opus", ClockRate: 48000, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1"}},
	}
}

func (c *capture) CodecParameters() []webrtc.RTPCodecParameters           { return c.codecs }
func (c *capture) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter { return nil }
func (c *capture) SSRC() webrtc.SSRC                                      { return 0xC0FFEE }
func (c *capture) SSRCRetransmission() webrtc.SSRC                        { return 0 }
func (c *capture) SSRCForwardErrorCorrection() webrtc.SSRC                { return 0 }
func (c *capture) WriteStream() webrtc.TrackLocalWriter                   { return c }
func (c *capture) ID() string                                             { return "capture" }
func (c *capture) RTCPReader() interceptor.RTCPReader                     { return nil }
func (c *capture) Write([]byte) (int, error)                              { return 0, io.ErrClosedPipe }

func (c *capture) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.packets = append(c.packets, &rtp.Packet{Header: *h, Payload: append([]byte(nil), payload...)})
	c.times = append(c.times, time.Now())
	return len(payload), nil
}

// wire is a RemoteTrack and its RTCPReader that a test feeds.
type wire struct {
	codec   webrtc.RTPCodecParameters
	kind    webrtc.RTPCodecType
	packets chan *rtp.Packet
	reports *wireReports
	reader  wireReader
}

type wireReports struct {
	reports chan rtcp.Packet
	reader  wireReader
}

// wireReader is a deadline that can be moved while somebody waits for it.
type wireReader struct {
	mu      sync.Mutex // guards what follows
	at      time.Time
	changed chan struct{}
}

func (r *wireReader) SetReadDeadline(at time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = at
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
	return nil
}

// wait returns a channel that is closed when the deadline is moved, and the time left.
func (r *wireReader) wait() (<-chan struct{}, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed, r.at
}

func read[T any](r *wireReader, c <-chan T) (T, error) {
	for {
		var none T
		changed, at := r.wait()
		var timer <-chan time.Time
		if !at.IsZero() {
			if !at.After(time.Now()) {
				return none, os.ErrDeadlineExceeded
			}
			timer = time.After(time.Until(at))
		}
		select {
		case v, ok := <-c:
			if !ok {
				return none, io.EOF
			}
			return v, nil
		case <-timer:
		case <-changed:
		}
	}
}

func newWire(mime string) *wire {
	w := &wire{
		kind:    media.KindOf(mime),
		packets: make(chan *rtp.Packet),
		reports: &wireReports{reports: make(chan rtcp.Packet)},
	}
	for _, c := range negotiated() {
		if c.MimeType == mime {
			w.codec = c
			break
		}
	}
	return w
}

func (w *wire) ReadRTP() (*rtp.Packet, interceptor.Attributes, error) {
	p, err := read(&w.reader, w.packets)
	return p, nil, err
}
func (w *wire) SetReadDeadline(t time.Time) error { return w.reader.SetReadDeadline(t) }
func (w *wire) Kind() webrtc.RTPCodecType         { return w.kind }
func (w *wire) Codec() webrtc.RTPCodecParameters  { return w.codec }

func (w *wireReports) ReadRTCP() ([]rtcp.Packet, interceptor.Attributes, error) {
	p, err := read(&w.reader, w.reports)
	if err != nil {
		return nil, nil, err
	}
	return []rtcp.Packet{p}, nil, nil
}
func (w *wireReports) SetReadDeadline(t time.Time) error { return w.reader.SetReadDeadline(t) }

// sent is a packet of a script, and when it is sent.
type sent struct {
	packet *rtp.Packet
	report *rtcp.SenderReport
	at     time.Duration
}

// play feeds the script to a wire and ends its track.
func (w *wire) play(script []sent) {
	start := time.Now()
	for _, s := range script {
		if d := time.Until(start.Add(s.at)); d > 0 {
			time.Sleep(d) // in a bubble of synctest
		}
		if s.report != nil {
			w.reports.reports <- s.report
			time.Sleep(time.Nanosecond) // in a bubble of synctest: until it has been read
			continue
		}
		w.packets <- s.packet
	}
	close(w.packets)
}

// collect is a sink that keeps the frames.
type collect struct{ frames []media.Frame }

func (c *collect) WriteFrame(f media.Frame) error {
	f.Data = append([]byte(nil), f.Data...)
	c.frames = append(c.frames, f)
	return nil
}

// sample is a sample of one track.
type sample struct {
	data         []byte
	at, duration uint64
}

// nextSample reads the next sample of a source that is a file.
func nextSample(s Source) (sample, error) {
	q, err := s.(*playerTrack).player.next()
	return sample{data: q.Data, at: q.Time, duration: q.Duration}, err
}

// frames reads all frames of a file.
func frames(t testing.TB, path string, o VideoOptions) (*playerTrack, []sample) {
	t.Helper()
	open := func() (Source, error) { return OpenVideo(path, o) }
	if _, err := open(); err != nil {
		open = func() (Source, error) { return OpenAudio(path, AudioOptions{}) }
	}
	source, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = source.Close() })
	file := source.(*playerTrack)
	var all []sample
	for {
		s, err := nextSample(file)
		if err == io.EOF {
			return file, all
		}
		if err != nil {
			t.Fatal(err)
		}
		s.data = append([]byte(nil), s.data...)
		all = append(all, s)
	}
}

// script cuts the frames of a file into packets, each at the time of its frame.
func script(t testing.TB, file *playerTrack, all []sample) []sent {
	t.Helper()
	c := bind(t, file)
	var out []sent
	for _, s := range all {
		before := len(c.packets)
		file.Write(s.data, s.at)
		for _, p := range c.packets[before:] {
			out = append(out, sent{packet: p, at: media.TicksToDuration(int64(s.at), file.Capability().ClockRate)})
		}
	}
	return out
}

// through runs a script through a Receiver in a bubble of synctest, where waiting takes no time.
func through(t *testing.T, mime string, o receiver.Options, lines []sent) (frames []media.Frame, stats receiver.Stats) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, c := newWire(mime), &collect{}
		o.Sinks = append([]media.FrameSink{c}, o.Sinks...)
		o.RTCP = w.reports
		r := receiver.New(w, o)
		done := make(chan error)
		go func() { done <- r.Run(context.Background()) }()
		w.play(lines)
		if err := <-done; err != nil {
			t.Error(err)
		}
		frames, stats = c.frames, r.Stats()
	})
	return frames, stats
}

// shuffle delays, drops and doubles packets, always in the same way for a seed.
func shuffle(lines []sent, seed uint64, reorder, drop, double float64) (out []sent, dropped, doubled int) {
	random := rand.New(rand.NewPCG(seed, 0))
	for i, s := range lines {
		switch x := random.Float64(); {
		case x < drop:
			dropped++
			continue
		case x < drop+double:
			again := *s.packet
			out = append(out, s, sent{packet: &again, at: s.at})
			doubled++
			continue
		case x < drop+double+reorder && i > 0:
			s.at += time.Duration(random.IntN(100)) * time.Millisecond
		}
		out = append(out, s)
	}
	// Insertion keeps the order of those at one time.
	for i := range out {
		for j := i; j > 0 && out[j-1].at > out[j].at; j-- {
			out[j-1], out[j] = out[j], out[j-1]
		}
	}
	return out, dropped, doubled
}

func (c *capture) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.packets)
}

// videoClips are files of every video codec, of 50 frames with a key frame each 10.
func videoClips(t *testing.T) map[string]string {
	t.Helper()
	return map[string]string{
		webrtc.MimeTypeVP8:  clip(t, "vp8.ivf", "-c:v", "libvpx", "-deadline", "realtime", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeVP9:  clip(t, "vp9.ivf", "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeAV1:  clip(t, "av1.ivf", "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-g", "10", "-b:v", "2M"),
		webrtc.MimeTypeH264: clip(t, "h264.h264", "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-g", "10", "-slices", "3", "-b:v", "2M"),
	}
}
