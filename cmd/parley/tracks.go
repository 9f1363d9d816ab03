package main

import (
	"context"
	"strings"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/sanitize"
	"parley/media/device"
	"parley/media/localtrack"
	"parley/media/source"
	"parley/peer"
	"parley/peer/track"
)

// What a call asks of its tracks is what media offers.
var (
	_ track.KeyFrameRequester = source.KeyFrameRequester(nil)
	_ track.KeyFrameRequester = (*localtrack.Forwarder)(nil)
	_ track.CodecReporter     = source.Source(nil)
)

// openMedia opens what is sent and where is recorded, before anybody is called:
// a missing file should not cost a call. offer is what an echo answers.
func (c *session) openMedia(ctx context.Context, offer *peer.Description) error {
	if c.echo {
		c.mirror(offer)
	}
	if err := c.openSources(ctx); err != nil {
		return err
	}
	return c.openRecorder(offer)
}

// openSources opens what --video and --audio name. Where both name the same stream it is opened once, and its tracks share
// one schedule.
func (c *session) openSources(ctx context.Context) error {
	if c.video == c.audio && c.video != "" && c.video != "test" && !device.Names(c.video) {
		video, audio, err := source.Open(c.video, c.videoOptions(ctx), c.audioOptions(ctx))
		if err == nil {
			c.sources = append(c.sources, video, audio)
		}
		return err
	}
	if c.video != "" {
		s, err := c.openVideo(ctx, c.video)
		if err != nil {
			return err
		}
		c.sources = append(c.sources, s)
	}
	if c.audio != "" {
		s, err := c.openAudio(ctx, c.audio)
		if err != nil {
			return err
		}
		c.sources = append(c.sources, s)
	}
	return nil
}

func (c *session) videoOptions(ctx context.Context) source.VideoOptions {
	return source.VideoOptions{
		Width: c.width, Height: c.height, FrameRate: c.rate, Bitrate: c.bitrate, Loop: c.loop, Logger: c.logger,
		NewEncoder: device.NewEncoder(c.encode), Stdin: c.stdin, Opening: ctx, Epoch: c.epoch,
	}
}

func (c *session) audioOptions(ctx context.Context) source.AudioOptions {
	return source.AudioOptions{Loop: c.loop, Stdin: c.stdin, Opening: ctx, Epoch: c.epoch, Logger: c.logger}
}

func (c *session) openVideo(ctx context.Context, spec string) (source.Source, error) {
	if !device.Names(spec) && !c.encodesTest(spec) {
		return source.OpenVideo(spec, c.videoOptions(ctx))
	}
	return c.devices.OpenVideo(spec, device.VideoOptions{
		Codec: c.encode, Width: c.width, Height: c.height, FrameRate: c.rate, Bitrate: c.bitrate, Simulcast: c.simulcast,
		Warn: c.tellDevice, Logger: c.logger,
	})
}

// encodesTest tells if the test picture has to come from an encoder of this build: by itself it is VP8, each picture a key
// frame, in one size.
func (c *session) encodesTest(spec string) bool {
	other := c.encode != "" && c.encode != webrtc.MimeTypeVP8
	return spec == "test" && (other || c.simulcast || c.bitrate > 0 && len(device.Codecs()) > 0)
}

func (c *session) openAudio(ctx context.Context, spec string) (source.Source, error) {
	if !device.Names(spec) {
		return source.OpenAudio(spec, c.audioOptions(ctx))
	}
	return c.devices.OpenAudio(spec, device.AudioOptions{Rate: c.audioRate, Warn: c.tellDevice, Logger: c.logger})
}

// tellDevice passes on what a device has to say; its names are not to be trusted.
func (c *session) tellDevice(sentence string) { c.report.Warnf("%s", sanitize.Text(sentence)) }

// mirror makes a mirror for each section in which something comes and may go
// back.
func (c *session) mirror(offer *peer.Description) {
	for _, s := range offer.Sections {
		if s.Kind != 0 && !s.Rejected && s.Sends() && s.Receives() {
			c.mirrors = append(c.mirrors, localtrack.NewForwarder(s.Kind, localtrack.ForwarderOptions{Logger: c.logger}))
		}
	}
}

// mirrorLate sends back what was added in mid-call, which the other side has to
// agree to.
func (c *session) mirrorLate(kind webrtc.RTPCodecType) *localtrack.Forwarder {
	m := localtrack.NewForwarder(kind, localtrack.ForwarderOptions{Logger: c.logger})
	c.call.AddTrack(m, func(err error) {
		if err != nil && c.ctx.Err() == nil {
			c.logger.Debug("what was added is not sent back", "error", err)
		}
	})
	return m
}

func (c *session) tracks() []webrtc.TrackLocal {
	var tracks []webrtc.TrackLocal
	for _, s := range c.sources {
		tracks = append(tracks, s)
	}
	for _, m := range c.mirrors {
		tracks = append(tracks, m)
	}
	return tracks
}

func (c *session) closeMedia() {
	c.cancel()
	c.closeEmulator()
	for _, s := range c.sources {
		_ = s.Close() // files that were read
	}
	c.mu.Lock()
	left := c.playing
	c.playing = nil
	c.mu.Unlock()
	for _, end := range left {
		end()
	}
	c.releaseRecordings()
}

// codecName is the name of a codec as people say it, whatever case the other
// side wrote it in.
func codecName(mime string) string {
	_, name, _ := strings.Cut(mime, "/")
	if strings.EqualFold(name, "opus") {
		return "opus"
	}
	return strings.ToUpper(name)
}
