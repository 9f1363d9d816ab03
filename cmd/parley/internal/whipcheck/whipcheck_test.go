//go:build !quick

package whipcheck

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"
	"go.uber.org/goleak"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/whiptest"
	"parley/signal/whip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fault changes a response.
type fault func(r *http.Request, w *httptest.ResponseRecorder)

// header returns a fault that sets a header field of responses to a method, or removes it.
func header(method, name, value string) fault {
	return func(r *http.Request, w *httptest.ResponseRecorder) {
		if r.Method == method {
			if w.Header().Del(name); value != "" {
				w.Header().Set(name, value)
			}
		}
	}
}

// status returns a fault that answers a method with another status.
func status(method string, from, to int) fault {
	return func(r *http.Request, w *httptest.ResponseRecorder) {
		if r.Method == method && w.Code == from {
			w.Code = to
		}
	}
}

// body returns a fault that replaces a text in the bodies of a method.
func body(method, old, new string) fault {
	return func(r *http.Request, w *httptest.ResponseRecorder) {
		if r.Method == method {
			w.Body = bytes.NewBufferString(strings.ReplaceAll(w.Body.String(), old, new))
		}
	}
}

// faults are a fault for each check, which makes it fail.
func faults() map[string]fault {
	accept := func(r *http.Request, w *httptest.ResponseRecorder) {
		if w.Code >= 400 && r.Method != http.MethodDelete {
			w.Code = http.StatusCreated
		}
	}
	return map[string]fault{
		"created":     status("POST", 201, 422),
		"answer-type": header("POST", "Content-Type", "text/plain"),
		"location":    header("POST", "Location", ""),
		"location-path": func(r *http.Request, w *httptest.ResponseRecorder) {
			w.Header().Set("Location", w.Header().Get("Location")+"?a=b")
		},
		"session-unguessable": header("POST", "Location", "/session/7"),
		"other-type":          accept,
		"no-sdp":              accept,
		"type-parameter":      status("POST", 201, 406),
		"get":                 status("GET", 204, 405),
		"session-get":         status("GET", 204, 405),
		"options":             header("OPTIONS", "Accept-Post", ""),
		"preflight":           header("OPTIONS", "Access-Control-Allow-Methods", "POST"),
		"cors":                header("POST", "Access-Control-Expose-Headers", "Location"),
		"token":               header("POST", "WWW-Authenticate", ""),
		"session-token":       status("DELETE", 401, 200),
		"candidates":          body("POST", "a=candidate:", "a=x:"),
		"connects":            body("POST", "a=ice-pwd:", "a=ice-pwd:x"),
		"connects-unknown":    body("POST", "a=ice-pwd:", "a=ice-pwd:x"),
		"etag":                header("POST", "ETag", "1"),
		"trickle":             status("PATCH", 204, 200),
		"trickle-unusable":    nil, // see unusable
		"trickle-mid":         body("POST", "a=mid:audio-a", "a=mid:0"),
		"if-match-missing":    status("PATCH", 428, 204),
		"if-match-stale":      status("PATCH", 412, 204),
		"patch-type":          status("PATCH", 415, 204),
		"restart":             header("PATCH", "ETag", `"1"`),
		"restart-quoted":      status("PATCH", 200, 412),
		"mux-only":            body("POST", "a=rtcp-mux", "a=x"),
		"bundle":              body("POST", "a=group:BUNDLE", "a=group:X"),
		"direction":           body("POST", "a=recvonly", "a=sendrecv"),
		"setup":               body("POST", "a=setup:active", "a=setup:actpass"),
		"codec":               accept,
		"delete":              status("DELETE", 200, 405),
		"delete-if-match":     status("DELETE", 200, 412),
		"two-videos":          accept,
		"counter-offer":       header("POST", "Location", ""),
		"head":                status("HEAD", 204, 405),
		"nobody":              header("POST", "Retry-After", ""),
	}
}

