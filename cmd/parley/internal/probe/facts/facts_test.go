package facts

import (
	"fmt"
	"testing"

	"parley/cmd/parley/internal/event"
)

func testFacts() *Facts {
	return New(Keys(map[string]event.Kind{"connected": event.Flag, "channel": event.Text, "text": event.Text, "audio.packets": event.Number}))
}

func check(t *testing.T, raw string) event.Check {
	t.Helper()
	c, err := event.ParseCheck(raw, testFacts().keys)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestMatch: a state counts while it holds, an occurrence from a number on, a number by its present
// value.
func TestMatch(t *testing.T) {
	f := testFacts()
	match := func(raw string, since int) bool { _, ok := f.Match(check(t, raw), since); return ok }
	f.Note("muted", "audio")
	f.Note("text", "hello")
	f.Add("audio.packets", event.NumberOf(20))
	if !match("muted=audio", 1) || !match("text=hello", 0) || match("text=hello", 1) || !match("audio.packets>=20", 1) {
		t.Errorf("facts are %v", f.Snapshot())
	}
	f.Remove("muted", "audio")
	f.Add("audio.packets", event.NumberOf(3))
	if match("muted=audio", 1) || match("audio.packets>=20", 0) {
		t.Errorf("facts that hold no longer match: %v", f.Snapshot())
	}
	f.Note("muted", "audio")
	if next, ok := f.Match(check(t, "muted=audio"), 0); !ok || next != 2 {
		t.Errorf("the second time it is %d, %t; want 2, true", next, ok)
	}
}

// TestChanged: the channel is closed by a new value and not by one that holds already.
func TestChanged(t *testing.T) {
	f := testFacts()
	closed := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	c := f.Changed()
	f.Note("state", "connected")
	if !closed(c) {
		t.Error("the channel is open after a change")
	}
	c = f.Changed()
	f.Note("state", "connected")
	if closed(c) {
		t.Error("the channel is closed without a change")
	}
}

// TestFactsAreBounded: a peer that opens more and more channels does not make the facts grow.
func TestFactsAreBounded(t *testing.T) {
	f := testFacts()
	for i := range 3 * MaxValues {
		f.Note("channel", fmt.Sprint("label ", i))
	}
	if n := len(f.All("channel")); n != MaxValues {
		t.Errorf("%d values are kept, want %d", n, MaxValues)
	}
	if n := len(f.current["channel"]); n != MaxValues {
		t.Errorf("%d values hold, want %d", n, MaxValues)
	}
	if f.Count("channel") != 3*MaxValues || f.Latest("channel") != fmt.Sprint("label ", 3*MaxValues-1) {
		t.Errorf("got %d values, the latest %q", f.Count("channel"), f.Latest("channel"))
	}
	if _, ok := f.Match(check(t, "channel"), f.Count("channel")-1); !ok {
		t.Error("the latest value does not match")
	}
}

const offer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" +
	"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=extmap:1 urn:x\r\n" +
	"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n"

// TestOfAnswer: an answer that adds codecs and extensions, exchanges sections or has a bad origin
// is distinguished from a valid one.
func TestOfAnswer(t *testing.T) {
	valid := "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\na=recvonly\r\na=setup:active\r\n" +
		"a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:SHA-256 AA\r\n" +
		"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n"
	invalid := "v=0\r\no=- x\r\n" +
		"m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=rtpmap:9 G722/8000\r\na=extmap:1 urn:y\r\na=crypto:1 x\r\n"
	for name, test := range map[string]struct {
		answer string
		want   map[string]string
	}{
		"valid": {valid, map[string]string{"answer.sections": "2", "answer.bundled": "2", "answer.mids": "same", "answer.order": "same", "answer.origin": "ok", "answer.ice": "ok",
			"answer.codec.audio": "OPUS", "answer.direction.audio": "recvonly", "answer.setup": "active", "answer.fingerprint": "sha-256", "answer.max-message": "65536", "answer.muxed": "1", "answer.unbundled": "0",
			"answer.not-offered": "", "answer.crypto": "", "answer.rejected": ""}},
		"invalid": {invalid, map[string]string{"answer.bundled": "0", "answer.unbundled": "1", "answer.mids": "other", "answer.order": "other", "answer.origin": "bad", "answer.ice": "short",
			"answer.codec.audio": "PCMU", "answer.not-offered": "extension urn:y", "answer.crypto": "true", "answer.rejected": "application"}},
		"empty": {"", map[string]string{"answer.sections": "0", "answer.mids": "other", "answer.origin": "bad"}},
	} {
		f := testFacts()
		for _, fact := range OfAnswer(offer, test.answer) {
			if _, known := f.keys[fact.Key]; !known {
				t.Errorf("%s: no check knows the key %s", name, fact.Key)
			}
			f.Add(fact.Key, fact.Value)
		}
		for key, want := range test.want {
			if got := f.Latest(key); got != want {
				t.Errorf("%s: %s is %q, want %q", name, key, got, want)
			}
		}
		f.RemoveAnswer()
		if f.Note("answer.parley", "true"); len(f.current) != 1 {
			t.Errorf("%s: a superseded answer leaves %v", name, f.current)
		}
	}
}
