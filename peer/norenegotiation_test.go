package peer

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// publisher sets the config of a call as a WHIP client makes it, and of its peer. offers counts the
// offers of the caller, of which those from refused on are not delivered but rejected.
func publisher(t *testing.T, caller, answerer *Config, offers *atomic.Int32, refused int32) (video webrtc.TrackLocal) {
	video = testTrack(t, webrtc.MimeTypeVP8)
	caller.NoRenegotiation, caller.Channels = true, nil
	caller.Media = MediaConfig{Tracks: []webrtc.TrackLocal{video}, SendOnly: true}
	out, back := caller.Signaler.(*wire), answerer.Signaler.(*wire)
	out.foreign, back.foreign = true, true
	out.filter = func(kind, payload string) (string, bool) {
		if kind != "offer" {
			return payload, true
		}
		if n := offers.Add(1); n >= refused {
			back.to().DeliverRejection("not implemented")
			return "", false
		}
		if !strings.Contains(payload, "a=sendonly") || strings.Contains(payload, "a=sendrecv") || strings.Contains(payload, "m=application") {
			t.Errorf("want an offer of sendonly m-sections without data, got %s", payload)
		}
		if !strings.Contains(payload, "a=mid:0\r\n") { // MediaMTX takes no candidates of a mid that is no number
			t.Errorf("want the mid 0 in the offer, got %s", payload)
		}
		return payload, true
	}
	return video
}

func TestNoRenegotiation(t *testing.T) {
	var offers atomic.Int32
	var video webrtc.TrackLocal
	a, b := pair(t, func(caller, answerer *Config) { video = publisher(t, caller, answerer, &offers, 3) })
	a.awaitConnected()
	b.awaitConnected()
	ctx := context.Background()
	_, channel := a.call.OpenChannel(ctx, datachannel.Options{Label: "x"})
	for name, err := range map[string]error{
		"AddTrack":    a.call.AddTrack(ctx, testTrack(t, webrtc.MimeTypeOpus)),
		"Hold":        a.call.Hold(ctx, true),
		"PauseTrack":  a.call.PauseTrack(ctx, video, true),
		"RemoveTrack": a.call.RemoveTrack(ctx, video),
		"OpenChannel": channel,
	} {
		if !errors.Is(err, errOneOffer) {
			t.Errorf("%s: got %v, want %v", name, err, errOneOffer)
		}
	}
	if err := a.call.Mute(ctx, video, true); err != nil {
		t.Errorf("Mute: %v", err)
	}
	if n := offers.Load(); n != 1 {
		t.Errorf("got %d offers, want 1", n)
	}
	a.call.RestartICE()
	await(a, func(e SignalingStateChanged) bool {
		return e.State == webrtc.SignalingStateStable && happenings(a, func(SignalingStateChanged) bool { return true }) >= 4
	})
	a.call.RestartICE() // the third offer, which is rejected
	await(a, func(e Warned) bool { return strings.Contains(e.Text, "not implemented") })
	if n := happenings(a, func(e StateChanged) bool { return e.State == webrtc.PeerConnectionStateFailed }); n != 0 {
		t.Error("the call failed after a restart that was rejected")
	}
	a.call.Hangup()
	if end, err := a.awaitEnd(); end != Left || err != nil {
		t.Errorf("got %v, %v", end, err)
	}
}

// A first offer that is rejected ends the call with the reason.
func TestFirstOfferRejected(t *testing.T) {
	var offers atomic.Int32
	a, _ := pair(t, func(caller, answerer *Config) { publisher(t, caller, answerer, &offers, 1) })
	_, err := a.awaitEnd()
	var failed *Error
	if !errors.As(err, &failed) || failed.Stage != Negotiation || !strings.Contains(err.Error(), "not implemented") {
		t.Errorf("got %v", err)
	}
}

// With GatherAfterAnswer no candidate is found before the answer has been applied.
func TestGatherAfterAnswer(t *testing.T) {
	var offers atomic.Int32
	var answered, early atomic.Bool
	a, b := pair(t, func(caller, answerer *Config) {
		publisher(t, caller, answerer, &offers, 2)
		caller.ICE.GatherAfterAnswer = true
		caller.OnEvent = func(e Event) {
			if found, ok := e.(CandidateFound); ok && !found.Remote && !answered.Load() {
				early.Store(true)
			}
		}
		answerer.Signaler.(*wire).see = func(string, SessionDescription) { answered.Store(true) }
	})
	a.awaitConnected()
	b.awaitConnected()
	if early.Load() {
		t.Error("a candidate was found before the answer")
	}
}
