package wire

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"parley/signal"
)

// seeds are frames of both dialects and both directions, well-formed and not. The fuzzers start
// from them.
var seeds = []string{
	`{"type":"login","name":"alice"}`,
	`{"type":"offer","offer":{"type":"offer","sdp":"v=0\r\n"},"name":"bob"}`,
	`{"type":"answer","answer":{"type":"answer","sdp":"v=0\r\n"},"name":"bob"}`,
	`{"type":"candidate","candidate":{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":0,"usernameFragment":"u"},"name":"bob"}`,
	`{"type":"candidate","candidate":{"candidate":"","sdpMid":null,"sdpMLineIndex":null}}`,
	`{"type":"leave","name":"bob"}`,
	`{"type":"login","success":false,"message":"no","code":"taken"}`,
	`{"type":"error","message":"Command not found: undefined","code":"unknown_type","name":"bob"}`,
	`{"inst":"init","id":"Gandalf","errors":true}`,
	`{"inst":"send","peerId":"Saruman","message":{"type":"offer","sdp":"v=0"}}`,
	`{"type":"offer","sdp":"v=0"}`, `{"candidate":{"candidate":"candidate:1"}}`, `{"candidate":null}`,
	`{"type":"offer","offer":{"type":"offer","sdp":"v=0","parley":{"version":1,"number":7,"browser":true,"answerRejected":"n\\u00f6 "}},"name":"bob"}`,
	`{"type":"answer","answer":{"type":"answer","sdp":"","parley":{"version":1,"number":7,"rejected":" \\u001b "}}}`,
	`{"type":"answer","sdp":"","parley":{"version":1,"number":7,"rejected":"no","browser":false,"new":{}}}`,
	`{"type":"answer","sdp":"v=0","parley":{"version":1,"number":-7,"rejected":7}}`,
	`Hello world`, ``, `null`, `[]`, `5`, `"x"`, `{`, `{}`, ` { } `, `{"type":"login"}{}`,
	`{"type":[1,null,[2,"x"],{"a":[3]}],"type":-0}`, `{"typ\u0065":"leave","n\u0061me":"\ud800"}`, `{"TYPE":"leave","type" : "leave" }`,
	"{\"type\":\"\xff\"}", `{"a":"\\","b":"\"}","type":"leave"}`, `{"a":{"type":"login"},"b":[{"}":"]"}],"type":"leave"}`, `{"":1,"":2}`,
	`{"a":1,"b":[{"c":2}],"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"type":"leave","a":10} `,
	`{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8}`, `{"type":"leave" , "name": [ ] }`, `[{"type":"leave"}]`,
	`{"type":1e999}`, "\t{\r\n\"type\"\t:\n1 , \"name\" :\"x\"}",
}

// FuzzObject holds object against encoding/json, whose maps compare names exactly and keep the last
// duplicate, too.
func FuzzObject(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		want := map[string]json.RawMessage{}
		if !utf8.Valid(frame) || json.Unmarshal(frame, &want) != nil {
			want = map[string]json.RawMessage{}
		}
		got := map[string][]byte{}
		for o := parseObject(frame); ; {
			name, value, ok := o.next()
			if !ok {
				break
			}
			got[string(name)] = value
		}
		if len(got) != len(want) {
			t.Fatalf("%d members instead of %d: %q", len(got), len(want), got)
		}
		for name, value := range want {
			if !bytes.Equal(got[name], value) {
				t.Errorf("member %q is %q instead of %q", name, got[name], value)
			}
			var s string
			isText := json.Unmarshal(value, &s) == nil && value[0] == '"'
			if text, ok := unquote(got[name]); ok != isText || text != s {
				t.Errorf("the string of %q is %q, %v", value, text, ok)
			}
		}
	})
}

// FuzzClientCall decodes as the client does; what it accepts is bounded and can be said again.
func FuzzClientCall(f *testing.F) { fuzzClient(f, callCodec{}) }

// FuzzClientRelay is FuzzClientCall in the relay dialect.
func FuzzClientRelay(f *testing.F) { fuzzClient(f, relayCodec{ours: true}) }

