package peertest

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/ice/v4"
)

// A Hostile is the answering side of one call.
type Hostile struct {
	t           testing.TB
	agent       *ice.Agent
	conn        *ice.Conn // once Connect has returned
	Certificate tls.Certificate
	// Setup is the DTLS role that the answer takes: active (default) or passive.
	Setup string
	// Limit is the largest message that the answer announces, in bytes. Default:
	// what the offer does.
	Limit int
	// Lines are added to each media section of the answer.
	Lines string

	dtls, srtp *layer
	done       chan struct{} // closed when nothing is read any more
	remote     credentials
}

type credentials struct{ ufrag, password string }

// New is a hostile peer that is gone when the test is over.
func New(t testing.TB) *Hostile {
	t.Helper()
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	agent, err := ice.NewAgentWithOptions(
		ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
		ice.WithIncludeLoopback(),
		ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled),
	)
	if err != nil {
		t.Fatal(err)
	}
	h := &Hostile{t: t, agent: agent, Certificate: certificate, Setup: "active", done: make(chan struct{})}
	t.Cleanup(h.Close)
	return h
}

// Close vanishes without a word.
func (h *Hostile) Close() {
	_ = h.agent.GracefulClose() // it may have been closed before
	if h.conn != nil {
		<-h.done
	}
}

// Answer is the answer to an offer, with all candidates.
func (h *Hostile) Answer(offer string) string {
	h.t.Helper()
	candidates := h.gather()
	ufrag, password, err := h.agent.GetLocalUserCredentials()
	if err != nil {
		h.t.Fatal(err)
	}
	h.remote = credentials{attribute(offer, "ice-ufrag"), attribute(offer, "ice-pwd")}
	var answer strings.Builder
	section := false
	for line := range strings.Lines(offer) {
		line = strings.TrimRight(line, "\r\n")
		switch key, _, _ := strings.Cut(strings.TrimPrefix(line, "a="), ":"); key {
		case "fingerprint", "setup", "ice-ufrag", "ice-pwd", "candidate", "end-of-candidates", "ssrc", "msid", "ssrc-group":
			continue
		}
		if strings.HasPrefix(line, "s=") {
			line = "s=-"
		}
		if strings.HasPrefix(line, "m=") {
			section = true
		}
		if h.Limit > 0 && strings.HasPrefix(line, "a=max-message-size:") {
			line = fmt.Sprintf("a=max-message-size:%d", h.Limit)
		}
		switch line {
		case "a=recvonly":
			line = "a=sendonly"
		case "a=sendonly":
			line = "a=recvonly"
		}
		answer.WriteString(line + "\r\n")
		if section && strings.HasPrefix(line, "a=mid:") {
			fmt.Fprintf(&answer, "a=fingerprint:sha-256 %s\r\na=setup:%s\r\na=ice-ufrag:%s\r\na=ice-pwd:%s\r\n%s",
				h.fingerprint(), h.Setup, ufrag, password, h.Lines)
			for _, c := range candidates {
				answer.WriteString("a=candidate:" + c + "\r\n")
			}
		}
	}
	return answer.String()
}

func (h *Hostile) gather() []string {
	h.t.Helper()
	var all []string
	complete := make(chan struct{})
	err := h.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(complete)
			return
		}
		all = append(all, c.Marshal())
	})
	if err == nil {
		err = h.agent.GatherCandidates()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	<-complete
	return all
}

func (h *Hostile) fingerprint() string {
	sum := sha256.Sum256(h.Certificate.Certificate[0])
	return strings.TrimSuffix(strings.ReplaceAll(fmt.Sprintf("% X:", sum), " ", ":"), ":")
}

// Candidate takes a candidate of the offerer; what ICE cannot use is dropped.
func (h *Hostile) Candidate(line string) {
	if c, err := ice.UnmarshalCandidate(strings.TrimPrefix(line, "candidate:")); err == nil {
		_ = h.agent.AddRemoteCandidate(c) // it may be closed
	}
}

// Connect waits for ICE, and reads from then on.
func (h *Hostile) Connect(ctx context.Context) error {
	conn, err := h.agent.Accept(ctx, h.remote.ufrag, h.remote.password)
	if err != nil {
		return err
	}
	h.conn = conn
	h.dtls, h.srtp = newLayer(conn), newLayer(conn)
	go h.read()
	return nil
}

// read divides what comes by its first byte (RFC 7983 section 7).
func (h *Hostile) read() {
	defer close(h.done)
	defer h.dtls.Close()
	defer h.srtp.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := h.conn.Read(buf)
		if err != nil {
			return
		}
		switch first := buf[0]; {
		case n == 0:
		case first >= 20 && first <= 63:
			h.dtls.push(buf[:n])
		case first >= 128 && first <= 191:
			h.srtp.push(buf[:n])
		}
	}
}

// Write sends a packet beneath every layer but ICE.
func (h *Hostile) Write(packet []byte) error {
	_, err := h.conn.Write(packet)
	return err
}

// Credentials are those of ICE: the offerer's and ours.
func (h *Hostile) Credentials() (theirUfrag, theirPassword, ourUfrag string) {
	ufrag, _, _ := h.agent.GetLocalUserCredentials()
	return h.remote.ufrag, h.remote.password, ufrag
}

// Address is where the packets of the call go.
func (h *Hostile) Address() net.Addr { return h.conn.RemoteAddr() }

// attribute is the first value of an attribute in a description.
func attribute(text, key string) string {
	_, rest, _ := strings.Cut(text, "\na="+key+":")
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}
