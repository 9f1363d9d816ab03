package sanitize

import (
	"encoding/json"
	"testing"
)

func TestTextOfEveryScriptIsUnchanged(t *testing.T) {
	for name, s := range map[string]string{
		"no-break space":              "Ça va\u00a0?",
		"narrow no-break space":       "1\u202f000\u202f€",
		"ideographic space":           "東京\u3000大阪",
		"zero width non-joiner":       "می\u200cخواهم",
		"zero width joiner":           "👨\u200d👩\u200d👧\u200d👦",
		"zero width space":            "ภาษา\u200bไทย",
		"variation selector":          "❤\ufe0f",
		"tag characters":              "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
		"directional marks":           "שלום\u200f (1)\u200e \u061c",
		"soft hyphen":                 "Donau\u00addampfschiff",
		"combining marks":             "e\u0301 ก\u0e33 नि",
		"private use":                 "\ue0b0",
		"unassigned":                  "\U000e1234",
		"replacement character":       "\ufffd",
		"what Go itself would escape": `"quoted" back\slash`,
	} {
		if got := Text(s); got != s {
			t.Errorf("Text, %s: got %q, want %q", name, got, s)
		}
		if got := Lines(s); got != s {
			t.Errorf("Lines, %s: got %q, want %q", name, got, s)
		}
		encoded := `{"text":"` + s + `"}`
		if got := JSON(encoded); got != encoded {
			t.Errorf("JSON, %s: got %q, want %q", name, got, encoded)
		}
	}
}

func TestTextEscapesWhatATerminalObeys(t *testing.T) {
	for s, want := range map[string]string{
		"\x1b[31mred":              `\x1b[31mred`,
		"a\x00\r\n\t\x7f":          `a\x00\x0d\x0a\x09\x7f`,
		"\u009b2J":                 `\u{9b}2J`,
		"\x9b2J":                   `\x9b2J`, // no UTF-8, and a control character in ISO 8859-1
		"caf\xe9 \xf0\x9f":         `caf\xe9 \xf0\x9f`,
		"\u202eevil":               `\u{202e}evil`,
		"\u202a\u202b\u202c\u202d": `\u{202a}\u{202b}\u{202c}\u{202d}`,
		"\u2066\u2067\u2068\u2069": `\u{2066}\u{2067}\u{2068}\u{2069}`,
		"a\u2028b\u2029c":          `a\u{2028}b\u{2029}c`,
	} {
		if got := Text(s); got != want {
			t.Errorf("Text(%q): got %s, want %s", s, got, want)
		}
	}
}

func TestLinesIndentsAllButTheFirst(t *testing.T) {
	const want = "a\n    b\u00a0c\n    \n    \\x1b]0;x"
	if got := Lines("a\r\nb\u00a0c\n\n\x1b]0;x"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Lines("1\t2"); got != "1    2" {
		t.Errorf("a tab: got %q", got)
	}
}

func TestJSONKeepsItsValue(t *testing.T) {
	const text = "\u009b2J \u202e \u00a0 👨\u200d👩"
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	const want = `"\u009b2J \u202e ` + "\u00a0 👨\u200d👩" + `"`
	got := JSON(string(encoded))
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var decoded string
	if err := json.Unmarshal([]byte(got), &decoded); err != nil || decoded != text {
		t.Errorf("decoded: got %q, %v, want %q", decoded, err, text)
	}
}

func FuzzText(f *testing.F) {
	f.Add("\x1b[31m\xff\u202e\u00a0")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range Text(s) {
			if isUnsafe(r) {
				t.Fatalf("Text(%q) has %U", s, r)
			}
		}
		if again := Text(Text(s)); again != Text(s) {
			t.Fatalf("Text is not idempotent for %q", s)
		}
	})
}
