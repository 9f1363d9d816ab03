//go:build !quick

package receiver

import (
	"bytes"
	"encoding/base64"
	"slices"
	"testing"
	"time"

	"parley/media"
	"parley/media/codec"
	"parley/media/container/annexb"
	"parley/media/container/ivf"
	"parley/media/internal/mediatest"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// renumber gives packets new sequence numbers, in their order.
func renumber(sent []mediatest.Sent) []mediatest.Sent {
	for i := range sent {
		p := *sent[i].Packet
		p.SequenceNumber = uint16(i) //nolint:gosec // small
		sent[i].Packet = &p
	}
	return sent
}

// h264Samples returns 50 frames of H.264, with parameter sets before every tenth.
func h264Samples(t *testing.T) []media.Sample {
	t.Helper()
	clip := mediatest.Clip(t, "h264.h264", "-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-g", "10", "-slices", "3", "-b:v", "2M")
	_, samples := mediatest.Demux(t, annexb.NewDemuxer, mediatest.ReadFile(t, clip))
	return samples
}

// isParameterSet reports whether a packet holds a single SPS or PPS.
func isParameterSet(p *rtp.Packet) bool {
	t := codec.NALType(p.Payload)
	return t == codec.NALSPS || t == codec.NALPPS
}

// TestEarlierParameterSets: SPS and PPS with an earlier timestamp than their IDR picture, as
// cameras send them, are no frame. The key frame gets them.
func TestEarlierParameterSets(t *testing.T) {
	samples := h264Samples(t)
	for name, move := range map[string]func(p *rtp.Packet){
		"one timestamp": func(p *rtp.Packet) { p.Timestamp -= 1500 },
		"with marker":   func(p *rtp.Packet) { p.Timestamp -= 1500; p.Marker = true },
		"two timestamps": func(p *rtp.Packet) {
			p.Timestamp -= 1500
			if codec.NALType(p.Payload) == codec.NALPPS {
				p.Timestamp++
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			sent := mediatest.Packetize(webrtc.MimeTypeH264, samples)
			for _, s := range sent {
				if isParameterSet(s.Packet) {
					move(s.Packet)
				}
			}
			frames, stats := receive(t, webrtc.MimeTypeH264, Options{}, sent)
			checkFrames(t, frames, samples)
			if stats.KeyFrames != 5 || stats.Broken != 0 || stats.Width != 160 || stats.Height != 120 {
				t.Errorf("stats are %+v", stats)
			}
		})
	}
}

// checkFrames compares received frames with the samples that were sent.
func checkFrames(t *testing.T, frames []media.Frame, samples []media.Sample) {
	t.Helper()
	if len(frames) != len(samples) {
		t.Fatalf("got %d frames, want %d", len(frames), len(samples))
	}
	for i, f := range frames {
		if !bytes.Equal(withoutSEI(f.Data), withoutSEI(samples[i].Data)) || f.Gap {
			t.Errorf("frame %d has %d bytes, want %d; gap %v", i, len(f.Data), len(samples[i].Data), f.Gap)
		}
	}
}

// withoutSEI leaves out SEI, whose place among the parameter sets does not matter.
func withoutSEI(frame []byte) (out []byte) {
	for nal := range codec.NALUnits(frame) {
		if codec.NALType(nal) != codec.NALSEI {
			out = codec.AppendNALUnit(out, nal)
		}
	}
	return out
}

// TestParameterSetsOnce: parameter sets that are sent only once, or only in the format parameters
// of SDP, are in every key frame.
func TestParameterSetsOnce(t *testing.T) {
	samples := h264Samples(t)
	var sets []string
	first := true
	sent := slices.DeleteFunc(mediatest.Packetize(webrtc.MimeTypeH264, samples), func(s mediatest.Sent) bool {
		if !isParameterSet(s.Packet) {
			first = false
			return false
		}
		if first {
			sets = append(sets, base64.StdEncoding.EncodeToString(s.Packet.Payload))
		}
		return !first
	})
	frames, _ := receive(t, webrtc.MimeTypeH264, Options{}, renumber(sent))
	checkFrames(t, frames, samples)

	var d frameAssembler
	codec := mediatest.CodecParameters(webrtc.MimeTypeH264)
	codec.SDPFmtpLine += ";sprop-parameter-sets=" + sets[0] + "," + sets[1]
	var received []media.Frame
	d.reset(newDepacketizer(codec), func(f assembledFrame) {
		received = append(received, media.Frame{Data: bytes.Clone(f.data)})
	}, func() { t.Error("a frame was dropped") })
	for _, s := range sent[2:] {
		d.push(bufferedPacket{packet: s.Packet})
	}
	checkFrames(t, received, samples)
}

// TestParameterSetsOfAnotherStream: a new SSRC does not get the parameter sets of the old one.
func TestParameterSetsOfAnotherStream(t *testing.T) {
	samples := h264Samples(t)
	sent := mediatest.Packetize(webrtc.MimeTypeH264, samples[:10])
	second := slices.DeleteFunc(mediatest.Packetize(webrtc.MimeTypeH264, samples[:10]), func(s mediatest.Sent) bool { return isParameterSet(s.Packet) })
	for i := range second {
		second[i].Packet.SSRC++
		second[i].At += time.Second
	}
	frames, _ := receive(t, webrtc.MimeTypeH264, Options{}, append(sent, renumber(second)...))
	if len(frames) != 20 {
		t.Fatalf("got %d frames, want 20", len(frames))
	}
	for nal := range codec.NALUnits(frames[10].Data) {
		if codec.NALType(nal) == codec.NALSPS {
			t.Error("the key frame of the second stream has the parameter sets of the first")
		}
	}
}

// layered joins VP9 streams to the packets of superframes with one spatial layer from each (RFC
// 9628).
func layered(t *testing.T, layers ...[]media.Sample) (sent []mediatest.Sent) {
	t.Helper()
	number := uint16(0)
	for n := range layers[0] {
		for sid, samples := range layers {
			data := samples[n].Data
			for start := 0; start < len(data); start += 1000 {
				end := min(start+1000, len(data))
				// I, L and F; P unless it is a key frame; B and E at the start and end of the layer
				// frame.
				header := byte(0x80 | 0x20 | 0x10)
				if n%10 != 0 {
					header |= 0x40
				}
				if start == 0 {
					header |= 8
				}
				if end == len(data) {
					header |= 4
				}
				payload := []byte{header, byte(n) & 0x7F, byte(sid) << 1}
				if sid > 0 {
					payload[2] |= 1 // D: predicted from the layer below
				}
				if n%10 != 0 {
					payload = append(payload, 1<<1) // P_DIFF
				}
				sent = append(sent, mediatest.Sent{
					At: time.Duration(n) * 40 * time.Millisecond,
					Packet: &rtp.Packet{Payload: append(payload, data[start:end]...), Header: rtp.Header{
						Version: 2, PayloadType: 98, SSRC: 1, SequenceNumber: number, Timestamp: uint32(n) * 3600,
						Marker: sid == len(layers)-1 && end == len(data),
					}},
				})
				number++
			}
		}
	}
	return sent
}

// TestVP9SpatialLayers: a superframe of several spatial layers is one frame with the size of the
// highest layer, which is the only one that is shown.
func TestVP9SpatialLayers(t *testing.T) {
	var layers [][]media.Sample
	for _, size := range []string{"80x60", "160x120", "320x240"} {
		clip := mediatest.Clip(t, "vp9-"+size+".ivf", "-vf", "scale="+size, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", "-lag-in-frames", "0", "-g", "10", "-b:v", "1M")
		_, samples := mediatest.Demux(t, ivf.NewDemuxer, mediatest.ReadFile(t, clip))
		layers = append(layers, samples)
	}
	for count := 1; count <= len(layers); count++ {
		frames, stats := receive(t, webrtc.MimeTypeVP9, Options{}, layered(t, layers[:count]...))
		width, height := 40<<count, 30<<count
		if len(frames) != 50 || stats.Broken != 0 || stats.KeyFrames != 5 || stats.Width != width || stats.Height != height {
			t.Fatalf("%d layers: got %d frames, stats %+v", count, len(frames), stats)
		}
		for n, f := range frames {
			if f.Key != (n%10 == 0) || f.Key && (f.Width != width || f.Height != height) {
				t.Errorf("%d layers: frame %d is %+v", count, n, f)
			}
			parts := codec.VP9Frames(f.Data)
			if len(parts) != count {
				t.Fatalf("%d layers: frame %d has %d parts", count, n, len(parts))
			}
			for sid, part := range parts {
				const showFrame = 2 // in the first byte
				want := layers[sid][n].Data
				switch top := sid == count-1; {
				case top && !bytes.Equal(part, want):
					t.Errorf("%d layers: the highest layer of frame %d differs", count, n)
				case !top && f.Key && (part[0] != want[0]&^showFrame || len(part) < len(want) || len(part) > len(want)+1 || !bytes.HasSuffix(part, want[30:])):
					t.Errorf("%d layers: layer %d of frame %d is not hidden, or differs in more than that", count, sid, n)
				}
			}
		}
	}
}

// TestRotation: the orientation of video in the last packet of a frame holds until it changes.
func TestRotation(t *testing.T) {
	samples := videoSamples(t)[webrtc.MimeTypeVP8]
	sent := mediatest.Packetize(webrtc.MimeTypeVP8, samples)
	want, n := make([]int, 50), 0
	for _, s := range sent {
		if !s.Packet.Marker {
			continue
		}
		value, set := map[int]byte{10: 1, 20: 2, 25: 0x0F, 30: 0}[n]
		if set {
			if err := s.Packet.SetExtension(5, []byte{value}); err != nil {
				t.Fatal(err)
			}
		} else if err := s.Packet.SetExtension(7, []byte{3}); err != nil { // something else
			t.Fatal(err)
		}
		switch {
		case set:
			want[n] = int(value&3) * 90
		case n > 0:
			want[n] = want[n-1]
		}
		n++
	}
	calls := 0
	id := func() uint8 { // is negotiated late
		if calls++; calls == 1 {
			return 0
		}
		return 5
	}
	for name, test := range map[string]struct {
		id   func() uint8
		want []int
	}{"negotiated": {func() uint8 { return 5 }, want}, "late": {id, want}, "not negotiated": {func() uint8 { return 0 }, make([]int, 50)}, "nil": {nil, make([]int, 50)}} {
		frames, _ := receive(t, webrtc.MimeTypeVP8, Options{OrientationExtensionID: test.id}, sent)
		if len(frames) != 50 {
			t.Fatalf("%s: got %d frames", name, len(frames))
		}
		for i, f := range frames {
			if name == "late" && i < 30 { // it is asked for once a second
				continue
			}
			if f.Rotation != test.want[i] {
				t.Errorf("%s: frame %d has a rotation of %d, want %d", name, i, f.Rotation, test.want[i])
			}
		}
	}
}
