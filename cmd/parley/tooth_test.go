package main

import (
	"context"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/control"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/signaling"
	"parley/signal"
	"parley/signal/client"
)

// A fault is what is wrong with a peer that is broken on purpose; it is an echo
// but for that.
type fault struct {
	unanswered, withheld, wrong bool // of signaling
	unverified                  bool // takes any certificate
	swapped                     bool // a message goes back on the other of two channels
	frozen, silent              bool
	deaf                        bool // says nothing of what is lost
	lying                       bool // cooperates as a parley would, reports what is not so, and does nothing it is asked
	loss                        float64
}

// TestTeeth: peers that are broken on purpose get the right verdict from the
// right scenario, and no other one for what they can.
func TestTeeth(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault
		fails, passes []string
	}{
		"none":                   {fault{}, nil, []string{"answers", "connects", "dtls-connects", "ice-candidates", "audio-tone-comes-back", "video-moves", "channels-apart", "audio-loss", "video-loss"}},
		"answer never sent":      {fault{unanswered: true}, []string{"answers"}, nil},
		"wrong fingerprint":      {fault{wrong: true}, []string{"dtls-connects", "connects"}, []string{"answers", "ice-candidates"}},
		"unverified certificate": {fault{unverified: true}, []string{"wrong-fingerprint"}, []string{"connects", "lower-fingerprint"}},
		"candidates withheld":    {fault{withheld: true}, []string{"ice-candidates"}, []string{"answers"}},
		"frozen video":           {fault{frozen: true}, []string{"video-moves", "video-fluent", "video-whole"}, []string{"video-comes", "connects"}},
		"silence":                {fault{silent: true}, []string{"audio-tone-comes-back", "audio-gapless"}, []string{"audio-comes", "connects"}},
		"swapped channels":       {fault{swapped: true}, []string{"channels-apart"}, []string{"text-comes-back"}},
		"no feedback":            {fault{deaf: true}, []string{"impaired-nack", "impaired-report"}, []string{"connects", "impaired-text"}},
		"lies": {fault{lying: true}, []string{"parley-codes", "parley-state", "parley-hears", "parley-restarts", "parley-offers", "parley-repeated-offer"},
			[]string{"connects", "answer-profile"}},
		"loss": {fault{loss: 0.3}, []string{"audio-loss", "video-loss", "video-whole"}, []string{"connects", "text-comes-back"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := patientServer(t)
			brokenEcho(t, server, test.fault)
			level := map[bool]string{true: "parley", false: "echo"}[test.lying]
			p := probeIt(t, server, slices.Concat([]string{"--peer-type", level, "--parallel", "3", "--timeout", "10s", "broken"}, test.fails, test.passes)...)
			for _, s := range test.fails {
				if p.verdict[s] != "fail" {
					t.Errorf("%s: %q, it should fail", s, p.verdict[s])
				}
			}
			for _, s := range test.passes {
				if p.verdict[s] != "pass" {
					t.Errorf("%s: %q, it should pass: %v", s, p.verdict[s], p.bad())
				}
			}
			if want := map[bool]exit.Code{true: exit.OK, false: exit.Expectation}[len(test.fails) == 0]; p.code != want {
				t.Errorf("exit code %d, want %d", p.code, want)
			}
		})
	}
}

// brokenEcho answers calls to "broken" until the test ends.
func brokenEcho(t *testing.T, server string, f fault) {
	ctx, cancel := context.WithCancel(context.Background())
	client, err := client.Dial(ctx, server, nil)
	if err == nil {
		err = client.Login(ctx, "broken")
	}
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	b := &broken{fault: f, ctx: ctx, client: client, calls: map[string]*webrtc.PeerConnection{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.serve()
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = client.Close()
		b.work.Wait()
	})
}

type broken struct {
	fault
	ctx    context.Context
	client *client.Client
	calls  map[string]*webrtc.PeerConnection // of serve
	work   sync.WaitGroup
}

// serve takes messages until the end.
func (b *broken) serve() {
	defer func() {
		for name := range b.calls {
			b.hangUp(name)
		}
	}()
	for {
		m, err := b.client.Receive(b.ctx)
		if err != nil {
			return
		}
		pc := b.calls[m.Peer]
		switch {
		case m.Type == signal.Offer:
			b.hangUp(m.Peer)
			if pc, err := b.answer(m); err == nil {
				b.calls[m.Peer] = pc
			}
		case m.Type == signal.Leave:
			b.hangUp(m.Peer)
		case m.Type == signal.ICECandidate && pc != nil:
			_ = pc.AddICECandidate(signaling.CandidateInit(m.Candidate))
		}
	}
}

func (b *broken) hangUp(name string) {
	if pc := b.calls[name]; pc != nil {
		_ = pc.GracefulClose()
		delete(b.calls, name)
	}
}

