package signal

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExtensionOf(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, tc := range []struct {
		typ   Type
		value string
		want  *Extension
	}{
		{Offer, `{"version":1,"number":7}`, &Extension{Version: 1, Number: 7}},
		{Offer, `{"version":1,"number":9007199254740991,"browser":true}`, &Extension{Version: 1, Number: 9007199254740991, Browser: true}},
		{Answer, `{"version":1,"number":8,"browser":false}`, &Extension{Version: 1, Number: 8}},
		{Answer, `{"version":1,"number":7,"rejected":"no\u001b[2J\r\n ö \u202e"}`, &Extension{Version: 1, Number: 7, Rejected: "no?[2J?? ? ?"}},
		{Answer, `{"version":1,"number":7,"rejected":"` + long + `"}`, &Extension{Version: 1, Number: 7, Rejected: long[:200]}},
		{Answer, `{"version":1,"number":7,"rejected":""}`, &Extension{Version: 1, Number: 7, Rejected: "no reason given"}},
		{Offer, `{"version":1,"number":7,"answerRejected":"  "}`, &Extension{Version: 1, Number: 7, AnswerRejected: "no reason given"}},
		{Offer, `{"version":1,"number":7,"new":[{"id":5}]}`, &Extension{Version: 1, Number: 7}},
		{Offer, `{"version":2,"number":8,"version":1,"number":7}`, &Extension{Version: 1, Number: 7}},
		{Offer, `{"version":1,"number":7,"processed":3}`, &Extension{Version: 1, Number: 7, Processed: 3}},
		{Offer, `{"version":1,"number":7,"processed":0}`, &Extension{Version: 1, Number: 7}},
		{Answer, `{"version":1,"number":7,"processed":3}`, &Extension{Version: 1, Number: 7}},
		{Offer, `{"version":1,"number":7,"rejected":"no"}`, &Extension{Version: 1, Number: 7}},
		{Answer, `{"version":1,"number":7,"answerRejected":"no"}`, &Extension{Version: 1, Number: 7}},

		{Offer, ``, nil},
		{Offer, `null`, nil},
		{Offer, `[]`, nil},
		{Offer, `"x7"`, nil},
		{Offer, `{}`, nil},
		{Offer, `{"number":7}`, nil},
		{Offer, `{"version":2,"number":7}`, nil},
		{Offer, `{"version":"1","number":7}`, nil},
		{Offer, `{"version":1}`, nil},
		{Offer, `{"version":1,"number":0}`, nil},
		{Offer, `{"version":1,"number":"7"}`, nil},
		{Offer, `{"version":1,"number":-7}`, nil},
		{Offer, `{"version":1,"number":7.5}`, nil},
		{Offer, `{"version":1,"number":9007199254740992}`, nil},
		{Offer, `{"version":1,"number":7,"processed":"3"}`, nil},
		{Offer, `{"version":1,"number":7,"browser":1}`, nil},
		{Offer, `{"version":1,"number":7,"browser":null}`, nil},
		{Answer, `{"version":1,"number":7,"rejected":true}`, nil},
		{Offer, `{"version":1,"number":7,"answerRejected":[]}`, nil},
	} {
		if diff := cmp.Diff(tc.want, extensionOf([]byte(tc.value), tc.typ)); diff != "" {
			t.Errorf("%s %.80s:\n%s", tc.typ, tc.value, diff)
		}
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
		err := tc.m.check()
		if err == nil != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: got error %v, want %q", tc.m, err, tc.want)
		}
	}
}

// A reason is made printable when it is sent, too.
func TestAppendExtension(t *testing.T) {
	got := string(appendExtension(nil, Extension{Version: 1, Number: 7, Browser: true, Rejected: "a\nb" + strings.Repeat("x", 300)}))
	if want := `{"version":1,"number":7,"browser":true,"rejected":"a?b` + strings.Repeat("x", 197) + `"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
