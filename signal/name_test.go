package signal_test

import (
	"strings"
	"testing"

	"parley/signal"
)

// TestNames checks valid names, among them the ones that users of the original pages type.
func TestNames(t *testing.T) {
	for _, name := range []string{
		"alice", "Gandalf the Grey", "Saruman", "bob@example.org", "o'Neill", "a", "x-1_2.3", "Alice (work)", "50% off!", `"quoted"`, "<b>",
		"José", "Ζωή", "Наташа", "山田 太郎", "김철수", "नमस्ते", "שרה", "שרה כהן", "محمد", "Zoë’s laptop", "«Ada»", "Bob 😀", "🧙", "★ star ★", "naïve—café", "ÅÄÖ", "İstanbul",
		"ไทย", strings.Repeat("x", 64), strings.Repeat("é", 32),
	} {
		if err := signal.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestHostileNames checks names that are not valid: most pass for another name on a screen.
func TestHostileNames(t *testing.T) {
	for name, want := range map[string]string{
		"":                      "empty",
		strings.Repeat("x", 65): "65 bytes",
		"alice ":                "begins or ends with a space",
		" alice":                "begins or ends with a space",
		" ":                     "begins or ends with a space",
		"Gandalf  the Grey":     "two spaces",
		"alice\xff":             "not valid UTF-8",
		"alice\x00":             "cannot be shown",
		"alice\n":               "cannot be shown",
		"alice\x7f":             "cannot be shown",
		"alice\u0085":           "cannot be shown",
		"alice\u00a0":           "cannot be shown", // no-break space
		"alice\u2003":           "cannot be shown", // em space
		"alice\u3000":           "cannot be shown", // ideographic space
		"alice\u1680":           "cannot be shown", // Ogham space mark
		"alice\u2028":           "cannot be shown",
		"al\u00adice":           "cannot be shown", // soft hyphen
		"al\u200bice":           "cannot be shown", // zero width space
		"al\u200cice":           "cannot be shown", // zero width non-joiner
		"al\u200dice":           "cannot be shown",
		"al\u2060ice":           "cannot be shown", // word joiner
		"al\ufeffice":           "cannot be shown",
		"alice\ufe0f":           "cannot be shown", // variation selector
		"alice\u180b":           "cannot be shown", // Mongolian variation selector
		"alice\U000e0100":       "cannot be shown",
		"alice\U000e0041":       "cannot be shown", // tag
		"alice\u034f":           "not allowed",     // combining grapheme joiner
		"\u202ealice":           "cannot be shown", // right-to-left override
		"alice\u2066":           "cannot be shown",
		"alice\u061c":           "cannot be shown",
		"alice\u115f":           "cannot be shown", // Hangul filler
		"alice\u3164":           "cannot be shown",
		"alice\uffa0":           "cannot be shown",
		"alice\u2800":           "cannot be shown", // Braille blank
		"alice\ufffc":           "cannot be shown",
		"alice\ufffd":           "cannot be shown",
		"alice\ue000":           "cannot be shown",     // private use
		"alice\u0378":           "cannot be shown",     // unassigned
		"\u17b4alice":           "combining character", // Khmer inherent vowel
		"ali\u17b4ce":           "not allowed",
		"Jose\u0301":            `write "José"`,
		"\u212bngström":         `write "Ångström"`, // the Angstrom sign
		"ａｌｉｃｅ":                 `write "alice"`,
		"ﬁona":                  `write "fiona"`,
		"alice²":                `write "alice2"`,
		"ﾊﾝｶｸ":                  "compatibility",
		"\u0301alice":           "combining character",
		"bob \u0301":            "combining character",
		"שרהabc":                "right-to-left", // Bidi Rule
		"a\u0640b":              "not allowed",   // Tatweel
		"٣۴":                    "not allowed",   // digits of two sets
		"\U0001d159":            "cannot be shown",
	} {
		if err := signal.CheckName(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", name, err, want)
		}
	}
}

// TestPrintable: text in every script stays as it is; what a terminal obeys or could be misled by
// is replaced.
func TestPrintable(t *testing.T) {
	for _, text := range []string{
		"", "plain", "Ça va\u00a0?", "山田\u3000太郎", "می\u200cخواهم", "क्\u200dष", "👨\u200d👩\u200d👧", "🏴\U000e0067\U000e0062\U000e007f", "שלום\u200f!", "\ue000", "soft\u00adhyphen", "\ufffd",
	} {
		if got := signal.Printable(text); got != text {
			t.Errorf("%+q became %+q", text, got)
		}
	}
	for text, want := range map[string]string{
		"a\x1b[31m\n\x7f\u0085b":      "a\ufffd[31m\ufffd\ufffd\ufffdb",
		"\u2028\u2029":                "\ufffd\ufffd",
		"\u202aa\u202eb\u2066c\u2069": "\ufffda\ufffdb\ufffdc\ufffd",
		"\xff\xc3(":                   "\ufffd\ufffd(",
		strings.Repeat("é", 1000):     strings.Repeat("é", signal.MaxText/2),
	} {
		if got := signal.Printable(text); got != want {
			t.Errorf("%+q became %+q, want %+q", text, got, want)
		}
	}
}

// TestPrintableURL: an error that shows a URL shows no secret.
func TestPrintableURL(t *testing.T) {
	for text, want := range map[string]string{
		"ws://a:1/b":                        "ws://a:1/b",
		"ws://user:SECRET@a:x":              "ws://***@a:x",
		"user:SECRET@a":                     "***@a",
		"SECRET@a://b":                      "***@a://b",
		"http://user:SEC@RET@a/b?token=SEC": "http://***@a/b?***",
		"https://a?token=SE@CRET":           "https://***@CRET",
		"turn:user:SECRET@a":                "***@a",
		"http://u:SEC?RET@a\x1b":            "http://***@a\ufffd",
	} {
		if got := signal.PrintableURL(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
