package interceptors

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/logging"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

const (
	// feedbackInterval is the time between two feedback messages of a connection that receives
	// video.
	feedbackInterval = 100 * time.Millisecond
	// audioFeedbackInterval is that of a connection that receives audio alone. libwebrtc, which
	// spends a twentieth of the bitrate on feedback, has the same at up to 43 kbit/s
	// (RemoteEstimatorProxy).
	audioFeedbackInterval = 250 * time.Millisecond
)

// configureFeedback registers transport-wide feedback.
func configureFeedback(engine *webrtc.MediaEngine, r *interceptor.Registry, logger logging.LoggerFactory) (err error) {
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		engine.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBTransportCC}, kind)
		err = errors.Join(err, engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: sdp.TransportCCURI}, kind))
	}
	r.Add(feedbackFactory{logger})
	return err
}

type feedbackFactory struct{ logger logging.LoggerFactory }

// NewInterceptor implements interceptor.Factory.
func (f feedbackFactory) NewInterceptor(string) (interceptor.Interceptor, error) {
	return &feedback{
		log: f.logger.NewLogger("twcc"), started: time.Now(), closed: make(chan struct{}), recorder: twcc.NewRecorder(rand.Uint32()),
	}, nil
}

// feedback is an interceptor that sends feedback on the packets that a connection receives
// (draft-holmer-rmcat-transport-wide-cc-extensions-01). It uses Pion's recorder. Pion's own
// interceptor hands each packet to another goroutine, which costs more than all the rest of it.
type feedback struct {
	interceptor.NoOp
	log     logging.LeveledLogger
	started time.Time
	closed  chan struct{}
	work    sync.WaitGroup // the goroutine of run

	mu       sync.Mutex // guards the following
	recorder *twcc.Recorder
	writer   interceptor.RTCPWriter
	running  bool
	ended    bool
	video    bool // a stream of video has been bound
}

// BindRTCPWriter implements interceptor.Interceptor.
func (f *feedback) BindRTCPWriter(w interceptor.RTCPWriter) interceptor.RTCPWriter {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writer = w
	return w
}

// BindRemoteStream implements interceptor.Interceptor.
func (f *feedback) BindRemoteStream(info *interceptor.StreamInfo, r interceptor.RTPReader) interceptor.RTPReader {
	var id uint8 // of the transport-wide sequence number, 0 if it was not negotiated
	for _, e := range info.RTPHeaderExtensions {
		if e.URI == sdp.TransportCCURI {
			id = uint8(e.ID)
		}
	}
	if id == 0 {
		return r
	}
	if !strings.HasPrefix(info.MimeType, "audio/") {
		f.mu.Lock()
		f.video = true
		f.mu.Unlock()
	}
	return interceptor.RTPReaderFunc(func(b []byte, a interceptor.Attributes) (int, interceptor.Attributes, error) {
		n, a, err := r.Read(b, a)
		if err != nil {
			return n, a, err
		}
		if a == nil {
			a = interceptor.Attributes{}
		}
		if h, err := a.GetRTPHeader(b[:n]); err == nil {
			var number rtp.TransportCCExtension
			if number.Unmarshal(h.GetExtension(id)) == nil {
				f.record(info.SSRC, number.TransportSequence)
			}
		}
		return n, a, nil
	})
}

// record records a packet that arrives now, and starts run with the first one.
func (f *feedback) record(ssrc uint32, number uint16) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.recorder.Record(ssrc, number, time.Since(f.started).Microseconds())
	if !f.running && !f.ended && f.writer != nil {
		f.running = true
		f.work.Go(f.run)
	}
}

// run sends feedback until Close.
func (f *feedback) run() {
	timer := time.NewTimer(feedbackInterval)
	defer timer.Stop()
	for {
		select {
		case <-f.closed:
			return
		case <-timer.C:
		}
		packets, writer, interval := f.next()
		timer.Reset(interval)
		if len(packets) == 0 {
			continue
		}
		if _, err := writer.Write(packets, nil); err != nil {
			f.log.Warnf("failed to send feedback: %v", err)
		}
	}
}

// next returns the packets to send, and the time until the next ones.
func (f *feedback) next() ([]rtcp.Packet, interceptor.RTCPWriter, time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	interval := feedbackInterval
	if !f.video {
		interval = audioFeedbackInterval
	}
	return f.recorder.BuildFeedbackPacket(), f.writer, interval
}

// Close implements interceptor.Interceptor.
func (f *feedback) Close() error {
	f.mu.Lock()
	if !f.ended {
		f.ended = true
		close(f.closed)
	}
	f.mu.Unlock()
	f.work.Wait()
	return nil
}
