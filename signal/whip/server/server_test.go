package server_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"parley/signal"
	signaling "parley/signal/server"
	"parley/signal/whip"
	whipserver "parley/signal/whip/server"
)

// TestSession publishes to a user: every header field of the answer, trickled candidates, an ICE
// restart and the end.
func TestSession(t *testing.T) { testSession(t, start(t, signaling.Options{}, patient)) }

// patient has waits that do not end, because the user sends the end of candidates.
var patient = whipserver.Options{QuietTime: time.Hour, GatherTimeout: time.Hour}

func testSession(t *testing.T, s *site) {
	bob := s.signIn("bob", "")
	var offers []signal.Message
	others := bob.answers(func(u *user, m signal.Message) {
		offers = append(offers, m)
		u.answer(m, answerTo(m.SDP))
	})
	created := s.post("/whip/bob", publishOffer).want(t, "POST", http.StatusCreated)
	if x := offers[0].Extension; x == nil || !x.NoOffers {
		t.Errorf("got the extension %+v, want that the client accepts no offers", x)
	}
	location, tag := created.Header.Get("Location"), created.Header.Get("ETag")
	if !strings.HasPrefix(location, "/whip/bob/") || len(location) < len("/whip/bob/")+26 || strings.Contains(location, "?") {
		t.Errorf("got Location %q, want an absolute path with a secret", location)
	}
	if text, weak, err := whip.ParseETag(tag); err != nil || weak || len(text) < 16 {
		t.Errorf("got ETag %q, want a strong one", tag)
	}
	if got := created.Header.Get("Content-Type"); got != whip.TypeSDP {
		t.Errorf("got Content-Type %q", got)
	}
	for _, want := range []string{"a=recvonly\r\n", "a=setup:active\r\n", "a=end-of-candidates\r\n", "a=rtcp-mux-only\r\n"} {
		if !strings.Contains(created.text, want) {
			t.Errorf("the answer lacks %q:\n%s", want, created.text)
		}
	}
	// That of the address of the request comes first, then other hosts over UDP, then names, then
	// the rest.
	var ports []string
	for line := range strings.Lines(created.text) {
		if value, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			ports = append(ports, value[:1])
		}
	}
	if want := []string{"5", "3", "2", "1", "4"}; !slices.Equal(ports, want) {
		t.Errorf("got the candidates %v, want %v", ports, want)
	}

	fragment := "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:x1\r\n" +
		"a=candidate:1 1 udp 1 192.0.2.7 9 typ host\r\na=candidate:\r\na=end-of-candidates\r\n"
	s.patch(location, fragment, tag).want(t, "trickle", http.StatusNoContent)
	if m := <-others; m.Type != signal.ICECandidate || m.Candidate.Candidate != "candidate:1 1 udp 1 192.0.2.7 9 typ host" ||
		*m.Candidate.SDPMid != "x1" || *m.Candidate.SDPMLineIndex != 1 || *m.Candidate.UsernameFragment != "abcd" {
		t.Errorf("got %+v, want the candidate", m)
	}
	<-others // one that no ICE agent can use
	if m := <-others; m.Type != signal.ICECandidate || m.Candidate != nil && m.Candidate.Candidate != "" {
		t.Errorf("got %+v, want the end of candidates", m)
	}
	s.patch(location, fragment, "").want(t, "without If-Match", http.StatusPreconditionRequired)
	s.patch(location, fragment, `"old"`).want(t, "a stale ETag", http.StatusPreconditionFailed)
	s.patch(location, fragment, tag[1:]).want(t, "a malformed ETag", http.StatusBadRequest)
	s.patch(location, "garbage", tag).want(t, "no fragment", http.StatusBadRequest)
	s.do(http.MethodPatch, location, "{}", "Content-Type", "application/json", "If-Match", tag).want(t, "another type", http.StatusUnsupportedMediaType)
	s.do(http.MethodPost, location, publishOffer, "Content-Type", whip.TypeSDP).want(t, "POST to the session", http.StatusMethodNotAllowed)
	if got := s.do(http.MethodGet, location, "").want(t, "GET of the session", http.StatusNoContent); got.text != "" {
		t.Errorf("GET: got %q, want nothing", got.text)
	}

	for i, ifMatch := range []string{"*", `"*"`} {
		ufrag := []string{"efgh", "ijkl"}[i]
		restart := "a=ice-ufrag:" + ufrag + "\r\na=ice-pwd:ffffffffffffffffffffffff\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:9 1 udp 1 192.0.2.9 9 typ host\r\n"
		restarted := s.patch(location, restart, ifMatch).want(t, "restart", http.StatusOK)
		f, err := whip.ParseFragment(restarted.text)
		if err != nil || f.Ufrag != "user"+ufrag || f.Pwd == "" || len(f.Candidates) != len(userCandidates) || !f.End {
			t.Errorf("got the fragment %+v, %v of %q", f, err, restarted.text)
		}
		if last := offers[len(offers)-1].SDP; !strings.Contains(last, "a=ice-ufrag:"+ufrag) || strings.Contains(last, "abcd") || !strings.Contains(last, "a=candidate:9 1 udp") {
			t.Errorf("got the offer %s", last)
		}
		s.patch(location, strings.ReplaceAll(fragment, "abcd", ufrag), tag).want(t, "the ETag before", http.StatusPreconditionFailed)
		if next := restarted.Header.Get("ETag"); next == tag || next == "" {
			t.Errorf("got ETag %q after %q", next, tag)
		} else {
			tag = next
		}
	}

	s.do(http.MethodDelete, location, "", "If-Match", `"whatever"`).want(t, "DELETE", http.StatusOK)
	if m := <-others; m.Type != signal.Leave || m.Lost {
		t.Errorf("got %+v, want a leave", m)
	}
	s.do(http.MethodDelete, location, "").want(t, "the second DELETE", http.StatusNotFound)
	s.patch(location, fragment, "*").want(t, "PATCH of a session that has ended", http.StatusNotFound)
}

