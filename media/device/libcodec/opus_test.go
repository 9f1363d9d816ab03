//go:build linux && cgo

package libcodec

import (
	"math"
	"testing"

	"parley/media/internal/mediatest"

	"github.com/thesyncim/gopus"
)

// TestOpusFEC decodes a lost packet from the one after it, which is nearer to the original than
// concealment.
func TestOpusFEC(t *testing.T) {
	e, err := NewOpusEncoder(48000, 1, 32000, 10)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const packets, lost = 50, 40
	pcm := mediatest.Speech(packets * 960)
	var sent [][]byte
	for i := range packets {
		p, err := e.Encode(pcm[i*960 : (i+1)*960])
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, append([]byte(nil), p...))
	}
	decode := func(repair func(d *gopus.Decoder, out []float32) (int, error)) []float32 {
		d, err := gopus.NewDecoder(gopus.DecoderConfig{SampleRate: 48000, Channels: 1})
		if err != nil {
			t.Fatal(err)
		}
		out := make([]float32, 960)
		for i := range lost {
			if _, err := d.Decode(sent[i], out); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := repair(d, out); err != nil {
			t.Fatal(err)
		}
		return append([]float32(nil), out...)
	}
	want := decode(func(d *gopus.Decoder, out []float32) (int, error) { return d.Decode(sent[lost], out) })
	again := decode(func(d *gopus.Decoder, out []float32) (int, error) { return d.DecodeWithFEC(sent[lost+1], out, true) })
	guess := decode(func(d *gopus.Decoder, out []float32) (int, error) { return d.DecodeWithFEC(nil, out, false) })
	repaired, guessed := off(again, want), off(guess, want)
	t.Logf("off by %.3f with the copy, %.3f without", repaired, guessed)
	if repaired > guessed*0.9 {
		t.Errorf("the copy is off by %.3f, a guess by %.3f", repaired, guessed)
	}
}

// off returns the energy of the difference of a and b relative to b.
func off(a, b []float32) float64 {
	var d, s float64
	for i := range a {
		d += float64(a[i]-b[i]) * float64(a[i]-b[i])
		s += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(d / s)
}

// TestOpusDTX counts the packets of silence, of noise and of a tone.
func TestOpusDTX(t *testing.T) {
	tone := make([]int16, 150*960)
	for i := range tone {
		tone[i] = int16(8000 * math.Sin(2*math.Pi*440*float64(i)/48000))
	}
	for name, c := range map[string]struct {
		pcm         []int16
		least, most int
	}{
		"silence": {make([]int16, 150*960), 1, 30},
		"speech":  {mediatest.Speech(150 * 960), 150, 150},
		"a tone":  {tone, 150, 150},
	} {
		sent := 0
		e, err := NewOpusEncoder(48000, 1, 32000, 10)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 150 {
			packet, err := e.Encode(c.pcm[i*960 : (i+1)*960])
			if err != nil {
				t.Fatal(err)
			}
			if len(packet) > 2 {
				sent++
			}
		}
		e.Close()
		if sent < c.least || sent > c.most {
			t.Errorf("of 150 packets of %s %d are sent, want %d to %d", name, sent, c.least, c.most)
		}
	}
}

// TestOpusFECFollowsLoss counts packets with forward error correction before, during and after
// losses.
func TestOpusFECFollowsLoss(t *testing.T) {
	copies := func(percent int) (copies int) {
		e, err := NewOpusEncoder(48000, 1, 24000, 10)
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		if err := e.SetPacketLoss(percent); err != nil {
			t.Fatal(err)
		}
		pcm := mediatest.Speech(50 * 960)
		for i := range 50 {
			p, err := e.Encode(pcm[i*960 : (i+1)*960])
			if err != nil {
				t.Fatal(err)
			}
			if hasFEC(p) {
				copies++
			}
		}
		return copies
	}
	if none, some := copies(0), copies(20); none != 0 || some < 25 {
		t.Errorf("of 50 packets %d have a copy without loss, and %d with 20 %% of it", none, some)
	}
}

// hasFEC reports whether a packet of 20 ms of one channel has an LBRR frame (RFC 6716 section
// 4.2.3). Packets of CELT alone have none.
func hasFEC(packet []byte) bool { return packet[0]>>3 < 16 && packet[1]&0x40 != 0 }