func fuzzClient(f *testing.F, w Codec) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		got, err := w.Decode(frame)
		if err != nil || got.Login != nil {
			return
		}
		m := got.Message
		if m.Peer != "" && signal.CheckPeerName(m.Peer) != nil {
			t.Errorf("peer %q", m.Peer)
		}
		if signal.Printable(m.Text) != m.Text || signal.Printable(m.Code) != m.Code {
			t.Errorf("text %q, code %q", m.Text, m.Code)
		}
		if e := m.Extension; e != nil && (e.Rejected != "" && e.Rejected != cleanReason(e.Rejected) ||
			e.AnswerRejected != "" && e.AnswerRejected != cleanReason(e.AnswerRejected)) {
			t.Errorf("extension %+v", e)
		}
		if m.Type == signal.Error {
			return
		}
		m.Peer = "bob"
		if err := m.Check(); err != nil {
			t.Fatalf("what was received cannot be sent: %v", err)
		}
		said := w.Encode(m)
		if said == nil {
			return
		}
		wellFormed(t, said)
		if _, relayed := w.(relayCodec); relayed {
			said = lastMembers(parseObject(said), "message")["message"]
		}
		back, err := w.Decode(said)
		if err != nil {
			t.Fatalf("%q: %v", said, err)
		}
		back.Message.Peer = m.Peer
		if !equalMessages(back.Message, m) {
			t.Errorf("%+v came back as %+v", m, back.Message)
		}
	})
}

func equalMessages(a, b signal.Message) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y)
}

func wellFormed(t *testing.T, frame []byte) map[string][]byte {
	t.Helper()
	if !json.Valid(frame) || !utf8.Valid(frame) {
		t.Fatalf("sent %q", frame)
	}
	out := map[string][]byte{}
	for o := parseObject(frame); ; {
		name, value, ok := o.next()
		if !ok {
			return out
		}
		out[string(name)] = value
	}
}

// FuzzServerCall decodes as the server does, builds what it would send, and looks at both.
func FuzzServerCall(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	limits := PayloadLimits{SDP: 48 << 10, Candidate: 2 << 10}
	f.Fuzz(func(t *testing.T, frame []byte) {
		req := DecodeCall(frame)
		typ := req.Type()
		if typ == "" {
			text := req.TypeText()
			if len(text) > maxTypeText {
				t.Errorf("a text of %d bytes", len(text))
			}
			wellFormed(t, AppendError(nil, signal.CodeUnknownType, text, ""))
			return
		}
		name, refused := req.Name()
		if (refused == "") != (signal.CheckName(name) == nil) {
			t.Errorf("name %q, refused for %q", name, refused)
		}
		if typ == TypeLogin || typ == TypeAck || refused != "" {
			return
		}
		if code, _ := limits.Check(typ, req.Payload); code != "" {
			return
		}
		out := wellFormed(t, AppendDelivery(nil, typ, req.Payload, name))
		if text, _ := unquote(out["type"]); text != string(typ) {
			t.Errorf("%s became %q", typ, out["type"])
		}
		if text, _ := unquote(out["name"]); text != name {
			t.Errorf("from %q became %q", name, out["name"])
		}
		if len(req.Payload) > 0 && !bytes.Equal(out[string(typ)], req.Payload) {
			t.Errorf("payload %q became %q", req.Payload, out[string(typ)])
		}
		if want := map[signal.Type]int{signal.Leave: 2}[typ]; want != 0 && len(out) != want || want == 0 && len(out) != 3 {
			t.Errorf("members %q", out)
		}
	})
}

// FuzzServerRelay decodes as the server does.
func FuzzServerRelay(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		req := DecodeRelay(frame)
		if req.Inst() != "send" {
			return
		}
		if !bytes.Contains(frame, req.Payload) {
			t.Errorf("payload %q is not of the frame", req.Payload)
		}
		if _, ok := openObject(req.Payload); ok {
			wellFormed(t, req.Payload)
		}
	})
}
