package adapter

import (
	"encoding/json"
	"strings"
	"testing"

	"parley/cmd/parley/internal/event/eventtest"
	"parley/signal"
)

// TestDecodeFollowsSchema decodes lines of programs, and compares the result with that of the
// schema.
func TestDecodeFollowsSchema(t *testing.T) {
	long := strings.Repeat("x", signal.MaxReceivedSDP+1)
	for _, test := range []struct {
		line, err string // err is a part of the error, "" for none
	}{
		{`{"type":"ready"}`, ""},
		{`{"type":"ready","iceServers":[{"urls":["stun:127.0.0.1:3478"]}],"trickle":false,"more":1}`, ""},
		{`{"type":"ready","iceServers":[{"urls":[]}]}`, "iceServers"},
		{`{"type":"ready","iceServers":[{"urls":["http://a"]}]}`, "iceServers"},
		{`{"type":"ready","trickle":1}`, "invalid JSON"},
		{`{"type":"offer","call":"1","peer":"bob","sdp":"v=0"}`, ""},
		{`{"type":"offer","call":"1","peer":"bob","sdp":"v=0","parley":{"version":1,"number":1}}`, ""},
		{`{"type":"offer","call":"1","peer":"","sdp":"v=0"}`, "invalid peer"},
		{`{"type":"offer","call":"1","peer":"` + strings.Repeat("x", 65) + `","sdp":"v=0"}`, "invalid peer"},
		{`{"type":"offer","call":"1","peer":"bob"}`, "sdp of the offer is missing"},
		{`{"type":"offer","call":"1","peer":"bob","sdp":""}`, "sdp of the offer is empty"},
		{`{"type":"offer","call":"1","peer":"bob","sdp":"` + long + `"}`, "too long"},
		{`{"type":"offer","call":"1 2","peer":"bob","sdp":"v=0"}`, "printable ASCII"},
		{`{"type":"offer","call":"` + strings.Repeat("x", 65) + `","peer":"bob","sdp":"v=0"}`, "call is too long"},
		{`{"type":"offer","peer":"bob","sdp":"v=0"}`, "call is missing"},
		{`{"type":"offer","call":1,"peer":"bob","sdp":"v=0"}`, "invalid JSON"},
		{`{"type":"answer","call":"1","sdp":"v=0"}`, ""},
		{`{"type":"answer","call":"1","sdp":""}`, "sdp of the answer is empty"},
		{`{"type":"answer","call":"1","sdp":"","parley":{"version":1,"number":1,"rejected":"no"}}`, ""},
		{`{"type":"answer","call":"1","sdp":"","parley":{"version":1,"number":1}}`, "sdp of the answer is empty"},
		{`{"type":"candidate","call":"1","candidate":{"candidate":"candidate:1 1 udp 1 127.0.0.1 9 typ host","sdpMid":"0","sdpMLineIndex":0}}`, ""},
		{`{"type":"candidate","call":"1","candidate":{"candidate":"","sdpMid":null}}`, ""},
		{`{"type":"candidate","call":"1"}`, "candidate is missing"},
		{`{"type":"candidate","call":"1","candidate":null}`, "candidate is missing"},
		{`{"type":"candidate","call":"1","candidate":"candidate:1"}`, "invalid JSON"},
		{`{"type":"candidate","call":"1","candidate":{"candidate":"` + strings.Repeat("x", 2049) + `"}}`, "too long"},
		{`{"type":"end-of-candidates","call":"1"}`, ""},
		{`{"type":"leave","call":"1"}`, ""},
		{`{"type":"leave"}`, "call is missing"},
		{`{"type":"error","text":"no route"}`, ""},
		{`{"type":"error","call":"1","code":"absent","text":"nobody"}`, ""},
		{`{"type":"hello"}`, "unknown type"},
		{`{}`, "type is missing"},
		{`[]`, "invalid JSON"},
		{`{"type":"leave","call":"1"`, "invalid JSON"},
		{"connected to the broker", "invalid JSON"},
		{"{\"type\":\"error\",\"text\":\"\xff\"}", "not UTF-8"},
	} {
		_, err := decode([]byte(test.line))
		if test.err == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%.200s: got error %v, want one with %q", test.line, err, test.err)
		}
		if bySchema := eventtest.Validate("adapter", test.line); json.Valid([]byte(test.line)) && bySchema == nil != (err == nil) && !strings.Contains(test.err, "UTF-8") {
			t.Errorf("%.200s: got error %v, but %v by the schema", test.line, err, bySchema)
		}
	}
}

// TestSentFollowsSchema validates what parley writes, and decodes it as the program of the peer
// would pass it on.
func TestSentFollowsSchema(t *testing.T) {
	mid, index := "0", uint16(0)
	for _, m := range []signal.Message{
		{Type: signal.Offer, Peer: "bob", SDP: "v=0\r\n", Extension: &signal.Extension{Version: 1, Number: 1}},
		{Type: signal.Answer, Peer: "bob", SDP: "v=0\r\n"},
		{Type: signal.Answer, Peer: "bob", Extension: &signal.Extension{Version: 1, Number: 1, Rejected: "no codec"}},
		{Type: signal.ICECandidate, Peer: "bob", Candidate: &signal.Candidate{Candidate: "candidate:1", SDPMid: &mid, SDPMLineIndex: &index}},
		{Type: signal.ICECandidate, Peer: "bob"},
		{Type: signal.Leave, Peer: "bob"},
	} {
		line, err := sent(m, "ID")
		if err != nil {
			t.Fatal(err)
		}
		if err := eventtest.Validate("adapter", string(line)); err != nil {
			t.Error(err)
		}
		decoded, err := decode(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		got, _ := json.Marshal(decoded.received("bob"))
		if want, _ := json.Marshal(m); string(got) != string(want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	login, err := message{Type: typeLogin, Version: Version, Name: "alice"}.line()
	if err == nil {
		err = eventtest.Validate("adapter", string(login))
	}
	if err != nil {
		t.Error(err)
	}
}

// FuzzDecode decodes any line, and has the schema accept what decode accepts.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"offer","call":"1","peer":"bob","sdp":"v=0","parley":{"version":1,"number":1}}`))
	f.Add([]byte(`{"type":"candidate","call":"1","candidate":{"candidate":""}}`))
	f.Add([]byte(`{"type":"ready","iceServers":[{"urls":["turn:a"],"username":"u"}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := decode(line)
		if err != nil || m.Type == typeReady || m.Type == typeError {
			return
		}
		r := m.received("bob")
		if r.Peer != "bob" || r.Type == "" {
			t.Errorf("%s: got %v", line, r)
		}
		if r.Extension != nil && r.Extension.Check(r.Type) != nil {
			t.Errorf("%s: got the extension %v", line, r.Extension)
		}
	})
}
