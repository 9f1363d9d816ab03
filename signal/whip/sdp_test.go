package whip

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const description = "v=0\r\no=- 3 4 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE v1 a1\r\na=ice-ufrag:them\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a1\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=rtcp-mux\r\n" +
	"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v1\r\na=ice-ufrag:them\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=rtcp-mux\r\n" +
	"a=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\na=end-of-candidates\r\n"

func TestFragmentOf(t *testing.T) {
	f, err := FragmentOf(description)
	want := &Fragment{Ufrag: "them", Pwd: "abcdefghijklmnopqrstuv", Kind: "video", Mid: "v1", End: true, Candidates: []Candidate{{"video", "v1", "candidate:1 1 udp 1 192.0.2.1 5000 typ host"}}}
	if err != nil || cmp.Diff(want, f) != "" {
		t.Errorf("got %v, %v", f, err)
	}
	for _, bad := range []string{"", "v=0\r\n", "x", description[:80], strings.Repeat("a", MaxSDP+1)} {
		if f, err := FragmentOf(bad); err == nil {
			t.Errorf("%.20q: got %v", bad, f)
		}
	}
}

func TestDescribe(t *testing.T) {
	// an ICE restart
	f := &Fragment{Ufrag: "new1", Pwd: "0123456789012345678901", Candidates: []Candidate{{"video", "v1", "candidate:2 1 udp 1 192.0.2.2 6000 typ host"}}}
	got, err := f.Describe(description)
	if err != nil || strings.Contains(got, "them") || strings.Count(got, "a=candidate") != 1 || !strings.Contains(got, "192.0.2.2 6000") || strings.Count(got, "0123456789012345678901") != 2 {
		t.Errorf("got %v, %s", err, got)
	}
	// candidates for an offer
	f = &Fragment{Candidates: []Candidate{{"audio", "a1", "candidate:2 1 udp 1 192.0.2.2 6000 typ host"}}, End: true}
	got, err = f.Describe(description)
	if err != nil || strings.Count(got, "a=candidate") != 2 || strings.Count(got, "end-of-candidates") != 1 || !strings.Contains(got, "them") {
		t.Errorf("got %v, %s", err, got)
	}
	// a restart that keeps the candidates
	if got, err = (&Fragment{Ufrag: "new1", Pwd: "0123456789012345678901"}).Describe(description); err != nil || strings.Count(got, "a=candidate") != 1 {
		t.Errorf("got %v, %s", err, got)
	}
	if got, err = MuxOnly(description); err != nil || strings.Count(got, "a=rtcp-mux-only") != 2 {
		t.Errorf("got %v, %s", err, got)
	}
	if IsOffer(description) || !IsOffer(description+"a=setup:actpass\r\n") {
		t.Error("an offer is not known by its open DTLS role")
	}
}

// FuzzDescribe checks that a description stays one when candidates are added.
func FuzzDescribe(f *testing.F) {
	f.Add(description, "a=candidate:2 1 udp 1 192.0.2.2 6000 typ host")
	f.Add(description, "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901")
	f.Fuzz(func(t *testing.T, text, fragment string) {
		added, err := ParseFragment(fragment)
		if err != nil {
			return
		}
		_, err = FragmentOf(text)
		got, describeErr := added.Describe(text)
		if (err == nil) != (describeErr == nil) {
			t.Fatalf("got %v, then %v", err, describeErr)
		}
		if err != nil {
			printable(t, err)
			return
		}
		if len(got) > MaxSDP {
			return
		}
		f, err := FragmentOf(got)
		if err != nil || added.Ufrag != "" && f.Ufrag != "" && f.Ufrag != added.Ufrag {
			t.Fatalf("got %q with %v, %v", got, f, err)
		}
	})
}