// run checks a server with a fault, nil for none.
func run(t *testing.T, d whip.Direction, o whiptest.Options, broken fault, names ...string) *scenario.Report {
	t.Helper()
	o.Token, o.Random = "secret", true
	s := whiptest.New(t, o)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		s.ServeHTTP(recorder, r)
		if broken != nil {
			broken(r, recorder)
		}
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
	}))
	t.Cleanup(front.Close)
	e, err := whip.ParseEndpoint(front.URL + "/" + string(d) + "/cam")
	if err != nil {
		t.Fatal(err)
	}
	e.Direction = d
	token := func() (string, error) { return "secret", nil }
	if d == whip.Play {
		s.Publish(t, "cam")
	}
	return Run(context.Background(), Options{Endpoint: e, URL: front.URL, Token: token, Loopback: true, Timeout: 3 * time.Second, Names: names})
}

// TestConformant checks that a server that conforms passes all checks.
func TestConformant(t *testing.T) {
	for _, d := range []whip.Direction{whip.Publish, whip.Play} {
		for _, r := range run(t, d, whiptest.Options{}, nil).Results {
			if want := map[bool]scenario.Verdict{true: scenario.Skip, false: scenario.Pass}[r.Scenario.Name == "counter-offer"]; r.Verdict != want {
				t.Errorf("%s %s: got %s %s, want %s", d, r.Scenario.Name, r.Verdict, r.Reason, want)
			}
		}
	}
}

// TestFaults checks that each check fails for a server that violates it.
func TestFaults(t *testing.T) {
	all := faults()
	for _, d := range []whip.Direction{whip.Publish, whip.Play} {
		for _, s := range Checks(d) {
			broken, ok := all[s.Name]
			if !ok {
				t.Errorf("no fault for %s", s.Name)
			}
			if broken == nil || d == whip.Play && s.Name != "counter-offer" && s.Name != "head" && s.Name != "nobody" {
				continue // the same as of the other direction
			}
			t.Run(s.Name, func(t *testing.T) {
				report := run(t, d, whiptest.Options{CounterOffer: s.Name == "counter-offer"}, broken, s.Name)
				if len(report.Results) != 1 || report.Results[0].Verdict != scenario.Fail {
					t.Errorf("got %+v, %v", report.Results, report.Err)
				}
			})
		}
	}
	unusable := func(r *http.Request, w *httptest.ResponseRecorder) {
		if r.Method == "PATCH" && r.Header.Get("If-Match") != "" && w.Code == 204 && !strings.HasSuffix(r.Header.Get("X-Body"), "end-of-candidates\r\n") && r.ContentLength < 300 {
			w.Code = http.StatusBadRequest
		}
	}
	if report := run(t, whip.Publish, whiptest.Options{}, unusable, "trickle-unusable"); report.Results[0].Verdict != scenario.Fail {
		t.Errorf("trickle-unusable: got %+v", report.Results)
	}
}

// TestUnreached checks the exit codes of endpoints that cannot be checked.
func TestUnreached(t *testing.T) {
	for code, want := range map[int]exit.Code{401: exit.Login, 404: exit.Absent, 503: exit.Signaling} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { whip.WriteProblem(w, code, "no") }))
		defer s.Close()
		e, err := whip.ParseEndpoint(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		e.Direction = whip.Play
		if report := Run(context.Background(), Options{Endpoint: e, URL: s.URL}); exit.CodeOf(report.Err) != want || errors.Is(report.Err, context.Canceled) {
			t.Errorf("%d: got %v", code, report.Err)
		}
	}
}

// TestOtherCodec connects to an endpoint that takes H.264 alone.
func TestOtherCodec(t *testing.T) {
	media := &webrtc.MediaEngine{}
	for kind, codec := range map[webrtc.RTPCodecType]webrtc.RTPCodecParameters{
		webrtc.RTPCodecTypeAudio: {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, PayloadType: 111},
		webrtc.RTPCodecTypeVideo: {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}, PayloadType: 102},
	} {
		if err := media.RegisterCodec(codec, kind); err != nil {
			t.Fatal(err)
		}
	}
	server, err := webrtc.NewAPI(webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.GracefulClose()
	c := &checker{Options: Options{Endpoint: whip.Endpoint{Direction: whip.Publish}}}
	p, offer, err := c.offer(offerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if err := server.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: offer}); err != nil {
		t.Fatal(err)
	}
	answer, err := server.CreateAnswer(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(answer.SDP, "H264") || strings.Contains(answer.SDP, "VP8") {
		t.Fatalf("want an answer of H.264 alone, got %s", answer.SDP)
	}
	if err := p.accept(answer.SDP); err != nil {
		t.Errorf("the answer of H.264 is not accepted: %v", err)
	}
}
