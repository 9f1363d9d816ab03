package jsep

import (
	"strings"
	"testing"
)

func TestAnswerDirectionFitsTheOffer(t *testing.T) {
	const (
		both, send, recv, none = "sendrecv", "sendonly", "recvonly", "inactive"
	)
	for _, c := range []struct{ offered, pion, want string }{
		{both, both, both}, {both, send, send}, {both, recv, recv}, {both, none, none},
		{send, both, recv}, {send, send, none}, {send, recv, recv},
		{recv, both, send}, {recv, recv, none}, {recv, send, send},
		{none, both, none}, {none, send, none},
	} {
		offer := parse(t, strings.Replace(goodOffer, "a=sendonly", "a="+c.offered, 1))
		answer := strings.Replace(goodOffer, "a=sendonly", "a="+c.pion, 1)
		got := parse(t, toWire(t, answer, WireOptions{Offer: offer})).Sections[0].Direction
		if got.String() != c.want {
			t.Errorf("offered %s, Pion answers %s: got %s, want %s", c.offered, c.pion, got, c.want)
		}
	}
}

func TestHoldIsHiddenFromPion(t *testing.T) {
	d := parse(t, strings.Replace(goodOffer, "a=sendonly", "a=inactive", 1))
	if got := forPion(t, d, PionOptions{Later: true}); strings.Contains(got, "a=inactive") || !strings.Contains(got, "a=recvonly") {
		t.Errorf("Pion gets\n%s", got)
	}
}

func parse(t *testing.T, text string) *Description {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func forPion(t *testing.T, d *Description, o PionOptions) string {
	t.Helper()
	if o.Synthetic == nil {
		o.Synthetic = &Synthetic{}
	}
	text, _, err := d.Whole().ForPion(o)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func toWire(t *testing.T, local string, o WireOptions) string {
	t.Helper()
	d, err := ToWire(local, o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