// TestPlay plays from a user.
func TestPlay(t *testing.T) {
	s := start(t, signaling.Options{}, whipserver.Options{})
	if r := s.post("/whep/bob", playOffer).want(t, "nobody", http.StatusConflict); r.Header.Get("Retry-After") == "" {
		t.Error("the conflict has no Retry-After")
	}
	s.post("/whip/bob", publishOffer).want(t, "nobody", http.StatusNotFound)
	s.do(http.MethodHead, "/whep/bob", "").want(t, "HEAD", http.StatusNoContent)
	sends := true
	s.signIn("bob", "").answers(func(u *user, m signal.Message) {
		if sends {
			u.answer(m, playTo(m.SDP))
			return
		}
		u.answer(m, strings.ReplaceAll(m.SDP, "a=recvonly", "a=inactive"))
	})
	created := s.post("/whep/bob", strings.ReplaceAll(playOffer, "a=recvonly\r\n", "")).want(t, "POST", http.StatusCreated)
	if !strings.Contains(created.text, "a=sendonly") {
		t.Errorf("the answer to an offer without a direction does not send:\n%s", created.text)
	}
	s.do(http.MethodDelete, created.Header.Get("Location"), "").want(t, "DELETE", http.StatusOK)
	sends = false
	if r := s.post("/whep/bob", playOffer).want(t, "a user who sends nothing", http.StatusConflict); r.Header.Get("Retry-After") == "" {
		t.Error("the conflict has no Retry-After")
	}
}

