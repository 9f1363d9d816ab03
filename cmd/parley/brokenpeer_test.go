//go:build !quick

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
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
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/probe/sdptext"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/signaling"
	"parley/signal"
	"parley/signal/client"
	"parley/signal/turnserver"
)

// A fault is what is wrong with a peer that is broken on purpose. But for that it is an echo.
type fault struct {
	unanswered, withheld, wrong bool                                  // of signaling
	changeAnswer                func(offer, answer []sdptext.Section) // changes its answers, nil for none
	strict                      bool                                  // hangs up at offers and candidates that are unlike those of the first call
	leaving                     bool                                  // hangs up soon after the call is connected
	unverified                  bool                                  // takes any certificate
	swapped                     bool                                  // a message goes back on the other of two channels
	firstChannelOnly            bool                                  // messages of other channels do not go back
	mistyped                    bool                                  // text goes back as bytes, and bytes as text
	truncating                  bool                                  // of a message 500 bytes go back
	frozen, silent, mediaLess   bool
	looping                     bool                                  // sends the first audio again and again, whatever comes
	delays                      map[webrtc.RTPCodecType]time.Duration // of what goes back
	deaf                        bool                                  // reports nothing of what is lost
	lying                       bool                                  // cooperates as a parley would, reports what is not so, and does nothing it is asked
	agreeing                    bool                                  // answers later offers of a call, whatever they say
	calling                     bool                                  // calls the prober, and takes no answer
	loss                        float64
}

