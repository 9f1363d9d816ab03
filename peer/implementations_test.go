package peer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/jsep"
	"parley/peer/internal/msection"
)

// thirdPartyOffer is an offer of audio, video and data channels as Chromium writes it, shortened.
const thirdPartyOffer = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\n" + transportLines + "a=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n" +
	"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96 102\r\n" + transportLines + "a=mid:1\r\na=sendrecv\r\na=rtcp-mux\r\n" +
	"a=rtpmap:96 VP8/90000\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n" +
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" + transportLines + "a=mid:2\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"

const transportLines = "c=IN IP4 0.0.0.0\r\na=ice-ufrag:k5yT\r\na=ice-pwd:Wq2l5kDkCzL4uYDn3pY9mXzA\r\na=ice-options:trickle\r\n" +
	"a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08\r\na=setup:actpass\r\n"

// answering starts a call that gets offers of a foreign peer; answer returns that to one.
func answering(t *testing.T, cfg Config) (s *side, answer func(offer string) string, candidates chan webrtc.ICECandidateInit) {
	t.Helper()
	answers := make(chan string, 8)
	candidates = make(chan webrtc.ICECandidateInit, 64)
	cfg.Signaler = signalers{&wire{filter: func(kind, text string) (string, bool) {
		if kind == "answer" {
			answers <- text
		}
		return text, false
	}}, candidateSink(candidates)}
	s = newSide(t, "terminal", cfg).start()
	return s, func(offer string) string {
		t.Helper()
		s.call.DeliverOffer(SessionDescription{SDP: offer})
		select {
		case text := <-answers:
			return text
		case <-s.ended:
			t.Fatalf("the call ended with %v, want an answer", s.err)
		}
		return ""
	}, candidates
}

// mLines returns the lines of a description that begin an m-section.
func mLines(text string) (all []string) {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "m="); ok {
			all = append(all, rest)
		}
	}
	return all
}

// Offers of other implementations are answered, by a section for each of theirs.
func TestThirdPartyOffers(t *testing.T) {
	const audio, video, data = "audio 9 UDP/TLS/RTP/SAVPF 111 0 8", "video 9 UDP/TLS/RTP/SAVPF 96 102", "application 9 UDP/DTLS/SCTP webrtc-datachannel"
	opus := "a=fmtp:111 " + msection.OpusParameters + ";sprop-stereo=1"
	const text = "m=text 9 UDP/TLS/RTP/SAVPF 98\r\na=mid:t\r\na=rtpmap:98 t140/1000\r\n"
	for name, c := range map[string]struct {
		old, new string
		m        []string // of the answer
		lines    []string // that the answer has
	}{
		"as it is":                        {"", "", []string{audio, video, data}, []string{opus}},
		"other Opus parameters":           {"minptime=10;useinbandfec=1", "minptime=20;useinbandfec=0", []string{audio, video, data}, []string{opus}}, // pion/webrtc#1711
		"no Opus parameters":              {"a=fmtp:111 minptime=10;useinbandfec=1\r\n", "", []string{audio, video, data}, []string{opus}},
		"stereo":                          {"useinbandfec=1", "useinbandfec=1;stereo=1;sprop-stereo=1", []string{audio, video, data}, []string{opus}},
		"comfort noise without rtpmap":    {"SAVPF 111 0 8", "SAVPF 111 13", []string{"audio 9 UDP/TLS/RTP/SAVPF 111", video, data}, nil}, // pion/sdp#161
		"static payload types":            {"a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n", "", []string{audio, video, data}, nil},
		"unknown payload type":            {"SAVPF 111 0 8", "SAVPF 77 111", []string{"audio 9 UDP/TLS/RTP/SAVPF 111", video, data}, nil},
		"H.264 without mode":              {"packetization-mode=1;", "", []string{audio, video, data}, []string{"a=fmtp:102 level-asymmetry-allowed=1;profile-level-id=42e01f"}},
		"H.264 of the same profile":       {"42e01f", "42c01f", []string{audio, video, data}, []string{"a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c01f"}},
		"VP8 twice":                       {"SAVPF 96 102\r\n", "SAVPF 96 97 102\r\na=rtpmap:97 VP8/90000\r\n", []string{audio, video, data}, nil},
		"H.264 twice":                     {"SAVPF 96 102\r\n", "SAVPF 96 102 103\r\na=rtpmap:103 H264/90000\r\na=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n", []string{audio, video, data}, nil},
		"H.264 of one profile twice":      {"SAVPF 96 102\r\n", "SAVPF 96 103 102\r\na=rtpmap:103 H264/90000\r\na=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c01f\r\n", []string{audio, "video 9 UDP/TLS/RTP/SAVPF 96 103", data}, []string{"a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42c01f"}},
		"Opus twice":                      {"SAVPF 111 0 8\r\n", "SAVPF 111 112 0 8\r\na=rtpmap:112 opus/48000/2\r\n", []string{audio, video, data}, []string{opus}},
		"RTP/SAVPF":                       {"audio 9 UDP/TLS/RTP/SAVPF", "audio 9 RTP/SAVPF", []string{"audio 9 RTP/SAVPF 111 0 8", video, data}, nil},
		"UDP/TLS/RTP/SAVP":                {"video 9 UDP/TLS/RTP/SAVPF", "video 9 UDP/TLS/RTP/SAVP", []string{audio, "video 9 UDP/TLS/RTP/SAVP 96 102", data}, nil},
		"DTLS/SCTP":                       {"UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000", []string{audio, video, "application 9 DTLS/SCTP 5000"}, []string{"a=sctpmap:5000 webrtc-datachannel 65535"}},
		"no direction":                    {"a=mid:1\r\na=sendrecv\r\n", "a=mid:1\r\n", []string{audio, video, data}, nil},
		"direction of the session":        {"t=0 0\r\n", "t=0 0\r\na=sendonly\r\n", []string{audio, video, data}, nil},
		"text first":                      {"m=audio", text + "m=audio", []string{"text 0 UDP/TLS/RTP/SAVPF 98", audio, video, data}, nil},
		"text in the middle":              {"m=video", text + "m=video", []string{audio, "text 0 UDP/TLS/RTP/SAVPF 98", video, data}, nil},
		"image":                           {"m=video", "m=image 9 udptl t38\r\na=mid:i\r\nm=video", []string{audio, "image 0 udptl t38", video, data}, nil},
		"audio not offered":               {"m=audio 9", "m=audio 0", []string{"audio 0 UDP/TLS/RTP/SAVPF 111 0 8", video, data}, nil},
		"header extension of two bytes":   {"a=rtcp-mux\r\n", "a=rtcp-mux\r\na=extmap-allow-mixed\r\na=extmap:16 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n", []string{audio, video, data}, nil},
		"header extension to be numbered": {"a=rtcp-mux\r\n", "a=rtcp-mux\r\na=extmap:4096 urn:x\r\n", []string{audio, video, data}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			offer := strings.Replace(thirdPartyOffer, c.old, c.new, 1)
			if offer == thirdPartyOffer && c.old != c.new {
				t.Fatal("the offer was not changed")
			}
			_, answer, _ := answering(t, Config{})
			got := answer(offer)
			if m := mLines(got); !slices.Equal(m, c.m) {
				t.Errorf("the answer has %q, want %q", m, c.m)
			}
			for _, line := range c.lines {
				if !strings.Contains(got, line+"\r\n") {
					t.Errorf("the answer has no %s:\n%s", line, got)
				}
			}
			if strings.Contains(got, "a=extmap:16 ") {
				t.Error("the answer has a header extension that needs two-byte headers")
			}
			for line := range strings.Lines(got) {
				if strings.HasPrefix(line, "a=rtpmap:") && strings.Count(got, line) > 1 {
					t.Errorf("the answer repeats %s", line)
				}
			}
			checkFits(t, offer, got)
		})
	}
}

