package peer

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

// Object is one object of statistics, as W3C names it and its members
// (https://www.w3.org/TR/webrtc-stats/): id, type, timestamp in milliseconds,
// and what was measured. What was not measured is not there.
type Object map[string]any

// Report are all objects of a call, in a steady order.
type Report []Object

// stamp is a time as statistics have it: milliseconds since 1970.
func stamp(t time.Time) float64 { return float64(t.UnixMicro()) / 1000 }

// report of a connection, whose ids begin with prefix.
type report struct {
	*connection
	prefix string
	now    float64
	all    Report
	codecs map[string]bool
}

func (c *connection) report(prefix string) Report {
	r := &report{connection: c, prefix: prefix, now: stamp(time.Now()), codecs: map[string]bool{}}
	r.transport()
	out, in := c.streams.all(c.pc)
	for _, s := range out {
		for _, e := range s.Encodings() {
			r.outgoing(e, s.mid)
		}
	}
	for _, s := range in {
		r.incoming(s)
	}
	return r.all
}

// add appends an object and returns its id.
func (r *report) add(kind, id string, members Object) string {
	o := Object{"id": r.prefix + id, "type": kind, "timestamp": r.now}
	maps.Copy(o, members)
	r.all = append(r.all, o)
	return r.prefix + id
}

// transport adds the transport, its certificates and candidates, and the pairs:
// the one in use as it is now, the others as they were when it was selected.
func (r *report) transport() {
	dtls := r.pc.SCTP().Transport()
	t := Object{"dtlsState": dtls.State().String(), "iceState": dtls.ICETransport().State().String()}
	if role := dtls.ICETransport().Role(); role != webrtc.ICERoleUnknown {
		t["iceRole"] = role.String()
	}
	if dtls.State() == webrtc.DTLSTransportStateConnected {
		t["tlsVersion"] = "FEFD" // Pion speaks DTLS 1.2 alone
	}
	r.agreed.report(t)
	if id := r.localCertificate(); id != "" {
		t["localCertificateId"] = id
	}
	if der := dtls.GetRemoteCertificate(); len(der) > 0 {
		t["remoteCertificateId"] = r.certificate("remote", der)
	}
	for _, o := range r.seen.objects() {
		o := maps.Clone(o)
		o["id"], o["transportId"] = r.prefix+o["id"].(string), r.prefix+"T"
		r.all = append(r.all, o)
	}
	selected := r.pairInUse(t)
	if selected != "" {
		t["selectedCandidatePairId"] = selected
	}
	for _, p := range r.tried {
		if r.prefix+pairID(p) != selected {
			r.addPair(p)
		}
	}
	r.add("transport", "T", t)
}

func (r *report) localCertificate() string {
	if len(r.local) == 0 {
		return ""
	}
	return r.certificate("local", r.local)
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

// pairInUse adds the candidate pair in use, and what it counted to its transport.
func (r *report) pairInUse(t Object) string {
	p := r.inUse()
	if p == nil {
		return ""
	}
	for _, member := range []string{"packetsSent", "packetsReceived", "bytesSent", "bytesReceived"} {
		t[member] = p[member]
	}
	return r.addPair(p)
}

// addPair adds a pair, and its candidates where they are not there.
func (r *report) addPair(p Object) string {
	local, remote := p["localCandidateId"].(string), p["remoteCandidateId"].(string)
	r.missing(local, remote)
	id := pairID(p)
	p = maps.Clone(p)
	p["transportId"], p["localCandidateId"], p["remoteCandidateId"] = r.prefix+"T", r.prefix+local, r.prefix+remote
	return r.add("candidate-pair", id, p)
}

// pairID is the id of a pair, without the prefix.
func pairID(p Object) string {
	return fmt.Sprintf("P-%s-%s", p["localCandidateId"], p["remoteCandidateId"])
}

// inUse is the pair as it is, or as it was when it was seen last: a connection
// that is closed has none.
func (c *connection) inUse() Object {
	if p := c.selected(); p != nil {
		c.pair = p
	}
	return c.pair
}

func (c *connection) selected() Object {
	if !c.up.Load() {
		return nil
	}
	ice := c.pc.SCTP().Transport().ICETransport()
	s, ok := ice.GetSelectedCandidatePairStats()
	selected, err := ice.GetSelectedCandidatePair()
	if !ok || err != nil || selected == nil {
		return nil
	}
	p := Object{
		"localCandidateId": c.seen.of(false, selected.Local), "remoteCandidateId": c.seen.of(true, selected.Remote),
		"state": string(s.State), "nominated": s.Nominated,
		"packetsSent": s.PacketsSent, "packetsReceived": s.PacketsReceived,
		"bytesSent": s.BytesSent, "bytesReceived": s.BytesReceived,
	}
	if s.PacketsSent > 0 {
		p["lastPacketSentTimestamp"] = stamp(s.LastPacketSentTimestamp.Time())
	}
	if s.PacketsReceived > 0 {
		p["lastPacketReceivedTimestamp"] = stamp(s.LastPacketReceivedTimestamp.Time())
	}
	if s.ResponsesReceived > 0 {
		p["responsesReceived"] = s.ResponsesReceived
		p["currentRoundTripTime"], p["totalRoundTripTime"] = s.CurrentRoundTripTime, s.TotalRoundTripTime
	}
	if estimate := c.bw.TargetBitrate(); estimate > 0 {
		p["availableOutgoingBitrate"] = estimate
	}
	return p
}

// missing adds candidates that became known by the pair in use only just now.
func (r *report) missing(ids ...string) {
	for _, id := range ids {
		for _, o := range r.seen.objects() {
			if o["id"] != id || r.has(r.prefix+id) {
				continue
			}
			o = maps.Clone(o)
			o["id"], o["transportId"] = r.prefix+id, r.prefix+"T"
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

// codec adds a codec, once, and returns its id.
func (r *report) codec(c webrtc.RTPCodecParameters) string {
	id := fmt.Sprintf("Codec-%s-%d", strings.ReplaceAll(strings.ToLower(c.MimeType), "/", "-"), c.PayloadType)
	if r.codecs[id] {
		return r.prefix + id
	}
	r.codecs[id] = true
	o := Object{"transportId": r.prefix + "T", "payloadType": int(c.PayloadType), "mimeType": c.MimeType, "clockRate": c.ClockRate}
	if c.Channels > 0 {
		o["channels"] = c.Channels
	}
	if c.SDPFmtpLine != "" {
		o["sdpFmtpLine"] = c.SDPFmtpLine
	}
	return r.add("codec", id, o)
}
