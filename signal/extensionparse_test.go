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

// A reason is made printable when it is sent, too.
func TestAppendExtension(t *testing.T) {
	got := string(appendExtension(nil, Extension{Version: 1, Number: 7, Browser: true, Rejected: "a\nb" + strings.Repeat("x", 300)}))
	if want := `{"version":1,"number":7,"browser":true,"rejected":"a?b` + strings.Repeat("x", 197) + `"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
