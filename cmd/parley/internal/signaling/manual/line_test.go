package manual

import (
	"errors"
	"strings"
	"testing"

	"parley/signal"
)

var offer = Line{Type: signal.Offer, ID: "7KQ2", Name: "alice", SDP: "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n" + strings.Repeat("a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n", 20)}

func text(t *testing.T, l Line) string {
	t.Helper()
	s, err := l.String()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestParseTolerates parses a line as people paste it.
func TestParseTolerates(t *testing.T) {
	line := text(t, offer)
	var wrapped strings.Builder
	for i, r := range line {
		if i%20 == 0 {
			wrapped.WriteString("\r\n\t \u200b\u00a0")
		}
		wrapped.WriteRune(r)
	}
	for name, pasted := range map[string]string{
		"as it is": line, "line end": line + "\r\n", "wrapped": wrapped.String(), "words around": "take this: " + line + " (bye)",
		"byte order mark": "\ufeff" + line, "after a part": line[:100] + "\n" + line, "quoted": "\"" + line + "\"",
	} {
		if got, err := Parse(pasted); err != nil || got != offer {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	answer := Line{Type: signal.Answer, ID: "7KQ2", SDP: "v=0\r\n"}
	if got, err := Parse(text(t, answer)); err != nil || got != answer {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestParseTruncated parses every beginning of a line.
func TestParseTruncated(t *testing.T) {
	line := text(t, offer)
	for n := len("parley-offer-1."); n < len(line); n++ {
		_, err := Parse(line[:n])
		var incomplete *IncompleteError
		if !errors.As(err, &incomplete) || incomplete.Got != n || n >= len("parley-offer-1.")+4 && incomplete.Want != len(line) {
			t.Fatalf("%d of %d characters: got %v", n, len(line), err)
		}
	}
}

// TestParseRejects parses what is no line.
func TestParseRejects(t *testing.T) {
	line := text(t, offer)
	for pasted, want := range map[string]string{
		"":                                     "no line of parley",
		"hello":                                "no line of parley",
		"parley-call-1.AAAA":                   "no line of parley",
		strings.Repeat("x", 10<<20):            "no line of parley",
		line[:100] + "AB" + line[100:]:         "damaged",
		line[:100] + line[101:] + "A":          "damaged",
		strings.ToLower(line):                  "",
		strings.Replace(line, "-1.", "-2.", 1): "version 2",
		text(t, Line{Type: signal.Offer, SDP: "v=0"}):                                                 "want an id",
		text(t, Line{Type: signal.Offer, ID: "1"}):                                                    "sdp of 0 bytes",
		text(t, Line{Type: signal.Offer, ID: "1", SDP: "v=0", Name: "a\x1b"}):                         "cannot be shown",
		text(t, Line{Type: signal.Offer, ID: "1", SDP: strings.Repeat("a", signal.MaxReceivedSDP+1)}): "sdp of",
		text(t, Line{Type: signal.Offer, ID: "1", SDP: strings.Repeat("a", 4*maxJSON)}):               "more than",
	} {
		if _, err := Parse(pasted); err == nil || !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Errorf("%.40q…: got error %v, want %q", pasted, err, want)
		}
	}
}

// FuzzParse parses any text, and what it returns again.
func FuzzParse(f *testing.F) {
	line, err := offer.String()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line)
	f.Add("parley-answer-1.AAAAAA")
	f.Fuzz(func(t *testing.T, pasted string) {
		l, err := Parse(pasted)
		if err != nil {
			return
		}
		if again, err := Parse(text(t, l)); err != nil || again != l {
			t.Errorf("got %v, %v", again, err)
		}
	})
}
