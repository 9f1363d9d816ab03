package signal

import (
	"strings"
	"testing"
)

func TestParseDialect(t *testing.T) {
	for name, want := range map[string]Dialect{"": DialectCall, "call": DialectCall, "relay": DialectRelay} {
		if got, err := ParseDialect(name); got != want || err != nil {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	if _, err := ParseDialect("Relay"); err == nil {
		t.Error("Relay was taken for relay")
	}
}

func TestCheckExtension(t *testing.T) {
	valid := Extension{Version: 1, Number: 7}
	for _, tc := range []struct {
		m    Message
		want string
	}{
		{Message{Type: Offer, SDP: "v=0", Extension: &valid}, ""},
		{Message{Type: Answer, SDP: "v=0", Extension: &valid}, ""},
		{Message{Type: Answer, Extension: &Extension{Version: 1, Number: 7, Rejected: "no"}}, ""},
		{Message{Type: Offer, SDP: "v=0", Extension: &Extension{Version: 1, Number: 7, AnswerRejected: "no"}}, ""},
		{Message{Type: Answer, Extension: &valid}, "no session description"},
		{Message{Type: Offer, Extension: &valid}, "no session description"},
		{Message{Type: Offer, SDP: "v=0", Extension: &Extension{Version: 1, Number: 7, Rejected: "no"}}, "which only an answer has"},
		{Message{Type: Answer, SDP: "v=0", Extension: &Extension{Version: 1, Number: 7, AnswerRejected: "no"}}, "which only an offer has"},
		{Message{Type: Offer, SDP: "v=0", Extension: &Extension{Number: 7}}, "got version 0, want 1"},
		{Message{Type: Offer, SDP: "v=0", Extension: &Extension{Version: 1}}, "got number 0"},
		{Message{Type: Answer, SDP: "v=0", Extension: &Extension{Version: 1, Number: 7, Processed: 3}}, "which only an offer has"},
		{Message{Type: Leave, Extension: &valid}, "which only offers and answers have"},
	} {
		tc.m.Peer = "bob"
		err := tc.m.Check()
		if err == nil != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: got error %v, want %q", tc.m, err, tc.want)
		}
	}
}
