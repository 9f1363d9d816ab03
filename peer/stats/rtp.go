package stats

import (
	"fmt"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/peer/internal/interceptors/rtpstats"
	"parley/peer/internal/sender"
)

// Outbound is a track that is sent, with all its encodings.
type Outbound struct {
	Track *sender.Track
	MID   string
}

// Inbound is a track that is received. RID is that of the peer, "" for none.
type Inbound struct {
	Track    *webrtc.TrackRemote
	MID, RID string
}

// addOutbound adds the media-source, outbound-rtp and remote-inbound-rtp of an encoding.
func (r *report) addOutbound(out *sender.Track, mid string) {
	kind := out.Kind().String()
	ssrc, codec := out.Binding()
	if ssrc == 0 {
		return
	}
	attached := out.Local() != nil
	source := r.source(out, attached)
	s, ok := r.Recorder.Outbound(ssrc)
	if !ok {
		return
	}
	id := fmt.Sprintf("O%d", ssrc)
	o := Object{
		"kind": kind, "ssrc": ssrc, "mid": mid, "transportId": r.Prefix + "T",
		"active":      attached && !out.Suppressed(),
		"packetsSent": s.PacketsSent, "bytesSent": s.BytesSent, "headerBytesSent": s.HeaderBytesSent,
		"retransmittedPacketsSent": s.RetransmittedPacketsSent, "retransmittedBytesSent": s.RetransmittedBytesSent,
		"nackCount": s.NACKCount,
	}
	if source != "" {
		o["mediaSourceId"] = source
	}
	if out.RID() != "" {
		o["rid"] = out.RID()
	}
	if rtx := s.Info.SSRCRetransmission; rtx != 0 {
		o["rtxSsrc"] = rtx
	}
	if kind == "video" {
		o["framesSent"], o["keyFramesSent"], o["hugeFramesSent"] = s.FramesSent, s.KeyFramesSent, s.HugeFramesSent
		o["pliCount"], o["firCount"] = s.PLICount, s.FIRCount
	}
	o["codecId"] = r.codec(codec)
	if s.HasReport {
		o["remoteId"] = r.remoteInbound(kind, id, ssrc, s, o["codecId"])
	}
	r.add("outbound-rtp", id, o)
}

// source adds the media-source of an encoding and returns its id, "" if none is attached. The
// encodings of a track share it.
func (r *report) source(out *sender.Track, attached bool) string {
	if !attached {
		return ""
	}
	ssrc, _ := out.First().Binding()
	id := fmt.Sprintf("S%d", ssrc)
	if r.has(r.Prefix + id) {
		return r.Prefix + id
	}
	return r.add("media-source", id, Object{"kind": out.Kind().String(), "trackIdentifier": out.ID()})
}

func (r *report) remoteInbound(kind, local string, ssrc uint32, s rtpstats.Outbound, codec any) string {
	o := Object{
		"timestamp": timestamp(s.ReportAt), "kind": kind, "ssrc": ssrc, "transportId": r.Prefix + "T",
		"localId": r.Prefix + local, "codecId": codec, "packetsLost": s.PacketsLost, "fractionLost": s.FractionLost,
		"roundTripTimeMeasurements": s.RoundTripTimeMeasurements,
	}
	if s.Info.ClockRate > 0 {
		o["jitter"] = s.Jitter
	}
	if s.RoundTripTimeMeasurements > 0 {
		o["roundTripTime"], o["totalRoundTripTime"] = s.RoundTripTime.Seconds(), s.TotalRoundTripTime.Seconds()
	}
	return r.add("remote-inbound-rtp", fmt.Sprintf("RI%d", ssrc), o)
}

// addInbound adds the inbound-rtp and remote-outbound-rtp of a track.
func (r *report) addInbound(in Inbound) {
	track, kind, ssrc := in.Track, in.Track.Kind().String(), uint32(in.Track.SSRC())
	i, ok := r.Recorder.Inbound(ssrc)
	if !ok {
		return
	}
	id := fmt.Sprintf("I%d", ssrc)
	o := Object{
		"kind": kind, "ssrc": ssrc, "mid": in.MID, "transportId": r.Prefix + "T",
		"trackIdentifier": track.ID(), "codecId": r.codec(track.Codec()),
		"packetsReceived": i.PacketsReceived, "bytesReceived": i.BytesReceived, "headerBytesReceived": i.HeaderBytesReceived,
		"packetsLost": i.PacketsLost(), "lastPacketReceivedTimestamp": timestamp(i.LastPacketReceived), "nackCount": i.NACKCount,
	}
	if in.RID != "" {
		o["rid"] = in.RID
	}
	if i.Info.ClockRate > 0 {
		o["jitter"] = i.Jitter / float64(i.Info.ClockRate)
	}
	if kind == "video" {
		o["pliCount"], o["firCount"] = i.PLICount, i.FIRCount
	}
	r.retransmissions(o, i, uint32(track.RtxSSRC()))
	if i.HasReport {
		o["remoteId"] = r.remoteOutbound(kind, id, ssrc, i, o["codecId"])
	}
	r.add("inbound-rtp", id, o)
}

// retransmissions adds what came in by the RTX SSRC (RFC 4588).
func (r *report) retransmissions(o Object, i rtpstats.Inbound, ssrc uint32) {
	if ssrc == 0 {
		return
	}
	o["rtxSsrc"] = ssrc
	rtx, _ := r.Recorder.Inbound(ssrc) // nothing may have come in it
	again := rtx.PacketsReceived - rtx.PaddingPackets
	o["retransmittedPacketsReceived"], o["retransmittedBytesReceived"] = again, rtx.BytesReceived
	o["packetsReceived"], o["bytesReceived"] = i.PacketsReceived+rtx.PacketsReceived, i.BytesReceived+rtx.BytesReceived
	o["headerBytesReceived"] = i.HeaderBytesReceived + rtx.HeaderBytesReceived
	// Some are no repairs: browsers probe the bandwidth with them.
	o["packetsLost"] = max(i.PacketsLost()-int64(again), min(i.PacketsLost(), 0))
}

func (r *report) remoteOutbound(kind, local string, ssrc uint32, i rtpstats.Inbound, codec any) string {
	o := Object{
		"timestamp": timestamp(i.ReportAt), "kind": kind, "ssrc": ssrc, "transportId": r.Prefix + "T",
		"localId": r.Prefix + local, "codecId": codec, "packetsSent": i.PacketsSent, "bytesSent": i.BytesSent,
		"reportsSent": i.ReportsSent,
	}
	if !i.RemoteTimestamp.IsZero() && i.RemoteTimestamp.After(time.Unix(0, 0)) {
		o["remoteTimestamp"] = timestamp(i.RemoteTimestamp) // by the clock of the peer
	}
	return r.add("remote-outbound-rtp", fmt.Sprintf("RO%d", ssrc), o)
}
