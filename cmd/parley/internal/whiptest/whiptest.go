// Package whiptest serves WHIP and WHEP on Pion for tests.
package whiptest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"parley/signal/whip"
)

// Options are the options of a Server.
type Options struct {
	Token        string // wanted as Bearer token, "" for none
	NoPatch      bool   // PATCH is refused with 405
	CounterOffer bool   // a player gets 406 with an offer
	OnlyH264     bool   // of video; else Pion's codecs, and VP8 is wanted of a publisher
	Random       bool   // session URLs cannot be guessed; else they are numbers
	// Forward forwards a packet of a kind by write, or does not. Nil forwards all at once.
	Forward func(kind string, p *rtp.Packet, write func(*rtp.Packet))
}

// A Server has the endpoints /whip/NAME and /whep/NAME, which plays what is published as NAME.
type Server struct {
	*httptest.Server
	options Options
	work    sync.WaitGroup // of forward

	mu       sync.Mutex // guards the following
	ended    bool       // nothing is forwarded any more
	streams  map[string][]*webrtc.TrackLocalStaticRTP
	layers   map[string][]string // RIDs of simulcast that came, by stream
	sessions map[string]*session
	requests []string
	count    int
	changed  chan struct{} // closed and replaced with every request and every track
}

// session is a session of a client.
type session struct {
	pc      *webrtc.PeerConnection
	name    string // of the stream that is published, "" for a player
	offer   string // of the client
	etag    int
	waiting bool // a counter-offer waits for its answer
}

// New starts a server until the test is over.
func New(t *testing.T, o Options) *Server {
	t.Helper()
	s := &Server{options: o, streams: map[string][]*webrtc.TrackLocalStaticRTP{}, layers: map[string][]string{}, sessions: map[string]*session{}, changed: make(chan struct{})}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		for id := range s.all() {
			s.end(id)
		}
		s.work.Wait()
	})
	return s
}

// Requests returns the requests so far: method, path and status.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// Sessions returns the number of sessions that are not deleted.
func (s *Server) Sessions() int { return len(s.all()) }

// change notes a change. mu is locked.
func (s *Server) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Await waits until a condition holds.
func (s *Server) Await(t *testing.T, holds func() bool) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("the server did not get there; requests %v", s.Requests())
		}
	}
}

// Publishes reports whether a stream has this many tracks.
func (s *Server) Publishes(name string, tracks int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams[name]) == tracks
}

// Layers returns the sorted RIDs of the simulcast layers of a stream that have come.
func (s *Server) Layers(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(slices.Values(s.layers[name]))
}

func (s *Server) all() map[string]*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]*session{}
	for id, one := range s.sessions {
		all[id] = one
	}
	return all
}

// end ends a session.
func (s *Server) end(id string) {
	s.mu.Lock()
	one := s.sessions[id]
	delete(s.sessions, id)
	if one != nil && one.name != "" {
		delete(s.streams, one.name)
	}
	s.mu.Unlock()
	if one != nil {
		_ = one.pc.GracefulClose()
	}
}

// ServeHTTP serves a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	recorder := &statusWriter{ResponseWriter: w, status: 200}
	s.serve(recorder, r)
	s.mu.Lock()
	s.requests = append(s.requests, fmt.Sprintf("%s %s %d", r.Method, r.URL.Path, recorder.status))
	s.change()
	s.mu.Unlock()
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, whip.MaxSDP))
	if err != nil {
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Location, ETag, Link")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "POST, PATCH, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		h.Set("Accept-Post", whip.TypeSDP)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if s.options.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.options.Token {
		h.Set("WWW-Authenticate", "Bearer")
		whip.WriteProblem(w, http.StatusUnauthorized, "invalid token")
		return
	}
	kind, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		w.WriteHeader(http.StatusNoContent)
	case kind == "session":
		s.serveSession(w, r, name, string(body))
	case r.Method == http.MethodPost && (kind == "whip" || kind == "whep") && whip.IsType(r.Header.Get("Content-Type"), whip.TypeSDP):
		s.create(w, kind == "whip", name, string(body))
	default:
		whip.WriteProblem(w, http.StatusBadRequest, "want POST of "+whip.TypeSDP)
	}
}