// TestRefusals sends requests that are refused, each with one clear sentence, and then one that is
// not.
func TestRefusals(t *testing.T) {
	s := start(t, signaling.Options{}, whipserver.Options{})
	s.signIn("bob", "").answers(nil)
	for name, test := range map[string]struct {
		method, path, body, mediaType string
		status                        int
		detail                        string
	}{
		"another type":       {"POST", "/whip/bob", publishOffer, "application/json", 415, "want application/sdp"},
		"no type":            {"POST", "/whip/bob", publishOffer, "", 415, "want application/sdp"},
		"garbage":            {"POST", "/whip/bob", "garbage", whip.TypeSDP, 400, "not SDP"},
		"nothing":            {"POST", "/whip/bob", "", whip.TypeSDP, 400, "the offer is empty"},
		"no m-section":       {"POST", "/whip/bob", sdpHead, whip.TypeSDP, 422, "0 m-sections"},
		"two videos":         {"POST", "/whip/bob", sdpHead + sdpVideo + sdpVideo, whip.TypeSDP, 422, "one track of a kind"},
		"no BUNDLE":          {"POST", "/whip/bob", strings.Replace(publishOffer, "BUNDLE 0 x1", "BUNDLE 0", 1), whip.TypeSDP, 422, "bundle"},
		"no rtcp-mux":        {"POST", "/whip/bob", strings.ReplaceAll(publishOffer, "a=rtcp-mux\r\n", ""), whip.TypeSDP, 422, "rtcp-mux"},
		"no fingerprint":     {"POST", "/whip/bob", strings.ReplaceAll(publishOffer, "a=fingerprint", "a=x"), whip.TypeSDP, 422, "fingerprint"},
		"play as publish":    {"POST", "/whip/bob", playOffer, whip.TypeSDP, 422, "recvonly, want sendonly"},
		"publish as play":    {"POST", "/whep/bob", publishOffer, whip.TypeSDP, 422, "sendonly, want recvonly"},
		"all inactive":       {"POST", "/whep/bob", strings.ReplaceAll(playOffer, "recvonly", "inactive"), whip.TypeSDP, 422, "no audio or video"},
		"too long":           {"POST", "/whip/bob", strings.Repeat("a", 48<<10+1), whip.TypeSDP, 413, "49152 bytes"},
		"an unknown session": {"PATCH", "/whip/bob/AAAAAAAAAAAAAAAAAAAAAAAAAA", "a=end-of-candidates", whip.TypeFragment, 404, "no such session"},
		"the end of one":     {"DELETE", "/whip/bob/AAAAAAAAAAAAAAAAAAAAAAAAAA", "", "", 404, "no such session"},
		"no name":            {"POST", "/whip/", publishOffer, whip.TypeSDP, 404, "want /whip/NAME"},
		"an invalid name":    {"POST", "/whip/%00", publishOffer, whip.TypeSDP, 404, "the name has a character that cannot be shown"},
		"a decomposed name":  {"POST", "/whip/bu%CC%88ro", publishOffer, whip.TypeSDP, 404, `write "büro"`},
		"a name in Latin-1":  {"POST", "/whip/b%FCro", publishOffer, whip.TypeSDP, 404, "the name is not valid UTF-8"},
		"all disabled":       {"POST", "/whip/bob", strings.ReplaceAll(publishOffer, " 9 UDP", " 0 UDP"), whip.TypeSDP, 422, "no audio or video that is sendonly: port 0 disables"},
		"a data channel":     {"POST", "/whip/bob", strings.ReplaceAll(sdpHead, "0 x1", "0") + sdpChannel, whip.TypeSDP, 422, "no audio or video that is sendonly"},
		"a longer path":      {"POST", "/whip/bob/x/y", publishOffer, whip.TypeSDP, 404, "want /whip/NAME"},
		"PUT":                {"PUT", "/whip/bob", publishOffer, whip.TypeSDP, 405, "POST"},
	} {
		r := s.do(test.method, test.path, test.body, "Content-Type", test.mediaType)
		if r.StatusCode != test.status || !strings.Contains(whip.ReadProblem(r.Header.Get("Content-Type"), []byte(r.text)), test.detail) {
			t.Errorf("%s: got %d %q, want %d with %q", name, r.StatusCode, r.text, test.status, test.detail)
		}
	}
	for what, offer := range map[string]string{
		"ends of lines": publishOffer, "bare LF": strings.ReplaceAll(publishOffer, "\r\n", "\n"), "no end of the last line": strings.TrimSpace(publishOffer),
		"one m-section disabled": strings.Replace(sdpHead, " x1", "", 1) + sdpAudio + "a=sendonly\r\nm=video 0 UDP/TLS/RTP/SAVPF 96\r\n",
	} {
		r := s.do("POST", "/whip/bob", offer, "Content-Type", "Application/SDP; charset=utf-8").want(t, what, http.StatusCreated)
		s.do("DELETE", r.Header.Get("Location"), "").want(t, "DELETE", http.StatusOK)
	}
	r := s.post("/whip/bob/", publishOffer).want(t, "a slash at the end", http.StatusCreated)
	s.do("DELETE", r.Header.Get("Location")+"/", "").want(t, "DELETE with a slash at the end", http.StatusOK)
	r = s.post("/%77hip/b%6fb", publishOffer).want(t, "percent-encoded letters", http.StatusCreated)
	s.do("DELETE", strings.Replace(r.Header.Get("Location"), "%77", "w", 1), "").want(t, "DELETE without them", http.StatusOK)
	s.do("DELETE", strings.Replace(r.Header.Get("Location"), "bob", "eve", 1), "").want(t, "DELETE under another name", http.StatusNotFound)
}