// invalidAnswer violates what an answer has to be in each line that a scenario checks.
func invalidAnswer(_, answer []sdptext.Section) {
	for i := range answer {
		s := &answer[i]
		for j, line := range s.Lines {
			switch {
			case strings.HasPrefix(line, "o="):
				s.Lines[j] = "o=- x"
			case strings.HasPrefix(line, "m=audio"), strings.HasPrefix(line, "m=video"):
				s.Lines[j] = "m=" + s.Kind + " 9 RTP/AVP 96"
			case strings.HasPrefix(line, "m=application"):
				s.Lines[j] = "m=application 9 DTLS/SCTP 5000"
			case strings.HasPrefix(line, "a=setup:"):
				s.Lines[j] = "a=setup:actpass"
			case strings.HasPrefix(line, "a=fingerprint:"):
				s.Lines[j] = "a=fingerprint:sha-1 00:11"
			case strings.HasPrefix(line, "a=ice-pwd:"):
				s.Lines[j] = "a=ice-pwd:short"
			}
		}
	}
	sdptext.Drop(answer, "a=group:", "a=rtcp-mux", "a=ice-options:", "a=rtpmap:", "a=rtcp-fb:", "a=sendrecv", "a=recvonly", "a=max-message-size:")
	sdptext.AddToMedia(answer, "a=rtpmap:96 X-NOT-OFFERED/90000")
	sdptext.AddToMedia(answer, "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+strings.Repeat("A", 40))
	sdptext.AddToMedia(answer, "a=sendonly")
	answer[len(answer)-1].Lines = append(answer[len(answer)-1].Lines, "a=max-message-size:1000")
	answer[1], answer[2] = answer[2], answer[1]
}

// partlyBundled leaves the section of data out of the bundle.
func partlyBundled(_, answer []sdptext.Section) {
	for i, line := range answer[0].Lines {
		if strings.HasPrefix(line, "a=group:BUNDLE") {
			answer[0].Lines[i] = line[:strings.LastIndex(line, " ")]
		}
	}
}

// partlyUnprotected answers the section of video without encryption.
func partlyUnprotected(_, answer []sdptext.Section) {
	for i := range answer {
		if s := &answer[i]; s.Kind == "video" {
			s.Lines[0] = strings.Replace(s.Lines[0], "UDP/TLS/RTP/SAVPF", "RTP/AVP", 1)
		}
	}
}

// adoptAll accepts what a peer has to leave out of an answer.
func adoptAll(offer, answer []sdptext.Section) {
	for i := range min(len(offer), len(answer)) {
		for _, line := range offer[i].Lines {
			if strings.HasPrefix(line, "a=crypto:") || strings.HasPrefix(line, "a=rtpmap:63 ") {
				answer[i].Lines = append(answer[i].Lines, line)
			}
		}
		if k := answer[i].Kind; (k == "audio" || k == "video") && answer[i].Port == "0" {
			answer[i].Lines[0] = strings.Replace(answer[i].Lines[0], "m="+k+" 0", "m="+k+" 9", 1)
		}
	}
	sdptext.AddToMedia(answer, "a=extmap:14 urn:x-not-offered")
}

// rejectData rejects the section of data.
func rejectData(_, answer []sdptext.Section) {
	for i := range answer {
		if s := &answer[i]; s.Kind == "application" {
			s.Lines[0] = "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"
		}
	}
}

// alwaysSetup answers with a role whatever was offered.
func alwaysSetup(role string) func(_, answer []sdptext.Section) {
	return func(_, answer []sdptext.Section) {
		for i := range answer {
			for j, line := range answer[i].Lines {
				if strings.HasPrefix(line, "a=setup:") {
					answer[i].Lines[j] = "a=setup:" + role
				}
			}
		}
	}
}

// A brokenPeer is a peer with a fault, and the scenarios that find it.
type brokenPeer struct {
	fault
	fails, passes []string
}

func brokenPeers() map[string]brokenPeer {
	return map[string]brokenPeer{
		"none":              {fault{}, nil, []string{"answers", "connects", "dtls-connects", "ice-candidates", "audio-tone-comes-back", "video-moves", "channels-apart", "audio-loss", "video-loss", "answer-bundle", "answer-profile", "relay-only"}},
		"answer never sent": {fault{unanswered: true}, []string{"answers"}, nil},
		"wrong fingerprint": {fault{wrong: true}, []string{"dtls-connects", "connects", "connects-soon", "dtls-version", "ice-controlled", "ice-pair", "ice-consent", "impaired-connects", "impaired-dtls"},
			[]string{"answers", "ice-candidates"}},
		"unverified certificate": {fault{unverified: true}, []string{"wrong-fingerprint"}, []string{"connects", "lower-fingerprint"}},
		"candidates withheld":    {fault{withheld: true}, []string{"ice-candidates", "relay-only"}, []string{"answers", "connects"}},
		"invalid answer": {fault{changeAnswer: invalidAnswer}, []string{"answer-sections", "answer-mids", "answer-bundle", "answer-mux", "answer-origin", "answer-adds-nothing", "answer-profile", "dtls-role", "dtls-hash", "no-sdes",
			"ice-credentials", "trickle", "data-section", "data-limit", "audio-taken", "audio-opus", "video-taken", "video-vp8", "video-feedback", "video-retransmission"}, []string{"answers"}},
		"data outside of the bundle": {fault{changeAnswer: partlyBundled}, []string{"answer-bundle"}, []string{"answer-mids"}},
		"video without encryption":   {fault{changeAnswer: partlyUnprotected}, []string{"answer-profile"}, []string{"answer-mids"}},
		"adopts what it knows not":   {fault{changeAnswer: adoptAll}, []string{"sdes-ignored", "unknown-codec", "no-common-video", "no-extensions"}, []string{"answer-mids"}},
		"always active":              {fault{changeAnswer: alwaysSetup("active")}, []string{"setup-active"}, []string{"setup-passive", "connects"}},
		"always passive":             {fault{changeAnswer: alwaysSetup("passive")}, []string{"setup-passive"}, []string{"dtls-role"}},
		"strict": {fault{strict: true}, []string{"vanilla", "peer-reflexive", "odd-candidates", "many-candidates", "session-level", "media-level", "lower-fingerprint", "unknown-attributes", "no-ssrc", "no-msid", "no-feedback", "no-rtx",
			"audio-pcmu", "audio-pcma", "video-h264", "data-no-limit", "data-legacy"}, []string{"connects"}},
		"hangs up":           {fault{leaving: true}, []string{"stays-connected", "impaired-outage", "restart-by-us", "restart-keeps-data", "restart-keeps-media", "hold-resume", "audio-added", "video-added", "video-removed"}, []string{"answers"}},
		"no data":            {fault{changeAnswer: rejectData}, []string{"data-channel", "data-alone", "text-comes-back"}, []string{"answers"}},
		"swapped channels":   {fault{swapped: true}, []string{"channels-apart"}, []string{"text-comes-back"}},
		"first channel only": {fault{firstChannelOnly: true}, []string{"channel-unordered", "channel-unreliable", "channel-timed", "channel-protocol", "channel-closes", "channel-reopens"}, []string{"text-comes-back"}},
		"text as bytes":      {fault{mistyped: true}, []string{"text-comes-back", "text-empty", "binary-comes-back", "binary-empty"}, []string{"connects"}},
		"parts of messages":  {fault{truncating: true}, []string{"message-16k", "message-60k", "messages-in-order", "impaired-text", "impaired-order", "impaired-twice", "impaired-narrow"}, []string{"text-comes-back"}},
		"frozen video":       {fault{frozen: true}, []string{"video-moves", "video-fluent", "video-whole"}, []string{"video-comes", "connects"}},
		"silence":            {fault{silent: true}, []string{"audio-tone-comes-back", "audio-gapless"}, []string{"audio-comes", "connects"}},
		"no media":           {fault{mediaLess: true}, []string{"hold", "audio-comes", "video-comes", "video-key-frame", "video-goes-on", "video-size", "video-likeness", "impaired-audio", "impaired-video"}, []string{"connects"}},
		"looping audio":      {fault{looping: true}, []string{"audio-mute", "audio-source"}, []string{"audio-comes"}},
		"late media": {fault{delays: map[webrtc.RTPCodecType]time.Duration{webrtc.RTPCodecTypeAudio: 1500 * time.Millisecond, webrtc.RTPCodecTypeVideo: 2500 * time.Millisecond}},
			[]string{"video-latency", "audio-latency", "lip-sync"}, []string{"video-comes"}},
		"no feedback": {fault{deaf: true}, []string{"impaired-nack", "impaired-report", "audio-reports", "audio-reports-no-loss", "video-reports"}, []string{"connects"}},
		"lies": {fault{lying: true}, []string{"parley-codes", "parley-state", "parley-roles", "parley-hears", "parley-sees", "parley-counts", "parley-text", "parley-channel", "parley-hold-reported", "parley-held", "parley-mute", "parley-restarts", "parley-leaves", "parley-gap",
			"parley-offers", "parley-offers-too", "parley-offer-lost", "parley-answer-lost", "parley-repeated-offer", "parley-stale-offer", "parley-stale-answer", "parley-glare-polite", "parley-glare-impolite"},
			[]string{"connects"}},
		"lies and agrees": {fault{lying: true, agreeing: true}, []string{"parley-rejects"}, []string{"connects"}},
		"ignores answers": {fault{calling: true}, []string{"called-back"}, nil},
		"loss":            {fault{loss: 0.3}, []string{"audio-loss", "video-loss", "video-whole"}, []string{"connects", "text-comes-back"}},
	}
}

// TestBrokenPeers: a peer with a fault gets the right verdict from the scenarios that look for it,
// and no other one for what it can.
func TestBrokenPeers(t *testing.T) {
	t.Parallel()
	for name, test := range brokenPeers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := patientServer(t)
			brokenEcho(t, server, test.fault)
			peerType := map[bool]string{true: "parley", false: "echo"}[test.lying]
			args := []string{"--peer-type", peerType, "--timeout", "10s", "--ice-server", turnServer(t)}
			if test.calling { // the name that it calls
				args = append(args, "--as", "prober", "--wait-for-call", "10s")
			} else {
				args = append(args, "--parallel", "6")
			}
			for _, file := range impatientSuite(t, test.fails) {
				args = append(args, "--file", file)
			}
			p := probeIt(t, server, slices.Concat(args, []string{"broken"}, test.fails, test.passes)...)
			for _, s := range test.fails {
				if p.verdict[s] != "fail" {
					t.Errorf("%s: %q, it should fail: %v", s, p.verdict[s], p.bad())
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

// turnServer runs a TURN server that reaches this machine until the test ends, and returns its URL
// for --ice-server.
func turnServer(t *testing.T) string {
	t.Helper()
	credentials := turnserver.Credentials{Secret: "broken"}
	at := e2etest.StartTURN(t, turnserver.Options{
		Credentials: credentials, AllowedPeers: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, UserQuota: -1, AddressQuota: -1,
	})
	user, password := credentials.Make("prober")
	return fmt.Sprintf("turn:%s,%s,%s", at, user, password)
}

// patientStep matches a step that waits.
var patientStep = regexp.MustCompile(`within \d+s`)

// impatientSuite returns files with the built-in scenarios, of which some wait for 4 seconds at
// most.
func impatientSuite(t *testing.T, impatient []string) (files []string) {
	t.Helper()
	suite, err := filepath.Glob("internal/scenario/suite/*.scenario")
	if err != nil || len(suite) == 0 {
		t.Fatalf("there is no suite: %v", err)
	}
	for _, name := range suite {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(text), "\nscenario ")
		for i, part := range parts {
			if of, _, _ := strings.Cut(part, ":"); slices.Contains(impatient, of) {
				parts[i] = patientStep.ReplaceAllString(part, "within 4s")
			}
		}
		file := filepath.Join(t.TempDir(), filepath.Base(name))
		if err := os.WriteFile(file, []byte(strings.Join(parts, "\nscenario ")), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// TestScenariosHaveBrokenPeers: for each built-in scenario there is a peer that fails it.
func TestScenariosHaveBrokenPeers(t *testing.T) {
	found := map[string]bool{}
	for _, peer := range brokenPeers() {
		for _, name := range peer.fails {
			found[name] = true
		}
	}
	all, err := scenario.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if !found[s.Name] {
			t.Errorf("%s: no broken peer fails it", s.Name)
		}
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
	b := &broken{fault: f, ctx: ctx, client: client, calls: map[string]*webrtc.PeerConnection{}, held: map[string]signal.Message{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.serve()
	}()
	if f.calling {
		b.work.Go(func() {
			if err := b.callProber(); err != nil {
				t.Error(err)
			}
		})
	}
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
	work   sync.WaitGroup

	// Of serve.
	calls map[string]*webrtc.PeerConnection
	held  map[string]signal.Message // offers of calls of which no candidate has come
	usual string                    // properties of the first offer
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
		offer, held := b.held[m.Peer]
		if m.Type == signal.ICECandidate && !held && pc == nil {
			continue // of a call that is over
		}
		if held && m.Type == signal.ICECandidate {
			delete(b.held, m.Peer)
			if pc, err = b.answer(offer); err == nil {
				b.calls[m.Peer] = pc
			}
		}
		switch {
		case b.strict && b.isUnusual(m):
			b.leave(m.Peer)
		case m.Type == signal.Offer && b.strict:
			b.held[m.Peer] = m
		case m.Type == signal.Offer && (b.looping || b.agreeing) && pc != nil:
			b.answerAgain(pc, m)
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

// callProber offers a call to the prober again and again until the test ends.
func (b *broken) callProber() error {
	pc, err := impostorConnection(false)
	if err != nil {
		return err
	}
	defer func() { _ = pc.GracefulClose() }()
	if _, err := pc.CreateDataChannel("data", nil); err != nil {
		return err
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	again := time.NewTicker(100 * time.Millisecond) // the prober is there only now and then
	defer again.Stop()
	for {
		_ = b.client.Send(b.ctx, signal.Message{Type: signal.Offer, Peer: "prober", SDP: offer.SDP})
		select {
		case <-again.C:
		case <-b.ctx.Done():
			return nil
		}
	}
}

// leavingDelay is the time from the connection until a peer that does not stay hangs up.
const leavingDelay = 500 * time.Millisecond

// isUnusual reports whether an offer is unlike the first one, or a candidate is one of those that
// odd-candidates and many-candidates add.
func (b *broken) isUnusual(m signal.Message) bool {
	switch {
	case m.Type == signal.Offer:
		found := properties(m.SDP)
		b.usual = cmp.Or(b.usual, found)
		return found != b.usual
	case m.Type == signal.ICECandidate && m.Candidate != nil:
		return regexp.MustCompile(` (192\.0\.2\.1|2001:db8::1) 50001 | 198\.51\.100\.\d+ 50000 `).MatchString(m.Candidate.Candidate)
	}
	return false
}

// properties returns what an offer consists of, but for its values.
func properties(sdp string) string {
	all := map[string]bool{}
	for i, s := range sdptext.Parse(sdp) {
		all[s.Protocol] = true
		for _, line := range s.Lines {
			name, value, _ := strings.Cut(line, ":")
			switch {
			case name == "a=rtpmap":
				_, codec, _ := strings.Cut(value, " ")
				name += " " + codec
			case name == "a=setup":
				name = line
			case name == "a=fingerprint" && value != strings.ToUpper(value):
				hash, digits, _ := strings.Cut(value, " ")
				name += " " + hash
				if digits != strings.ToUpper(digits) {
					name += " in lower case"
				}
			case !strings.HasPrefix(line, "a="), name == "a=candidate", name == "a=end-of-candidates", // depend on time
				name == "a=recvonly", name == "a=sendrecv", name == "a=ssrc-group": // and on what is sent
				continue
			}
			if i == 0 {
				name = "session " + name
			}
			all[name] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(all)), "\n")
}

// leave ends a call and says so.
func (b *broken) leave(name string) {
	delete(b.held, name)
	_ = b.client.Send(b.ctx, signal.Message{Type: signal.Leave, Peer: name})
	b.hangUp(name)
}

// extension returns the extension of the answer to an offer.
func (b *broken) extension(offer signal.Message) *signal.Extension {
	if !b.lying || offer.Extension == nil {
		return nil
	}
	return &signal.Extension{Version: signal.ExtensionVersion, Number: offer.Extension.Number}
}

// answerAgain answers a later offer of a call.
func (b *broken) answerAgain(pc *webrtc.PeerConnection, m signal.Message) {
	if pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: m.SDP}) != nil {
		return
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil || pc.SetLocalDescription(answer) != nil {
		return
	}
	_ = b.client.Send(b.ctx, signal.Message{Type: signal.Answer, Peer: m.Peer, SDP: answer.SDP, Extension: b.extension(m)})
}

func (b *broken) hangUp(name string) {
	if pc := b.calls[name]; pc != nil {
		_ = pc.GracefulClose()
		delete(b.calls, name)
	}
}

// answer answers the offer of a new call. The caller closes the connection.
func (b *broken) answer(m signal.Message) (*webrtc.PeerConnection, error) {
	var options []func(*webrtc.API)
	if b.deaf {
		options = append(options, webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	}
	pc, err := impostorConnection(b.unverified, options...)
	if err != nil {
		return nil, err
	}
	if err := b.answerBy(pc, m); err != nil {
		_ = pc.GracefulClose()
		return nil, err
	}
	return pc, nil
}

// answerBy answers an offer by a new connection.
func (b *broken) answerBy(pc *webrtc.PeerConnection, m signal.Message) error {
	b.echoData(pc)
	if b.leaving {
		pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
			if s == webrtc.PeerConnectionStateConnected {
				time.AfterFunc(leavingDelay, func() { _ = b.client.Send(b.ctx, signal.Message{Type: signal.Leave, Peer: m.Peer}) })
			}
		})
	}
	pc.OnICECandidate(func(c *webrtc.ICECandidate) {
		if c == nil || b.withheld || b.unanswered {
			return
		}
		init := c.ToJSON()
		_ = b.client.Send(b.ctx, signal.Message{Type: signal.ICECandidate, Peer: m.Peer, Candidate: &signal.Candidate{Candidate: init.Candidate, SDPMid: init.SDPMid, SDPMLineIndex: init.SDPMLineIndex}})
	})
	if err := b.echoMedia(pc, m.SDP); err != nil {
		return err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil || b.unanswered {
		return err
	}
	sdp := answer.SDP
	if b.wrong {
		sdp = regexp.MustCompile(`a=fingerprint:sha-256 \S+`).ReplaceAllString(sdp, "a=fingerprint:sha-256 "+strings.Repeat("00:", 31)+"00")
	}
	if b.changeAnswer != nil {
		sections := sdptext.Parse(sdp)
		b.changeAnswer(sdptext.Parse(m.SDP), sections)
		sdp = sdptext.Format(sections)
	}
	if err := b.client.Send(b.ctx, signal.Message{Type: signal.Answer, Peer: m.Peer, SDP: sdp, Extension: b.extension(m)}); err != nil {
		return err
	}
	return pc.SetLocalDescription(answer)
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
			if b.firstChannelOnly && at > 0 {
				return
			}
			data := m.Data
			if b.truncating {
				data = data[:min(len(data), 500)]
			}
			if m.IsString != b.mistyped {
				_ = back.SendText(string(data))
			} else {
				_ = back.Send(data)
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
	write := out.WriteRTP
	if d := b.delays[in.Kind()]; d > 0 {
		later := b.delay(out)
		defer close(later)
		write = func(p *rtp.Packet) error {
			later <- delayed{p, time.Now().Add(d)}
			return nil
		}
	}
	var first [][]byte // packets of looping audio
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
		switch {
		case b.mediaLess:
		case b.looping && !video:
			if first = append(first, p.Payload); len(first) == loopLength {
				payloads := first
				b.work.Go(func() { b.loop(payloads, *p, out) })
			}
		case b.frozen && video:
			err = still.write(p)
		default:
			err = write(p)
		}
		if err != nil {
			return
		}
	}
}

// delayed is a packet that goes back later.
type delayed struct {
	packet *rtp.Packet
	due    time.Time
}

// delay sends packets when they are due, until the channel is closed.
func (b *broken) delay(out *webrtc.TrackLocalStaticRTP) chan<- delayed {
	later := make(chan delayed, 10_000)
	b.work.Go(func() {
		for p := range later {
			select {
			case <-time.After(time.Until(p.due)):
				_ = out.WriteRTP(p.packet)
			case <-b.ctx.Done():
			}
		}
	})
	return later
}

// loopLength is how many packets of audio are sent again and again.
const loopLength = 10

// loop sends packets of 20 ms of audio again and again, after the last one of them. What a busy
// machine delays is sent nevertheless, or there would be silence.
func (b *broken) loop(payloads [][]byte, last rtp.Packet, out *webrtc.TrackLocalStaticRTP) {
	const span = 20 * time.Millisecond
	start := time.Now()
	for i := 0; ; i++ {
		select {
		case <-time.After(time.Until(start.Add(time.Duration(i+1) * span))):
		case <-b.ctx.Done():
			return
		}
		last.SequenceNumber++
		last.Timestamp += 960
		last.Payload = payloads[i%len(payloads)]
		if out.WriteRTP(&last) != nil {
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
