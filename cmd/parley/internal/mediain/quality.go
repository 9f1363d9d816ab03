package mediain

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/media"
	"parley/media/decoder"
	"parley/media/quality"
	"parley/media/testsignal"
	"parley/peer"
)

// QualityFacts returns the values of a report by the names of QualityKeys, without those that were
// not measured.
func QualityFacts(q quality.Report) map[string]float64 {
	facts := map[string]float64{}
	put := func(key string, v *float64) {
		if v != nil {
			facts[key] = float64(int64(*v*100)) / 100 // more would be noise
		}
	}
	if q.FrameIDs > 0 {
		maps.Copy(facts, map[string]float64{"video.frames.identified": float64(q.FrameIDs), "video.frames.lost": float64(q.Missing), "video.loss-bursts": float64(q.Gaps), "video.frames.repeated": float64(q.Repeated)})
	}
	if q.Timecodes > 0 {
		facts["audio.markers"] = float64(q.Timecodes)
	}
	put("video.freeze.max", q.MaxFreeze)
	put("video.psnr", q.PSNR)
	put("audio.gap", q.MaxAudioGap)
	put("av-sync", q.Sync)
	for key, s := range map[string]*quality.Percentiles{"video.latency": q.VideoLatency, "audio.latency": q.AudioLatency} {
		if s != nil {
			put(key, &s.Median)
			put(key+".p95", &s.P95)
		}
	}
	return facts
}

// MeasurementsOf returns m with the measurements that checks need added.
func MeasurementsOf(m Measurements, checks []event.Check) Measurements {
	for _, c := range checks {
		m.Tone = m.Tone || c.Key == "audio.tone"
		m.Quality = m.Quality || IsQuality(c.Key)
	}
	return m
}

// newAnalyzer returns the analyzer of a call, nil if no check needs one: it decodes all frames.
func (r *Receivers) newAnalyzer() *quality.Analyzer {
	if !r.Measurements.Quality {
		return nil
	}
	o := quality.AnalyzerOptions{Epoch: r.Epoch, FrameRate: r.Test.FrameRate, Width: r.Test.Width, Height: r.Test.Height, CompareEvery: 5, Changed: r.Changes.Post}
	if o.FrameRate == 0 {
		o.FrameRate = testsignal.DefaultFrameRate
	}
	if o.Width == 0 {
		o.Width, o.Height = testsignal.DefaultWidth, testsignal.DefaultHeight
	}
	return quality.NewAnalyzer(o)
}

// analyzeTrack returns the sink by which the analyzer gets a received track, nil for none.
func (r *Receivers) analyzeTrack(e peer.TrackReceived, request func()) media.FrameSink {
	if r.Analyzer == nil {
		return nil
	}
	if e.Track.Kind() == webrtc.RTPCodecTypeAudio {
		return r.Analyzer.AudioSink(r.Epoch.Time())
	}
	sink, viewer := r.Analyzer.VideoSink(r.Epoch.Time(), decoder.ViewerOptions{
		NewDecoder: NewDecoder, RequestKeyFrame: request, Logger: r.Logger, Warn: r.Warn,
	})
	r.work.Go(func() { viewer.Run(r.ctx) })
	return sink
}

// Quality returns the values of QualityKeys up to now, nil without an analyzer or a connection.
func (r *Receivers) Quality() map[string]float64 {
	if r.Analyzer == nil || !r.Connected() {
		return nil
	}
	return QualityFacts(r.Analyzer.Report(time.Since(r.Epoch.Time())))
}

// QualityFields returns the values of Quality as fields of an event: video, audio and av_sync.
func QualityFields(q map[string]float64) []event.Field {
	var fields []event.Field
	for _, kind := range []string{"video", "audio"} {
		var part []event.Field
		for _, key := range slices.Sorted(maps.Keys(q)) {
			if name, ok := strings.CutPrefix(key, kind+"."); ok {
				part = append(part, event.Field{Key: strings.NewReplacer(".", "_", "-", "_").Replace(name), Value: q[key]})
			}
		}
		if part != nil {
			fields = append(fields, event.Field{Key: kind, Value: part})
		}
	}
	if v, ok := q["av-sync"]; ok {
		fields = append(fields, event.Field{Key: "av_sync", Value: v})
	}
	return fields
}
