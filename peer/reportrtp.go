package peer

import (
	"fmt"
	"time"
)

// outgoing adds what goes out: media-source, outbound-rtp, and what the other
// side reports of it.
func (r *report) outgoing(out outStream) {
	kind, mid := out.Kind().String(), out.mid
	ssrc, codec := out.bind()
	if ssrc == 0 {
		return
	}
	attached := out.current() != nil
	source := r.source(out, ssrc, attached)
	s, ok := r.meter.sending(ssrc)
	if !ok {
		return
	}
	id := fmt.Sprintf("O%d", ssrc)
	o := Object{
		"kind": kind, "ssrc": ssrc, "mid": mid, "transportId": r.prefix + "T",
		"active":      attached && !out.quiet(),
		"packetsSent": s.packets, "bytesSent": s.bytes, "headerBytesSent": s.headers,
		"retransmittedPacketsSent": s.again, "retransmittedBytesSent": s.againBytes,
		"nackCount": s.nacks,
	}
	if source != "" {
		o["mediaSourceId"] = source
	}
	if out.RID() != "" {
		o["rid"] = out.RID()
	}
	if rtx := s.info.SSRCRetransmission; rtx != 0 {
		o["rtxSsrc"] = rtx
	}
	if kind == "video" {
		o["framesSent"], o["keyFramesSent"], o["hugeFramesSent"] = s.frames, s.keys, s.huge
		o["pliCount"], o["firCount"] = s.plis, s.firs
	}
	o["codecId"] = r.codec(codec)
	if s.heard {
		o["remoteId"] = r.remoteInbound(kind, id, ssrc, s, o["codecId"])
	}
	r.add("outbound-rtp", id, o)
}

// source adds the media-source of a stream and returns its id, "" if none is
// attached. Layers have one together.
func (r *report) source(out outStream, ssrc uint32, attached bool) string {
	if !attached {
		return ""
	}
	if l := out.layer; l != nil && l.first != nil {
		ssrc, _ = l.first.bind()
	}
	id := fmt.Sprintf("S%d", ssrc)
	if r.has(r.prefix + id) {
		return r.prefix + id
	}
	return r.add("media-source", id, Object{"kind": out.Kind().String(), "trackIdentifier": out.ID()})
}

func (r *report) remoteInbound(kind, local string, ssrc uint32, s rtpOut, codec any) string {
	o := Object{
		"timestamp": stamp(s.heardAt), "kind": kind, "ssrc": ssrc, "transportId": r.prefix + "T",
		"localId": r.prefix + local, "codecId": codec, "packetsLost": s.lost, "fractionLost": s.fraction,
		"roundTripTimeMeasurements": s.measurements,
	}
	if s.info.ClockRate > 0 {
		o["jitter"] = s.jitter
	}
	if s.measurements > 0 {
		o["roundTripTime"], o["totalRoundTripTime"] = s.rtt.Seconds(), s.totalRTT.Seconds()
	}
	return r.add("remote-inbound-rtp", fmt.Sprintf("RI%d", ssrc), o)
}

// incoming adds what comes in: inbound-rtp, and what the other side reports of
// it.
func (r *report) incoming(in inStream) {
	track, kind, ssrc := in.track, in.track.Kind().String(), uint32(in.track.SSRC())
	i, ok := r.meter.receiving(ssrc)
	if !ok || !i.started {
		return
	}
	id := fmt.Sprintf("I%d", ssrc)
	o := Object{
		"kind": kind, "ssrc": ssrc, "mid": in.mid, "transportId": r.prefix + "T",
		"trackIdentifier": track.ID(), "codecId": r.codec(track.Codec()),
		"packetsReceived": i.packets, "bytesReceived": i.bytes, "headerBytesReceived": i.headers,
		"packetsLost": i.lost(), "lastPacketReceivedTimestamp": stamp(i.last), "nackCount": i.nacks,
	}
	if rid := ridOf(track); rid != "" {
		o["rid"] = rid
	}
	if i.info.ClockRate > 0 {
		o["jitter"] = i.jitter / float64(i.info.ClockRate)
	}
	if kind == "video" {
		o["pliCount"], o["firCount"] = i.plis, i.firs
	}
	r.retransmissions(o, i, uint32(track.RtxSSRC()))
	if i.told {
		o["remoteId"] = r.remoteOutbound(kind, id, ssrc, i, o["codecId"])
	}
	r.add("inbound-rtp", id, o)
}

// retransmissions adds those that came in a stream of their own (RFC 4588).
func (r *report) retransmissions(o Object, i rtpIn, ssrc uint32) {
	if ssrc == 0 {
		return
	}
	o["rtxSsrc"] = ssrc
	rtx, _ := r.meter.receiving(ssrc) // nothing may have come in it
	again := rtx.packets - rtx.empty
	o["retransmittedPacketsReceived"], o["retransmittedBytesReceived"] = again, rtx.bytes
	o["packetsReceived"], o["bytesReceived"] = i.packets+rtx.packets, i.bytes+rtx.bytes
	o["headerBytesReceived"] = i.headers + rtx.headers
	// Some repeat what was not lost, to find out what the path carries.
	o["packetsLost"] = max(i.lost()-int64(again), min(i.lost(), 0))
}

func (r *report) remoteOutbound(kind, local string, ssrc uint32, i rtpIn, codec any) string {
	o := Object{
		"timestamp": stamp(i.toldAt), "kind": kind, "ssrc": ssrc, "transportId": r.prefix + "T",
		"localId": r.prefix + local, "codecId": codec, "packetsSent": i.sentPackets, "bytesSent": i.sentBytes,
		"reportsSent": i.reports,
	}
	if !i.theirs.IsZero() && i.theirs.After(time.Unix(0, 0)) {
		o["remoteTimestamp"] = stamp(i.theirs) // of a clock that is not ours
	}
	return r.add("remote-outbound-rtp", fmt.Sprintf("RO%d", ssrc), o)
}
