package wire

import (
	"encoding/json"
	"strings"
	"testing"
)

// validJSON reports whether b is valid JSON by the validator, or by encoding/json if it leaves b to
// that.
func validJSON(b []byte) bool {
	v := validator{b: b}
	ok, deep := v.validate()
	return ok || deep && json.Valid(b)
}

// FuzzValid holds the validator against encoding/json.
func FuzzValid(f *testing.F) {
	for _, text := range []string{
		`{"type":"candidate","candidate":{"candidate":"candidate:1 1 udp 2122260223 192.0.2.1 9 typ host","sdpMLineIndex":0},"name":"bob"}`,
		` [ 1 , -0.5e+10 , "\u00aF\\\"\/\b\f\n\r\t" , true , false , null , {} , [ ] ] `,
		"", " ", "{", "}", "[", "]", `"`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `[1,]`, `[,1]`, `{} {}`, `{1:2}`, `{"a":1 "b":2}`, "\"\x00\"", "\"\x1f\"", "\" \"", "\"\x7f\"", "\"\xff\"",
		"0", "-", "-0", "00", "01", "1.", ".1", "1.e1", "1e", "1e+", "1E-9", "+1", "1e400", "0x1", "tru", "truee", "nul", "null", "NaN", `"\u12"`, `"\u12g4"`, `"\x"`, `"\`,
		"\ufeff{}", "\v{}", "[\"a\nb\"]", strings.Repeat("[", 31) + strings.Repeat("]", 31), strings.Repeat("[", 33) + strings.Repeat("]", 33),
		strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 32), strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
		strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), strings.Repeat("[", 1_000_000),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := validJSON(b), json.Valid(b); got != want {
			t.Errorf("%q: %v, and json.Valid says %v", b, got, want)
		}
	})
}

// BenchmarkValid is why there is a validator.
func BenchmarkValid(b *testing.B) {
	frame := []byte(`{"type":"candidate","candidate":{"candidate":"candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host generation 0 ufrag abcd ` +
		strings.Repeat("x", 80) + `","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"abcd"},"name":"callee-1"}`)
	for name, valid := range map[string]func([]byte) bool{"encoding/json": json.Valid, "ours": validJSON} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				valid(frame)
			}
		})
	}
}