// checkFits checks an answer against the offer.
func checkFits(t *testing.T, offer, answer string) {
	t.Helper()
	offered, err := jsep.Unmarshal(offer)
	if err != nil {
		t.Fatal(err)
	}
	d, err := jsep.Parse(answer)
	if err == nil {
		err = jsep.CheckAnswer(offered, d)
	}
	if err != nil {
		t.Error(err)
	}
}

// A rejected section is used again for other media (RFC 9429 section 5.2.2), by offers of
// ours too.
func TestSectionsAreReused(t *testing.T) {
	i, j := strings.Index(thirdPartyOffer, "m=video"), strings.Index(thirdPartyOffer, "m=application")
	audio, video := thirdPartyOffer[strings.Index(thirdPartyOffer, "m=audio"):i], thirdPartyOffer[i:j]
	s, answer, _ := answering(t, Config{Media: MediaConfig{Tracks: []webrtc.TrackLocal{testTrack(t, webrtc.MimeTypeVP8), testTrack(t, webrtc.MimeTypeOpus)}}})
	for n, c := range []struct{ section, bundle, want string }{
		{video, "0 1 2", "video 9"},
		{strings.Replace(video, "m=video 9", "m=video 0", 1), "0 2", "video 0"},
		{strings.Replace(audio, "a=mid:0", "a=mid:3", 1), "0 3 2", "audio 9"},
		{"m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:3\r\na=rtpmap:111 opus/48000/2\r\n", "0 2", "audio 0"},
		{strings.Replace(video, "a=mid:1", "a=mid:4", 1), "0 4 2", "video 9"},
	} {
		offer := strings.NewReplacer("051336 2 ", fmt.Sprintf("051336 %d ", 2+n), "BUNDLE 0 1 2", "BUNDLE "+c.bundle).Replace(
			thirdPartyOffer[:i] + c.section + thirdPartyOffer[j:])
		got := answer(offer)
		checkFits(t, offer, got)
		if m := mLines(got); len(m) != 3 || !strings.HasPrefix(m[1], c.want) {
			t.Errorf("offer %d is answered by %q, want %s", n+1, m, c.want)
		}
	}
	conn := s.call.stats.live[0]
	offer, err := conn.pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := jsep.Parse(asText(t)(conn.offerToWire(offer.SDP)))
	if err != nil {
		t.Fatal(err)
	}
	var mids []string
	for _, s := range ours.Sections {
		mids = append(mids, s.Mid)
	}
	if !slices.Equal(mids, []string{"0", "4", "2"}) {
		t.Errorf("our next offer has the sections %q, want 0, 4 and 2", mids)
	}
}

// Candidates name the first section that is not rejected.
func TestCandidatesNameAnActiveSection(t *testing.T) {
	_, answer, candidates := answering(t, Config{ICE: ICEConfig{Loopback: true}})
	answer(strings.Replace(thirdPartyOffer, "m=audio 9", "m=audio 0", 1))
	c := <-candidates
	if c.SDPMid == nil || *c.SDPMid != "1" || c.SDPMLineIndex == nil || *c.SDPMLineIndex != 1 {
		t.Errorf("the candidate names the section %v, want 1", c)
	}
}

// candidateSink is a Signaler that keeps the candidates.
type candidateSink chan webrtc.ICECandidateInit

func (s candidateSink) Offer(context.Context, SessionDescription) error  { return nil }
func (s candidateSink) Answer(context.Context, SessionDescription) error { return nil }
func (s candidateSink) Leave(context.Context) error                      { return nil }

func (s candidateSink) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	select {
	case s <- c:
	default: // they are not read
	}
	return nil
}
