package peer

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"parley/peer/internal/jsep"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"parley/peer/datachannel"
)

// separateAnswers answers a bundled offer with a transport for each section, as
// GStreamer's webrtcbin does by default. separateAnswers is a Signaler for the offerer.
type separateAnswers struct {
	*unbundledPeer
	offerer *Call
	mids    []string
	edit    func(string) string // of the answer, nil for none
}

func (p *separateAnswers) Offer(_ context.Context, offer SessionDescription) error {
	text := offer.SDP
	head, rest, _ := strings.Cut(text, "\r\nm=")
	var kept []string
	for _, line := range strings.Split(head, "\r\n") {
		if !strings.HasPrefix(line, "a=group") {
			kept = append(kept, line)
		}
	}
	d, err := jsep.Parse(strings.Join(kept, "\r\n") + "\r\nm=" + rest)
	if err != nil {
		return err
	}
	var answers []string
	p.mids = nil
	for i, sections := range d.Transports() {
		part := d.Part(sections)
		p.mids = append(p.mids, part.Sections[0].Mid)
		pc := p.pcs[i]
		if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: asText(p.t)(part.SDP(), nil)}); err != nil {
			return err
		}
		answer, err := pc.CreateAnswer(nil)
		if err != nil {
			return err
		}
		complete := webrtc.GatheringCompletePromise(pc)
		if err := pc.SetLocalDescription(answer); err != nil {
			return err
		}
		<-complete
		answers = append(answers, pc.LocalDescription().SDP)
	}
	whole, err := joined(d, p.ownFingerprints(answers))
	if p.edit != nil {
		whole = p.edit(whole)
	}
	p.offerer.DeliverAnswer(SessionDescription{SDP: whole})
	return err
}

// joined is the answer of these answers to the parts of an offer.
func joined(d *jsep.Description, answers []string) (string, error) {
	layout := jsep.Layout[int]{}
	var parts []jsep.Part[int]
	var locals []jsep.Local[int]
	for i, answer := range answers {
		parsed, err := jsep.Unmarshal(answer)
		if err != nil {
			return "", err
		}
		locals = append(locals, jsep.Local[int]{Transport: i + 1, SDP: parsed})
		parts = append(parts, jsep.Part[int]{Description: d.Part(d.Transports()[i]), Transport: i + 1})
	}
	layout.Record(d, parts)
	whole, err := layout.Merge(locals)
	if err != nil {
		return "", err
	}
	return jsep.Marshal(whole)
}

// ownFingerprints moves those of the sessions, one for each transport, into the sections.
func (p *separateAnswers) ownFingerprints(answers []string) []string {
	for i, text := range answers {
		fingerprint := "a=fingerprint:" + attributeOf(text, "fingerprint") + "\r\n"
		head, section, _ := strings.Cut(strings.Replace(text, fingerprint, "", 1), "\r\nm=")
		answers[i] = head + "\r\nm=" + section + fingerprint
	}
	return answers
}

func (p *separateAnswers) Answer(context.Context, SessionDescription) error { return nil }
func (p *separateAnswers) Leave(context.Context) error                      { return nil }

// Candidate gives a candidate to the transport that it is for, and to no other.
func (p *separateAnswers) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	for i, mid := range p.mids {
		if c.SDPMid != nil && *c.SDPMid == mid {
			return p.pcs[i].AddICECandidate(c)
		}
	}
	return nil // before the answer
}

func TestAnAnswerWithoutBundle(t *testing.T) { answeredApart(t, nil) }

// Nor need it declare the SSRC of what comes.
func TestUnsignaledAnswerWithoutBundle(t *testing.T) { answeredApart(t, undeclared) }

func answeredApart(t *testing.T, edit func(answer string) string) {
	p := &separateAnswers{unbundledPeer: newUnbundledPeer(t), edit: edit}
	arrived := make(chan *webrtc.TrackRemote, 1)
	p.pcs[1].OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { arrived <- track })
	track := testTrack(t, webrtc.MimeTypeOpus)
	if _, err := p.pcs[1].AddTrack(track); err != nil {
		t.Fatal(err)
	}
	p.pcs[0].OnDataChannel(func(ch *webrtc.DataChannel) {
		ch.OnMessage(func(m webrtc.DataChannelMessage) { _ = ch.SendText("received " + string(m.Data)) })
	})
	announced := make(chan string, 2) // before and after the answer
	record := &wire{filter: func(kind, text string) (string, bool) {
		if kind == "offer" {
			announced <- text
		}
		return text, false
	}}
	s := newSide(t, "terminal", Config{
		Caller: true, Channels: []datachannel.Options{{Label: "channel1"}}, Signaler: signalers{record, p},
		Media: MediaConfig{Tracks: []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeOpus)}},
	})
	p.offerer = s.call
	s.call.Say("hello")
	s.start()
	s.awaitConnected()
	s.awaitText("received hello")
	feed(t, s)
	got := <-arrived
	var origin [2]sdp.Origin
	for i := range origin {
		text := <-announced
		if ssrc, _, _ := strings.Cut(attributeOf(text, "ssrc"), " "); ssrc != fmt.Sprint(uint32(got.SSRC())) {
			t.Errorf("the track came with SSRC %d, and %s was announced", got.SSRC(), ssrc)
		}
		var parsed sdp.SessionDescription
		if err := parsed.UnmarshalString(text); err != nil {
			t.Fatal(err)
		}
		origin[i] = parsed.Origin
	}
	if origin[0].SessionID != origin[1].SessionID || origin[0].SessionVersion >= origin[1].SessionVersion {
		t.Errorf("our offers are of %v and then of %v", origin[0], origin[1])
	}
	feedTrack(t, track)
	if e := await(s, func(TrackReceived) bool { return true }); e.Track.Codec().MimeType != webrtc.MimeTypeOpus || e.Local == nil {
		t.Errorf("%s came, beside %v", e.Track.Codec().MimeType, e.Local)
	}
	if len(s.call.Stats().Tracks) != 1 {
		t.Errorf("statistics of %d tracks, want 1", len(s.call.Stats().Tracks))
	}
}

// A channel that was asked for before the connection was replaced opens on the
// one that takes its place.
func TestRequestedChannelSurvivesAReplacedConnection(t *testing.T) {
	var a, b *side
	line := []datachannel.Options{{Label: "channel1"}}
	a = newSide(t, "alice", Config{Caller: true, Impolite: true, Channels: line, Signaler: &wire{to: func() *Call { return b.call }}})
	b = newSide(t, "bob", Config{Caller: true, Channels: line, Signaler: &wire{to: func() *Call { return a.call }}})
	opened := make(chan error, 1)
	go func() {
		ch, err := b.call.OpenChannel(t.Context(), datachannel.Options{Label: "wanted"})
		if err == nil {
			err = ch.Write(t.Context(), []byte("hello"), true)
		}
		opened <- err
	}()
	b.start()
	await(b, func(e CandidateFound) bool { return !e.Remote }) // its own offer is out
	a.start()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	a.awaitText("hello")
}
