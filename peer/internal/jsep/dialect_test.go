package jsep

import (
	"errors"
	"testing"
)

func TestDialectOfOurDescriptions(t *testing.T) {
	for name, answers := range map[string]bool{OfferName: false, AnswerName: true} {
		d := parse(t, toWire(t, goodOffer, WireOptions{SessionName: name, Setup: "passive"}))
		if d.Parley == answers || d.ParleyAnswer != answers || d.Setup != "passive" {
			t.Errorf("s=%s: Parley %v, ParleyAnswer %v, setup %q", name, d.Parley, d.ParleyAnswer, d.Setup)
		}
	}
}

// What is on the wire differs by its sections, and by who rejects.
func TestPurpose(t *testing.T) {
	head := func(name, line string) string {
		return "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=" + name + "\r\nt=0 0\r\n" + line
	}
	const section = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
	for text, want := range map[string]struct {
		sections bool
		why      string
	}{
		head("-", section):                                       {true, ""},
		head("parley-answer", section):                           {true, ""},
		head("parley", "a=parley-wish:video\r\n"):                {false, ""},
		Reject(head("parley", section), errors.New("no\x1b")):    {false, "no?"},
		head("parley-answer", "a=parley-refusal:no\r\n"+section): {true, "no"},
		head("parley-answer", "a=parley-refusal\r\n"):            {false, "no reason given"},
		head("parley", "a=parley-refusal:no\r\n"+section):        {true, ""},
		head("-", "a=parley-refusal:no\r\n"+section):             {true, ""},
		"nonsense": {true, ""},
	} {
		if sections, why := Purpose(text); sections != want.sections || why != want.why {
			t.Errorf("%q: %v, %q", text, sections, why)
		}
	}
}
