package source

import (
	"bufio"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// TestWAV: whatever its samples are, a WAV file is as long as it was, and has its tone.
func TestWAV(t *testing.T) {
	for _, options := range []string{
		"pcm_s16le 48000 1", "pcm_s16le 44100 2", "pcm_s16le 22050 1", "pcm_u8 8000 1", "pcm_s24le 96000 2",
		"pcm_s32le 48000 6", "pcm_f32le 44100 1", "pcm_f64le 11025 2", "pcm_alaw 8000 1", "pcm_mulaw 16000 1",
	} {
		t.Run(options, func(t *testing.T) {
			o := strings.Fields(options)
			path := clip(t, "a.wav", "-c:a", o[0], "-ar", o[1], "-ac", o[2], "-t", "1.1")
			_, all := frames(t, path, VideoOptions{})
			if len(all) < 55 || len(all) > 56 {
				t.Errorf("%d packets, want 55", len(all))
			}
			e, err := newEar()
			if err != nil {
				t.Fatal(err)
			}
			tone, level := 0.0, 0.0
			for i, s := range all {
				if s.at != uint64(i)*opusSamples || s.duration != opusSamples { //nolint:gosec // small
					t.Fatalf("packet %d is at %d for %d", i, s.at, s.duration)
				}
				if f, l, ok := e.hear(s.data, uint32(s.at), 0.02); ok { //nolint:gosec // small
					tone, level = f, l
				}
			}
			if math.Abs(tone-440) > 2 || level < -40 || level > -12 {
				t.Errorf("a tone of %.1f Hz at %.1f dBFS", tone, level)
			}
		})
	}
}

// TestHostileWAV: what a WAV file cannot be.
func TestHostileWAV(t *testing.T) {
	wav := func(format, channels, rate, bits int, more string) string {
		n := le
		return "RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00" + n(format, 2) + n(channels, 2) + n(rate, 4) + n(0, 4) + n(0, 2) + n(bits, 2) + more
	}
	for want, data := range map[string]string{
		"the file is cut off in the WAV header": wav(1, 1, 48000, 16, ""),
		"has 0 channels":                        wav(1, 0, 48000, 16, "data\x00\x00\x00\x00"),
		"has 65535 channels":                    wav(1, 65535, 48000, 16, "data\x00\x00\x00\x00"),
		"has 1 samples a second":                wav(1, 1, 1, 16, "data\x00\x00\x00\x00"),
		"of format 85 with 0 bits":              wav(85, 2, 44100, 0, "data\x00\x00\x00\x00"),
		"of format 1 with 4096 bits":            wav(1, 2, 44100, 4096, "data\x00\x00\x00\x00"),
		"does not say what its samples are":     "RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00",
		"says 4294967295 bytes for its format":  "RIFF\x00\x00\x00\x00WAVEfmt \xFF\xFF\xFF\xFF",
	} {
		if _, err := OpenAudio(write(t, "a.wav", []byte(data)), AudioOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
	// Cut off in its samples, it is sent up to there; of a size that was not known, up to its end.
	for _, size := range []string{"\xFF\xFF\x00\x00", "\xFF\xFF\xFF\xFF", "\x00\x00\x00\x00"} {
		_, all := frames(t, write(t, "a.wav", []byte(wav(1, 1, 48000, 16, "data"+size+strings.Repeat("\x00\x10", 2000)))), VideoOptions{})
		if len(all) != 3 {
			t.Errorf("2000 samples are %d packets", len(all))
		}
	}
}

// le is a number of so many bytes, the least significant first.
func le(v, bytes int) string {
	var b strings.Builder
	for range bytes {
		b.WriteByte(byte(v))
		v >>= 8
	}
	return b.String()
}

// TestResampler: a tone stays what it is, 60 dB above what comes beside it, and what would fold down goes.
func TestResampler(t *testing.T) {
	for _, test := range []struct {
		from, to int
		hz       float64
	}{{44100, 48000, 1000}, {22050, 48000, 9000}, {8000, 48000, 3000}, {96000, 48000, 15000}, {48000, 48000, 440}} {
		r := newResampler(test.from, test.to, 1)
		var out []float32
		for n := 0; n < test.from; n += 1000 {
			var in []float32
			for i := n; i < min(n+1000, test.from); i++ {
				in = append(in, float32(math.Sin(2*math.Pi*test.hz*float64(i)/float64(test.from))))
			}
			out = r.add(out, in)
		}
		out = r.flush(out)
		if d := len(out) - test.to; d < -2 || d > 2 {
			t.Errorf("%+v: %d samples of %d", test, len(out), test.to)
		}
		signal, noise := 0.0, 0.0
		for i := 1000; i < len(out)-1000; i++ {
			want := math.Sin(2 * math.Pi * test.hz * float64(i) / float64(test.to))
			signal += want * want
			noise += (float64(out[i]) - want) * (float64(out[i]) - want)
		}
		if db := 10 * math.Log10(signal/(noise+1e-12)); db < 60 {
			t.Errorf("%+v: %.1f dB", test, db)
		}
	}
	r := newResampler(96000, 48000, 1)
	var out []float32
	for i := range 96000 {
		out = r.add(out, []float32{float32(math.Sin(2 * math.Pi * 30000 * float64(i) / 96000))})
	}
	for i, v := range out[1000 : len(out)-1000] {
		if math.Abs(float64(v)) > 0.001 {
			t.Fatalf("30 kHz is heard in sample %d: %v", i, v)
		}
	}
}

// TestWAVOfAPipe: what comes through a pipe that breaks is sent up to there.
func TestWAVOfAPipe(t *testing.T) {
	from, to := io.Pipe()
	go func() {
		_, _ = io.WriteString(to, "RIFF\xFF\xFF\xFF\xFFWAVEfmt \x10\x00\x00\x00"+le(1, 2)+le(1, 2)+le(48000, 4)+le(96000, 4)+le(2, 2)+le(16, 2)+"data\xFF\xFF\xFF\xFF")
		_, _ = to.Write(make([]byte, 5000))
		_ = to.CloseWithError(errors.New("gone"))
	}()
	w, _, err := openWAV(bufio.NewReader(from), fileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err = w.next(); err == nil; _, err = w.next() {
		n++
	}
	if n != 2 || !strings.Contains(err.Error(), "gone") {
		t.Errorf("%d packets, then %v", n, err)
	}
}