// TestIncompleteBody sends an offer that does not come whole: too slowly, and cut off.
func TestIncompleteBody(t *testing.T) {
	s := start(t, signaling.Options{}, whipserver.Options{})
	for reason, status := range map[error]int{os.ErrDeadlineExceeded: http.StatusRequestTimeout, io.ErrUnexpectedEOF: http.StatusBadRequest} {
		r := httptest.NewRequest(http.MethodPost, "/whip/bob", io.MultiReader(strings.NewReader("v=0\r\n"), iotest.ErrReader(reason)))
		r.Header.Set("Content-Type", whip.TypeSDP)
		w := httptest.NewRecorder()
		s.gateway.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("%v: got %d %s, want %d", reason, w.Code, w.Body, status)
		}
	}
}

// TestUserEnds has the user reject, decline, answer with a part, leave and restart.
func TestUserEnds(t *testing.T) {
	s := start(t, signaling.Options{}, whipserver.Options{AnswerTimeout: patience})
	bob := s.signIn("bob", "")
	what := make(chan string, 1)
	others := bob.answers(func(u *user, m signal.Message) {
		reject := func(why string) {
			_ = u.Send(context.Background(), signal.Message{Type: signal.Answer, Peer: m.Peer, Extension: &signal.Extension{Version: 1, Number: m.Extension.Number, Rejected: why}})
		}
		leave := func() { _ = u.Send(context.Background(), signal.Message{Type: signal.Leave, Peer: m.Peer}) }
		switch <-what {
		case "rejects":
			reject("no codec in common")
			leave()
		case "declines":
			leave()
		case "takes the audio":
			u.answer(m, strings.Replace(answerTo(m.SDP), "m=video 9", "m=video 0", 1))
		case "sends no SDP":
			u.answer(m, "garbage")
		case "breaks a line":
			_ = u.Send(context.Background(), signal.Message{Type: signal.ICECandidate, Peer: m.Peer, Candidate: &signal.Candidate{Candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=evil"}})
			u.answer(m, answerTo(m.SDP))
		case "offers":
			u.answer(m, answerTo(m.SDP))
			_ = u.Send(context.Background(), signal.Message{Type: signal.Offer, Peer: m.Peer, SDP: m.SDP, Extension: &signal.Extension{Version: 1, Number: 9}})
		case "leaves":
			u.answer(m, answerTo(m.SDP))
			<-what
			leave()
		}
	})
	for _, test := range []struct {
		what   string
		status int
		detail string
	}{
		{"rejects", 422, "no codec in common"}, {"declines", 409, "does not take the call"}, {"takes the audio", 422, "video"},
		{"sends no SDP", 502, "not SDP"},
	} {
		what <- test.what
		r := s.post("/whip/bob", publishOffer)
		if r.StatusCode != test.status || !strings.Contains(r.text, test.detail) {
			t.Errorf("%s: got %d %q, want %d with %q", test.what, r.StatusCode, r.text, test.status, test.detail)
		}
	}
	silent := start(t, signaling.Options{}, whipserver.Options{AnswerTimeout: 50 * time.Millisecond})
	eve := silent.signIn("eve", "")
	if r := silent.post("/whip/eve", publishOffer).want(t, "no answer", http.StatusGatewayTimeout); r.Header.Get("Retry-After") == "" {
		t.Error("the refusal has no Retry-After")
	}
	eve.next(signal.Offer)
	eve.next(signal.Leave)

	what <- "breaks a line"
	if r := s.post("/whip/bob", publishOffer).want(t, "a line break in a candidate", http.StatusCreated); strings.Contains(r.text, "evil") {
		t.Errorf("the answer has a line of a candidate:\n%s", r.text)
	}
	what <- "offers"
	r := s.post("/whip/bob", publishOffer).want(t, "offers", http.StatusCreated)
	for m := range others {
		if m.Type == signal.Answer {
			if m.Extension == nil || m.Extension.Rejected == "" || m.Extension.Number != 9 {
				t.Errorf("got the answer %+v to an offer of the user, want a rejection", m)
			}
			break
		}
	}
	s.do(http.MethodGet, r.Header.Get("Location"), "").want(t, "the session after an offer of the user", http.StatusNoContent)
	what <- "leaves"
	r = s.post("/whip/bob", publishOffer).want(t, "leaves", http.StatusCreated)
	what <- "now"
	deadline := time.Now().Add(patience)
	for s.do(http.MethodGet, r.Header.Get("Location"), "").StatusCode != http.StatusNotFound && time.Now().Before(deadline) {
	}
	s.do(http.MethodDelete, r.Header.Get("Location"), "").want(t, "DELETE of a call that the user has left", http.StatusNotFound)
}
