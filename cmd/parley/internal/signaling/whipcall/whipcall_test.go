package whipcall

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/signal"
	"parley/signal/whip"
	"parley/signal/whip/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// description returns an offer or answer with these ICE credentials.
func description(ufrag, more string) string {
	return "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=ice-ufrag:" + ufrag + "\r\na=ice-pwd:0123456789012345678901\r\na=rtcp-mux\r\n" + more
}

const candidate = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"

// server records requests and answers them by status, the POST with an answer.
type server struct {
	*httptest.Server
	mu       sync.Mutex // guards the following
	requests []string   // METHOD BODY
	answer   string
	patch    int
	more     chan struct{} // closed and replaced with every request
	hang     chan struct{} // if not nil, POST waits for it
	gone     chan struct{} // if not nil, DELETE waits for it
}

func serve(t *testing.T, answer string) *server {
	t.Helper()
	s := &server{answer: answer, patch: http.StatusNoContent, more: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+string(body))
		hang, gone, patch := s.hang, s.gone, s.patch
		close(s.more)
		s.more = make(chan struct{})
		s.mu.Unlock()
		switch r.Method {
		case http.MethodPost:
			if hang != nil {
				<-hang
			}
			w.Header().Set("Content-Type", whip.TypeSDP)
			w.Header().Set("Location", "/s")
			w.Header().Set("ETag", `"1"`)
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, s.answer)
		case http.MethodPatch:
			if patch == http.StatusOK {
				w.Header().Set("Content-Type", whip.TypeFragment)
				_, _ = io.WriteString(w, "a=ice-ufrag:new1\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n")
				return
			}
			w.WriteHeader(patch)
		case http.MethodDelete:
			if gone != nil {
				<-gone
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// await waits for so many requests and returns them.
func (s *server) await(t *testing.T, n int) []string {
	t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		s.mu.Lock()
		requests, more := s.requests, s.more
		s.mu.Unlock()
		if len(requests) >= n {
			return requests
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("got %d requests, want %d: %q", len(requests), n, requests)
		}
	}
}

func begin(t *testing.T, s *server, trickle bool) *Session {
	t.Helper()
	e, err := whip.ParseEndpoint(s.URL + "/whip")
	if err != nil {
		t.Fatal(err)
	}
	e.Direction = whip.Publish
	session := New(Options{Endpoint: e, Trickle: trickle})
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// send sends messages: an offer or a candidate, "" for their end.
func send(t *testing.T, s *Session, texts ...string) {
	t.Helper()
	for _, text := range texts {
		m := signal.Message{Type: signal.Offer, SDP: text}
		if text == "" || strings.HasPrefix(text, "candidate:") {
			m = signal.Message{Type: signal.ICECandidate, Candidate: &signal.Candidate{Candidate: text}}
		}
		if err := s.Send(context.Background(), m); err != nil {
			t.Fatal(err)
		}
	}
}

func receive(t *testing.T, s *Session) signal.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m, err := s.Receive(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Candidates that are found before the answer go in one PATCH.
func TestTrickle(t *testing.T) {
	s := serve(t, description("them", "a="+candidate+"\r\n"))
	s.hang = make(chan struct{})
	session := begin(t, s, true)
	send(t, session, description("ours", ""))
	s.await(t, 1)
	send(t, session, candidate, candidate, "")
	close(s.hang)
	if m := receive(t, session); m.Type != signal.Answer || !strings.Contains(m.SDP, "them") {
		t.Errorf("got %v", m)
	}
	requests := s.await(t, 2)
	if got := requests[1]; strings.Count(got, "a=candidate") != 2 || !strings.Contains(got, "a=end-of-candidates") || !strings.Contains(got, "a=ice-ufrag:ours") {
		t.Errorf("got %q", got)
	}
	_ = session.Close()
	if requests := s.await(t, 3); len(requests) != 3 || !strings.HasPrefix(requests[2], "DELETE") {
		t.Errorf("got %q", requests)
	}
}

// Without trickle ICE the offer has all candidates.
func TestNoTrickle(t *testing.T) {
	s := serve(t, description("them", "a="+candidate+"\r\n"))
	session := begin(t, s, false)
	send(t, session, description("ours", ""), candidate, candidate, "")
	receive(t, session)
	if got := s.await(t, 1)[0]; strings.Count(got, "a=candidate") != 2 || !strings.Contains(got, "a=rtcp-mux-only") || !strings.Contains(got, "a=end-of-candidates") {
		t.Errorf("got %q", got)
	}
}

// A restart that the server refuses is rejected, and not asked for again.
func TestRestart(t *testing.T) {
	s := serve(t, description("them", "a="+candidate+"\r\n"))
	session := begin(t, s, true)
	send(t, session, description("ours", ""))
	receive(t, session)
	s.mu.Lock()
	s.patch = http.StatusOK
	s.mu.Unlock()
	send(t, session, description("ours", "")) // sent again, which changes nothing
	send(t, session, description("our2", ""))
	if m := receive(t, session); m.Type != signal.Answer || !strings.Contains(m.SDP, "a=ice-ufrag:new1") || !strings.Contains(m.SDP, candidate) {
		t.Errorf("got %v", m)
	}
	s.mu.Lock()
	s.patch = http.StatusMethodNotAllowed
	s.mu.Unlock()
	send(t, session, description("our3", ""))
	if m := receive(t, session); m.SDP != "" || !strings.Contains(m.Text, "405") {
		t.Errorf("got %v", m)
	}
	before := len(s.await(t, 3))
	send(t, session, description("our4", ""))
	if m := receive(t, session); !strings.Contains(m.Text, "405") || len(s.await(t, before)) != before {
		t.Errorf("got %v after %q", m, s.await(t, before))
	}
}

// A session whose answer cannot be used is deleted, and so is one that is created when the call is
// over.
func TestNothingLeft(t *testing.T) {
	s := serve(t, description("them", ""))
	session := begin(t, s, true)
	send(t, session, description("ours", ""))
	_, err := session.Receive(context.Background())
	var failed *client.Error
	if !errors.As(err, &failed) || failed.Kind != client.Unusable {
		t.Errorf("got %v", err)
	}
	if requests := s.await(t, 2); !strings.HasPrefix(requests[1], "DELETE") {
		t.Errorf("got %q", requests)
	}
	if err := session.Send(context.Background(), signal.Message{Type: signal.Leave}); err == nil {
		t.Error("a session that is over takes messages")
	}

	s = serve(t, description("them", "a="+candidate+"\r\n"))
	s.hang = make(chan struct{})
	session = begin(t, s, true)
	send(t, session, description("ours", ""))
	s.await(t, 1)
	session.End()
	close(s.hang)
	if requests := s.await(t, 2); !strings.HasPrefix(requests[1], "DELETE") {
		t.Errorf("got %q", requests)
	}
}

// A leave is sent when the server has ended the session, and not before, for the connection is
// closed then.
func TestLeaveWaits(t *testing.T) {
	s := serve(t, description("them", "a="+candidate+"\r\n"))
	s.gone = make(chan struct{})
	session := begin(t, s, true)
	send(t, session, description("ours", ""))
	receive(t, session)
	left := make(chan error, 1)
	go func() { left <- session.Send(context.Background(), signal.Message{Type: signal.Leave}) }()
	s.await(t, 2)
	select {
	case err := <-left:
		t.Errorf("the leave is sent before the session has ended: %v", err)
	default:
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := session.Send(ctx, signal.Message{Type: signal.Leave}); err == nil {
		t.Error("a leave that was given up is sent")
	}
	close(s.gone)
	if err := <-left; err != nil {
		t.Error(err)
	}
	if requests := s.await(t, 2); len(requests) != 2 || !strings.HasPrefix(requests[1], "DELETE") {
		t.Errorf("got %q", requests)
	}
}

// A server that does not answer does not hold up the end of a call.
func TestHangingServer(t *testing.T) {
	s := serve(t, "")
	s.hang = make(chan struct{})
	defer close(s.hang)
	session := begin(t, s, true)
	send(t, session, description("ours", ""))
	s.await(t, 1)
	begun := time.Now()
	_ = session.Close()
	if took := time.Since(begun); took > 3*closeTimeout {
		t.Errorf("Close took %s", took)
	}
	if _, err := session.Receive(context.Background()); err == nil {
		t.Error("a session that is over has a message")
	}
}