func (b *broken) answer(m signal.Message) (*webrtc.PeerConnection, error) {
	var options []func(*webrtc.API)
	if b.deaf {
		options = append(options, webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	}
	pc, err := impostorConnection(b.unverified, options...)
	if err != nil {
		return nil, err
	}
	b.echoData(pc)
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c == nil || b.withheld || b.unanswered {
			return
		}
		init := c.ToJSON()
		_ = b.client.Send(b.ctx, signal.Message{Type: signal.ICECandidate, Peer: m.Peer, Candidate: &signal.Candidate{Candidate: init.Candidate, SDPMid: init.SDPMid, SDPMLineIndex: init.SDPMLineIndex}})
	})
	if err := b.echoMedia(pc, m.SDP); err != nil {
		return pc, err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil || b.unanswered {
		return pc, err
	}
	sdp := answer.SDP
	var extension *signal.Extension
	if b.lying && m.Extension != nil {
		extension = &signal.Extension{Version: signal.ExtensionVersion, Number: m.Extension.Number}
	}
	if b.wrong {
		sdp = regexp.MustCompile(`a=fingerprint:sha-256 \S+`).ReplaceAllString(sdp, "a=fingerprint:sha-256 "+strings.Repeat("00:", 31)+"00")
	}
	if err := b.client.Send(b.ctx, signal.Message{Type: signal.Answer, Peer: m.Peer, SDP: sdp, Extension: extension}); err != nil {
		return pc, err
	}
	return pc, pc.SetLocalDescription(answer)
}

// lies are what a call does not look like from the other end.
const lies = `{"event":"code","code":"00000 00000 00000 00000 00000 00000","connection":"failed","tracks":[{"direction":"in","kind":"audio","tone":1000}]}`

// echoData sends messages back; swapped, on the channel that opened before or
// after.
func (b *broken) echoData(pc *webrtc.PeerConnection) {
	var mu sync.Mutex
	var channels []*webrtc.DataChannel
	pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		mu.Lock()
		at := len(channels)
		channels = append(channels, dc)
		mu.Unlock()
		if b.lying && dc.Protocol() == control.Protocol {
			dc.OnOpen(func() { _ = dc.SendText(lies) })
			dc.OnMessage(func(m webrtc.DataChannelMessage) {
				cmd, _ := session.ParseCommand(m.Data)
				_ = dc.SendText(string(session.ReplyEvent("prober", cmd, nil).Line(time.Now())))
			})
			return
		}
		dc.OnMessage(func(m webrtc.DataChannelMessage) {
			mu.Lock()
			back := dc
			if b.swapped && at > 0 {
				back = channels[3-at] // 1 and 2; 0 is the call's own
			}
			mu.Unlock()
			if m.IsString {
				_ = back.SendText(string(m.Data))
			} else {
				_ = back.Send(m.Data)
			}
		})
	})
}

// echoMedia takes the offer and sends back what comes, with the fault.
func (b *broken) echoMedia(pc *webrtc.PeerConnection, offer string) error {
	back := map[webrtc.RTPCodecType]*webrtc.TrackLocalStaticRTP{}
	for kind, mime := range map[webrtc.RTPCodecType]string{webrtc.RTPCodecTypeAudio: webrtc.MimeTypeOpus, webrtc.RTPCodecTypeVideo: webrtc.MimeTypeVP8} {
		t, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, kind.String(), "broken")
		if err != nil {
			return err
		}
		back[kind] = t
	}
	pc.OnTrack(func(in *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		b.work.Go(func() { b.reflect(in, back[in.Kind()]) })
	})
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		return err
	}
	for _, t := range pc.GetTransceivers() {
		track := back[t.Kind()]
		if track == nil || t.Direction() == webrtc.RTPTransceiverDirectionInactive {
			continue
		}
		if _, err := pc.AddTrack(track); err != nil {
			return err
		}
	}
	return nil
}

// reflect sends packets back until the track ends.
func (b *broken) reflect(in *webrtc.TrackRemote, out *webrtc.TrackLocalStaticRTP) {
	dice := rand.New(rand.NewPCG(1, 2)) // the same losses each time
	still := &still{out: out}
	for {
		p, _, err := in.ReadRTP()
		if err != nil {
			return
		}
		p.Extension, p.Extensions = false, nil
		video := in.Kind() == webrtc.RTPCodecTypeVideo
		if b.silent && !video {
			p.Payload = []byte{0xf8, 0xff, 0xfe} // 20 ms of silence (RFC 6716 §3.1)
		}
		if b.loss > 0 && dice.Float64() < b.loss {
			continue
		}
		if b.frozen && video {
			err = still.write(p)
		} else {
			err = out.WriteRTP(p)
		}
		if err != nil {
			return
		}
	}
}

// still sends the first frame again and again, at the pace of those that come.
type still struct {
	out    *webrtc.TrackLocalStaticRTP
	first  [][]byte // packets of the first frame
	whole  bool
	number uint16
}

func (s *still) write(p *rtp.Packet) error {
	if !s.whole {
		s.first, s.whole, s.number = append(s.first, p.Payload), p.Marker, p.SequenceNumber
		return s.out.WriteRTP(p)
	}
	if !p.Marker {
		return nil
	}
	for i, payload := range s.first {
		s.number++
		again := *p
		again.SequenceNumber, again.Payload, again.Marker = s.number, payload, i == len(s.first)-1
		if err := s.out.WriteRTP(&again); err != nil {
			return err
		}
	}
	return nil
}
