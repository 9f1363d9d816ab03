package peer

import (
	"strings"
	"testing"
)

func TestAnsweringFitsTheOffer(t *testing.T) {
	const (
		both, send, take, none = "sendrecv", "sendonly", "recvonly", "inactive"
	)
	for _, c := range []struct{ offered, pion, want string }{
		{both, both, both}, {both, send, send}, {both, take, take}, {both, none, none},
		{send, both, take}, {send, send, none}, {send, take, take},
		{take, both, send}, {take, take, none}, {take, send, send},
		{none, both, none}, {none, send, none},
	} {
		offer, err := Describe(strings.Replace(goodOffer, "a=sendonly", "a="+c.offered, 1))
		if err != nil {
			t.Fatal(err)
		}
		answer := strings.Replace(goodOffer, "a=sendonly", "a="+c.pion, 1)
		if got := offer.answering(answer); got != strings.Replace(answer, "a="+c.pion, "a="+c.want, 1) {
			t.Errorf("offered %s, Pion answers %s: got\n%s", c.offered, c.pion, got)
		}
	}
}

func TestHoldIsHiddenFromPion(t *testing.T) {
	d, err := Describe(strings.Replace(goodOffer, "a=sendonly", "a=inactive", 1))
	if err != nil {
		t.Fatal(err)
	}
	if got := d.held(d.sdp); strings.Contains(got, "a=inactive") || !strings.Contains(got, "a=recvonly") {
		t.Errorf("Pion gets\n%s", got)
	}
}
