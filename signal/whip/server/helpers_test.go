package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/client"
	signaling "parley/signal/server"
	"parley/signal/whip"
	whipserver "parley/signal/whip/server"
)

// patience bounds what should happen at once.
const patience = 20 * time.Second

// site is a signaling server with a gateway.
type site struct {
	t         *testing.T
	url       string
	signaling *signaling.Server
	gateway   *whipserver.Gateway
}

// start runs a server with a gateway until the test ends.
func start(t *testing.T, options signaling.Options, gateway whipserver.Options) *site {
	t.Helper()
	s := &site{t: t, signaling: signaling.New(&options)}
	gateway.Publish, gateway.Play = true, true
	s.gateway = whipserver.New(s.signaling, gateway)
	for _, prefix := range s.gateway.Prefixes() {
		s.signaling.HandlePrefix(prefix, s.gateway)
	}
	web := httptest.NewServer(s.signaling)
	s.url = web.URL
	t.Cleanup(func() {
		s.gateway.Close()
		_ = s.signaling.Close()
		web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// response is a response whose body was read.
type response struct {
	*http.Response
	text string
}

// do sends a request, whose header fields are name and value by turns.
func (s *site) do(method, path, body string, header ...string) response {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	url := path
	if strings.HasPrefix(path, "/") {
		url = s.url + path
	}
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response{resp, string(text)}
}

// post sends an offer.
func (s *site) post(path, offer string, header ...string) response {
	s.t.Helper()
	return s.do(http.MethodPost, path, offer, append([]string{"Content-Type", whip.TypeSDP}, header...)...)
}

// patch sends a fragment.
func (s *site) patch(path, fragment, ifMatch string, header ...string) response {
	s.t.Helper()
	header = append(header, "Content-Type", whip.TypeFragment)
	if ifMatch != "" {
		header = append(header, "If-Match", ifMatch)
	}
	return s.do(http.MethodPatch, path, fragment, header...)
}

// want checks the status of a response.
func (r response) want(t *testing.T, what string, status int) response {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("%s: got status %d %q, want %d", what, r.StatusCode, r.text, status)
	}
	return r
}

// user is a user of the signaling server.
type user struct {
	t *testing.T
	*client.Client
}

// signIn signs in until the test ends.
func (s *site) signIn(name, token string) *user {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	c, err := client.Dial(ctx, s.url, &client.Options{Token: func() (string, error) { return token, nil }})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(ctx, name); err != nil {
		s.t.Fatal(err)
	}
	return &user{s.t, c}
}

// next returns the next message, which has to be of a type.
func (u *user) next(typ signal.Type) signal.Message {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.t.Context(), patience)
	defer cancel()
	m, err := u.Receive(ctx)
	if err != nil || m.Type != typ {
		u.t.Fatalf("got %+v, %v; want a message of type %s", m, err, typ)
	}
	return m
}

// answers answers calls until the test ends, each as answer says; nil for answerTo. Messages that
// are no offers go to the channel.
func (u *user) answers(answer func(u *user, m signal.Message)) <-chan signal.Message {
	if answer == nil {
		answer = func(u *user, m signal.Message) { u.answer(m, answerTo(m.SDP)) }
	}
	others := make(chan signal.Message, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	u.t.Cleanup(func() {
		cancel()
		<-ended
	})
	go func() {
		defer close(ended)
		for {
			m, err := u.Receive(ctx)
			if err != nil {
				return
			}
			if m.Type == signal.Offer {
				answer(u, m)
				continue
			}
			others <- m
		}
	}()
	return others
}

// answer answers an offer with a description, a candidate and the end of candidates.
func (u *user) answer(m signal.Message, sdp string) {
	ctx := context.Background()
	_ = u.Send(ctx, signal.Message{Type: signal.Answer, Peer: m.Peer, SDP: sdp, Extension: &signal.Extension{Version: 1, Number: m.Extension.Number}})
	for _, line := range userCandidates {
		_ = u.Send(ctx, signal.Message{Type: signal.ICECandidate, Peer: m.Peer, Candidate: &signal.Candidate{Candidate: line}})
	}
	_ = u.Send(ctx, signal.Message{Type: signal.ICECandidate, Peer: m.Peer, Candidate: &signal.Candidate{}})
}

// userCandidates are those of a user, in the order in which they are sent.
var userCandidates = []string{
	"candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
	"candidate:2 1 udp 9 9b36eaac-bb2e-49bb-bb78-21c41c499900.local 9 typ host",
	"candidate:3 1 udp 2 192.0.2.1 5000 typ host",
	"candidate:4 1 udp 2 198.51.100.1 5000 typ srflx raddr 192.0.2.1 rport 5000",
	"candidate:5 1 udp 1 127.0.0.1 5001 typ host",
}

// answerTo returns the answer of a user who takes all of an offer.
func answerTo(offer string) string {
	for _, r := range [][2]string{
		{"a=sendonly", "a=recvonly"}, {"a=setup:actpass", "a=setup:active"}, {"a=setup:passive", "a=setup:active"},
		{"a=ice-ufrag:", "a=ice-ufrag:user"}, {"a=rtcp-mux-only\r\n", ""}, {"a=candidate:9 1 udp 1 192.0.2.9 9 typ host\r\n", ""},
	} {
		offer = strings.ReplaceAll(offer, r[0], r[1])
	}
	return offer
}

// playTo returns the answer of a user who sends all that an offer receives.
func playTo(offer string) string { return strings.ReplaceAll(offer, "a=recvonly", "a=sendonly") }

const (
	sdpHead = "v=0\r\no=- 7 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 x1\r\n" +
		"a=fingerprint:sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n"
	sdpSection = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\na=setup:actpass\r\na=rtcp-mux\r\na=rtcp-mux-only\r\n"
	sdpAudio   = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n" + sdpSection
	sdpVideo   = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:x1\r\na=rtpmap:96 VP8/90000\r\n" + sdpSection
)

// sdpChannel is the m-section of a data channel.
const sdpChannel = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sctp-port:5000\r\n" + sdpSection

// publishOffer is an offer as OBS makes it, without candidates; playOffer is that of a player.
const (
	publishOffer = sdpHead + sdpAudio + "a=sendonly\r\n" + sdpVideo + "a=sendonly\r\n"
	playOffer    = sdpHead + sdpAudio + "a=recvonly\r\n" + sdpVideo + "a=recvonly\r\n"
)