// create creates a session.
func (s *Server) create(w http.ResponseWriter, publish bool, name, offer string) {
	pc, err := s.newPeerConnection()
	if err != nil {
		whip.WriteProblem(w, http.StatusInternalServerError, err.Error())
		return
	}
	one := &session{pc: pc, offer: offer, etag: 1}
	if publish && !s.options.OnlyH264 && (strings.Count(offer, "\nm=video") > 1 || !strings.Contains(offer, "VP8/90000") && !strings.Contains(offer, "\na=simulcast:") && strings.Contains(offer, "\nm=video")) {
		_ = pc.Close()
		whip.WriteProblem(w, http.StatusUnprocessableEntity, "want one video of VP8")
		return
	}
	if publish {
		one.name = name
		pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) { s.forward(name, pc, t) })
	} else {
		s.mu.Lock()
		tracks := s.streams[name]
		s.mu.Unlock()
		if len(tracks) == 0 {
			_ = pc.Close()
			w.Header().Set("Retry-After", "1")
			whip.WriteProblem(w, http.StatusConflict, "nobody publishes "+name)
			return
		}
		for _, t := range tracks {
			if _, err := pc.AddTransceiverFromTrack(t, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
				whip.WriteProblem(w, http.StatusInternalServerError, err.Error())
				return
			}
		}
	}
	one.waiting = !publish && s.options.CounterOffer
	description, err := one.describe()
	if err != nil {
		_ = pc.Close()
		whip.WriteProblem(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	s.mu.Lock()
	s.count++
	id := fmt.Sprint(s.count)
	if s.options.Random {
		id = rand.Text()
	}
	s.sessions[id] = one
	s.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", whip.TypeSDP)
	h.Set("Location", "/session/"+id)
	h.Set("ETag", whip.FormatETag(fmt.Sprint(one.etag)))
	if one.waiting {
		w.WriteHeader(http.StatusNotAcceptable)
	} else {
		w.WriteHeader(http.StatusCreated)
	}
	_, _ = io.WriteString(w, description)
}

// newPeerConnection returns a PeerConnection with loopback candidates.
func (s *Server) newPeerConnection() (*webrtc.PeerConnection, error) {
	media, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	register := media.RegisterDefaultCodecs
	if s.options.OnlyH264 {
		register = func() error {
			return errors.Join(
				media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}, PayloadType: 96}, webrtc.RTPCodecTypeVideo),
				media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, PayloadType: 97}, webrtc.RTPCodecTypeAudio))
		}
	}
	if err := register(); err != nil {
		return nil, err
	}
	if err := webrtc.RegisterDefaultInterceptors(media, registry); err != nil {
		return nil, err
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	return webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings)).
		NewPeerConnection(webrtc.Configuration{BundlePolicy: webrtc.BundlePolicyMaxBundle})
}

// describe returns the answer to the offer of the client, or a counter-offer, with all candidates.
func (s *session) describe() (string, error) {
	var local webrtc.SessionDescription
	var err error
	if s.waiting {
		local, err = s.pc.CreateOffer(nil)
	} else {
		if err := s.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: s.offer}); err != nil {
			return "", err
		}
		local, err = s.pc.CreateAnswer(nil)
	}
	if err != nil {
		return "", err
	}
	complete := webrtc.GatheringCompletePromise(s.pc)
	if err := s.pc.SetLocalDescription(local); err != nil {
		return "", err
	}
	<-complete
	return s.pc.LocalDescription().SDP, nil
}

