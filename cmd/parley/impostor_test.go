package main

import (
	"context"
	"regexp"
	"strings"

	"github.com/pion/webrtc/v4"
	"github.com/rogpeppe/go-internal/testscript"

	"parley/signal"
	"parley/signal/client"
)

// impostor NAME garbled|unsafe|terse signs in as NAME and answers one call badly:
// with no description, or with one whose certificate is another's; or well, but
// takes no message of more than 1000 bytes.
func impostor(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithCancel(context.Background())
	client, err := client.Dial(ctx, ts.Getenv("PARLEY_SERVER"), nil)
	ts.Check(err)
	ts.Check(client.Login(ctx, args[0]))
	done := make(chan struct{})
	ts.Defer(func() { cancel(); <-done })
	go func() {
		defer close(done)
		defer client.Close()
		pc, err := impostorConnection(false)
		if err != nil {
			return
		}
		defer func() { _ = pc.GracefulClose() }()
		for {
			m, err := client.Receive(ctx)
			if err != nil {
				return
			}
			if m.Type != signal.Offer {
				continue
			}
			sdp := "v=0\r\nnonsense"
			switch args[1] {
			case "unsafe":
				sdp = wrongFingerprint(pc, m.SDP)
			case "terse":
				// Pion closes a channel that nobody takes
				pc.OnDataChannel(func(ch *webrtc.DataChannel) { ch.OnMessage(func(webrtc.DataChannelMessage) {}) })
				sdp = regexp.MustCompile(`a=max-message-size:\d+`).ReplaceAllString(completeAnswer(pc, m.SDP), "a=max-message-size:1000")
			}
			_ = client.Send(ctx, signal.Message{Type: signal.Answer, Peer: m.Peer, SDP: sdp})
		}
	}()
}

func impostorConnection(unverified bool, options ...func(*webrtc.API)) (*webrtc.PeerConnection, error) {
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	settings.DisableCertificateFingerprintVerification(unverified)
	return webrtc.NewAPI(append(options, webrtc.WithSettingEngine(settings))...).NewPeerConnection(webrtc.Configuration{})
}

// wrongFingerprint is a complete answer but for the fingerprint, "" if it
// cannot be made.
func wrongFingerprint(pc *webrtc.PeerConnection, offer string) string {
	fingerprint := regexp.MustCompile(`a=fingerprint:sha-256 \S+`)
	return fingerprint.ReplaceAllString(completeAnswer(pc, offer), "a=fingerprint:sha-256 "+strings.Repeat("00:", 31)+"00")
}

// completeAnswer is an answer with all candidates, "" if it cannot be made.
func completeAnswer(pc *webrtc.PeerConnection, offer string) string {
	if pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}) != nil {
		return ""
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return ""
	}
	complete := webrtc.GatheringCompletePromise(pc)
	if pc.SetLocalDescription(answer) != nil {
		return ""
	}
	<-complete
	return pc.LocalDescription().SDP
}
