// Package stats describes what a call has measured by the names of W3C webrtc-stats.
package stats

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/rtpstats"
)

// Object is a stats object with the member names of W3C webrtc-stats
// (https://www.w3.org/TR/webrtc-stats/): id, type, timestamp in milliseconds, and what was
// measured. A member that was not measured is absent.
type Object map[string]any

// Report has all objects of a call, in a stable order.
type Report []Object

// ByType returns the objects of a type, such as "inbound-rtp".
func (r Report) ByType(name string) []Object {
	var found []Object
	for _, o := range r {
		if o["type"] == name {
			found = append(found, o)
		}
	}
	return found
}

// timestamp returns a time in milliseconds since 1970.
func timestamp(t time.Time) float64 { return float64(t.UnixMicro()) / 1000 }

// Connection is what the report of one connection is made from.
type Connection struct {
	Prefix           string // of the ids, which distinguishes the connections of a call
	DTLS             *webrtc.DTLSTransport
	LocalCertificate []byte // DER, nil for none
	Candidates       *Candidates
	Transport        *Transport
	Recorder         *rtpstats.Recorder
	SelectedPair     Object   // by SelectedPair, nil for none
	Pairs            []Object // by Candidates.Pairs
	Outbound         []Outbound
	Inbound          []Inbound
}

// report assembles the report of a connection.
type report struct {
	Connection
	now    float64
	all    Report
	codecs map[string]bool
}

// Report returns the objects of the connection.
func (c Connection) Report() Report {
	r := &report{Connection: c, now: timestamp(time.Now()), codecs: map[string]bool{}}
	r.addTransport()
	for _, o := range c.Outbound {
		for _, encoding := range o.Track.Encodings() {
			r.addOutbound(encoding, o.MID)
		}
	}
	for _, i := range c.Inbound {
		r.addInbound(i)
	}
	return r.all
}

// add appends an object and returns its id.
func (r *report) add(kind, id string, members Object) string {
	o := Object{"id": r.Prefix + id, "type": kind, "timestamp": r.now}
	maps.Copy(o, members)
	r.all = append(r.all, o)
	return r.Prefix + id
}

// addTransport adds the transport with its certificates, candidates and pairs.
func (r *report) addTransport() {
	dtls := r.DTLS
	t := Object{"dtlsState": dtls.State().String(), "iceState": dtls.ICETransport().State().String()}
	if role := dtls.ICETransport().Role(); role != webrtc.ICERoleUnknown {
		t["iceRole"] = role.String()
	}
	if dtls.State() == webrtc.DTLSTransportStateConnected {
		t["tlsVersion"] = "FEFD" // the only version that Pion has
	}
	r.Transport.addTo(t)
	if id := r.localCertificate(); id != "" {
		t["localCertificateId"] = id
	}
	if der := dtls.GetRemoteCertificate(); len(der) > 0 {
		t["remoteCertificateId"] = r.certificate("remote", der)
	}
	for _, o := range r.Candidates.objects() {
		o := maps.Clone(o)
		o["id"], o["transportId"] = r.Prefix+o["id"].(string), r.Prefix+"T"
		r.all = append(r.all, o)
	}
	selected := r.addSelectedPair(t)
	if selected != "" {
		t["selectedCandidatePairId"] = selected
	}
	for _, p := range r.Pairs {
		if r.Prefix+pairID(p) != selected {
			r.addPair(p)
		}
	}
	r.add("transport", "T", t)
}

func (r *report) localCertificate() string {
	if len(r.LocalCertificate) == 0 {
		return ""
	}
	return r.certificate("local", r.LocalCertificate)
}

func (r *report) certificate(side string, der []byte) string {
	var hex []string
	for _, b := range sha256.Sum256(der) {
		hex = append(hex, fmt.Sprintf("%02X", b))
	}
	return r.add("certificate", "C"+side, Object{
		"fingerprint": strings.Join(hex, ":"), "fingerprintAlgorithm": "sha-256",
		"base64Certificate": base64.StdEncoding.EncodeToString(der),
	})
}

// addSelectedPair adds the selected pair, and its counters to the transport t. It returns its id,
// "" for none.
func (r *report) addSelectedPair(t Object) string {
	p := r.SelectedPair
	if p == nil {
		return ""
	}
	for _, member := range []string{"packetsSent", "packetsReceived", "bytesSent", "bytesReceived"} {
		t[member] = p[member]
	}
	return r.addPair(p)
}

// addPair adds a pair, and its candidates if they are missing.
func (r *report) addPair(p Object) string {
	local, remote := p["localCandidateId"].(string), p["remoteCandidateId"].(string)
	r.addMissing(local, remote)
	id := pairID(p)
	p = maps.Clone(p)
	p["transportId"], p["localCandidateId"], p["remoteCandidateId"] = r.Prefix+"T", r.Prefix+local, r.Prefix+remote
	return r.add("candidate-pair", id, p)
}

// pairID returns the id of a pair without the prefix.
func pairID(p Object) string {
	return fmt.Sprintf("P-%s-%s", p["localCandidateId"], p["remoteCandidateId"])
}

// addMissing adds candidates that became known by the selected pair.
func (r *report) addMissing(ids ...string) {
	for _, id := range ids {
		for _, o := range r.Candidates.objects() {
			if o["id"] != id || r.has(r.Prefix+id) {
				continue
			}
			o = maps.Clone(o)
			o["id"], o["transportId"] = r.Prefix+id, r.Prefix+"T"
			r.all = append(r.all, o)
		}
	}
}

func (r *report) has(id string) bool {
	for _, o := range r.all {
		if o["id"] == id {
			return true
		}
	}
	return false
}

// codec adds a codec once and returns its id.
func (r *report) codec(c webrtc.RTPCodecParameters) string {
	id := fmt.Sprintf("Codec-%s-%d", strings.ReplaceAll(strings.ToLower(c.MimeType), "/", "-"), c.PayloadType)
	if r.codecs[id] {
		return r.Prefix + id
	}
	r.codecs[id] = true
	o := Object{"transportId": r.Prefix + "T", "payloadType": int(c.PayloadType), "mimeType": c.MimeType, "clockRate": c.ClockRate}
	if c.Channels > 0 {
		o["channels"] = c.Channels
	}
	if c.SDPFmtpLine != "" {
		o["sdpFmtpLine"] = c.SDPFmtpLine
	}
	return r.add("codec", id, o)
}
