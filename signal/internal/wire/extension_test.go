package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"parley/signal"
)

func TestExtensionOf(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, tc := range []struct {
		typ   signal.Type
		value string
		want  *signal.Extension
	}{
		{signal.Offer, `{"version":1,"number":7}`, &signal.Extension{Version: 1, Number: 7}},
		{signal.Offer, `{"version":1,"number":7,"noOffers":true}`, &signal.Extension{Version: 1, Number: 7, NoOffers: true}},
		{signal.Answer, `{"version":1,"number":7,"noOffers":true}`, &signal.Extension{Version: 1, Number: 7}},
		{signal.Offer, `{"version":1,"number":7,"noOffers":1}`, nil},
		{signal.Offer, `{"version":1,"number":9007199254740991,"browser":true}`, &signal.Extension{Version: 1, Number: 9007199254740991, Browser: true}},
		{signal.Answer, `{"version":1,"number":8,"browser":false}`, &signal.Extension{Version: 1, Number: 8}},
		{signal.Answer, `{"version":1,"number":7,"rejected":"no\u001b[2J\r\n ö \u202e"}`, &signal.Extension{Version: 1, Number: 7, Rejected: "no?[2J?? ? ?"}},
		{signal.Answer, `{"version":1,"number":7,"rejected":"` + long + `"}`, &signal.Extension{Version: 1, Number: 7, Rejected: long[:200]}},
		{signal.Answer, `{"version":1,"number":7,"rejected":""}`, &signal.Extension{Version: 1, Number: 7, Rejected: "no reason given"}},
		{signal.Offer, `{"version":1,"number":7,"answerRejected":"  "}`, &signal.Extension{Version: 1, Number: 7, AnswerRejected: "no reason given"}},
		{signal.Offer, `{"version":1,"number":7,"new":[{"id":5}]}`, &signal.Extension{Version: 1, Number: 7}},
		{signal.Offer, `{"version":2,"number":8,"version":1,"number":7}`, &signal.Extension{Version: 1, Number: 7}},
		{signal.Offer, `{"version":1,"number":7,"processed":3}`, &signal.Extension{Version: 1, Number: 7, Processed: 3}},
		{signal.Offer, `{"version":1,"number":7,"processed":0}`, &signal.Extension{Version: 1, Number: 7}},
		{signal.Answer, `{"version":1,"number":7,"processed":3}`, &signal.Extension{Version: 1, Number: 7}},
		{signal.Offer, `{"version":1,"number":7,"rejected":"no"}`, &signal.Extension{Version: 1, Number: 7}},
		{signal.Answer, `{"version":1,"number":7,"answerRejected":"no"}`, &signal.Extension{Version: 1, Number: 7}},

		{signal.Offer, ``, nil},
		{signal.Offer, `null`, nil},
		{signal.Offer, `[]`, nil},
		{signal.Offer, `"x7"`, nil},
		{signal.Offer, `{}`, nil},
		{signal.Offer, `{"number":7}`, nil},
		{signal.Offer, `{"version":2,"number":7}`, nil},
		{signal.Offer, `{"version":"1","number":7}`, nil},
		{signal.Offer, `{"version":1}`, nil},
		{signal.Offer, `{"version":1,"number":0}`, nil},
		{signal.Offer, `{"version":1,"number":"7"}`, nil},
		{signal.Offer, `{"version":1,"number":-7}`, nil},
		{signal.Offer, `{"version":1,"number":7.5}`, nil},
		{signal.Offer, `{"version":1,"number":9007199254740992}`, nil},
		{signal.Offer, `{"version":1,"number":7,"processed":"3"}`, nil},
		{signal.Offer, `{"version":1,"number":7,"browser":1}`, nil},
		{signal.Offer, `{"version":1,"number":7,"browser":null}`, nil},
		{signal.Answer, `{"version":1,"number":7,"rejected":true}`, nil},
		{signal.Offer, `{"version":1,"number":7,"answerRejected":[]}`, nil},
	} {
		if diff := cmp.Diff(tc.want, parseExtension([]byte(tc.value), tc.typ)); diff != "" {
			t.Errorf("%s %.80s:\n%s", tc.typ, tc.value, diff)
		}
	}
}

// A reason is made printable when it is sent, too.
func TestAppendExtension(t *testing.T) {
	got := string(appendExtension(nil, signal.Extension{Version: 1, Number: 7, Browser: true, Rejected: "a\nb" + strings.Repeat("x", 300)}))
	if want := `{"version":1,"number":7,"browser":true,"rejected":"a?b` + strings.Repeat("x", 197) + `"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