// Publish has a stream of that name, on which nothing is sent.
func (s *Server) Publish(t *testing.T, name string) {
	t.Helper()
	for _, mime := range []string{webrtc.MimeTypeOpus, webrtc.MimeTypeVP8} {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, mime[:5], "stream")
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		s.streams[name] = append(s.streams[name], track)
		s.mu.Unlock()
	}
}

// forward passes on the packets of a publisher to the players.
func (s *Server) forward(name string, pc *webrtc.PeerConnection, in *webrtc.TrackRemote) {
	out, err := webrtc.NewTrackLocalStaticRTP(in.Codec().RTPCodecCapability, in.Kind().String(), "stream")
	if err != nil {
		return
	}
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return
	}
	s.work.Add(1)
	defer s.work.Done()
	s.streams[name] = append(s.streams[name], out)
	if in.RID() != "" {
		s.layers[name] = append(s.layers[name], in.RID())
	}
	s.change()
	s.mu.Unlock()
	asked := time.Time{}
	for {
		p, _, err := in.ReadRTP()
		if err != nil {
			return
		}
		write := func(p *rtp.Packet) { _ = out.WriteRTP(p) } // players come and go
		if s.options.Forward != nil {
			s.options.Forward(in.Kind().String(), p, write)
		} else {
			write(p)
		}
		if in.Kind() == webrtc.RTPCodecTypeVideo && time.Since(asked) > 500*time.Millisecond {
			asked = time.Now()
			_ = pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(in.SSRC())}})
		}
	}
}

// serveSession serves a request to a session.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request, id, body string) {
	one := s.all()[id]
	switch {
	case one == nil:
		whip.WriteProblem(w, http.StatusNotFound, "there is no such session")
	case r.Method == http.MethodDelete:
		s.end(id)
	case r.Method != http.MethodPatch || s.options.NoPatch:
		whip.WriteProblem(w, http.StatusMethodNotAllowed, "want PATCH or DELETE")
	case one.waiting && whip.IsType(r.Header.Get("Content-Type"), whip.TypeSDP):
		if err := one.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: body}); err != nil {
			whip.WriteProblem(w, http.StatusUnprocessableEntity, err.Error())
			return
		}
		one.waiting = false
		w.WriteHeader(http.StatusNoContent)
	default:
		s.patch(w, r, one, body)
	}
}

// patch serves candidates and ICE restarts.
func (s *Server) patch(w http.ResponseWriter, r *http.Request, one *session, body string) {
	if !whip.IsType(r.Header.Get("Content-Type"), whip.TypeFragment) {
		whip.WriteProblem(w, http.StatusUnsupportedMediaType, "want "+whip.TypeFragment)
		return
	}
	f, err := whip.ParseFragment(body)
	if err == nil && len(r.Header.Values("If-Match")) == 0 {
		whip.WriteProblem(w, http.StatusPreconditionRequired, "want If-Match")
		return
	}
	var match whip.IfMatch
	if err == nil {
		match, err = whip.ParseIfMatch(r.Header.Values("If-Match"))
	}
	if err != nil {
		whip.WriteProblem(w, http.StatusBadRequest, err.Error())
		return
	}
	if !match.Any {
		if !match.Matches(fmt.Sprint(one.etag)) {
			whip.WriteProblem(w, http.StatusPreconditionFailed, "the ETag is stale")
			return
		}
		for _, c := range f.Candidates {
			_ = one.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c.Line, SDPMid: &c.Mid}) // one that is unusable is dropped
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if one.offer, err = f.Describe(one.offer); err == nil {
		var answer string
		if answer, err = one.describe(); err == nil {
			if f, err = whip.FragmentOf(answer); err == nil {
				one.etag++
				w.Header().Set("Content-Type", whip.TypeFragment)
				w.Header().Set("ETag", whip.FormatETag(fmt.Sprint(one.etag)))
				_, _ = io.WriteString(w, f.String())
				return
			}
		}
	}
	whip.WriteProblem(w, http.StatusUnprocessableEntity, err.Error())
}
