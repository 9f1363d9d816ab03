package signal

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// seeds are frames of both dialects and both directions, well-formed and not. The fuzzers start from them.
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
	`{"type":1e999}`, "\t{\r\n\"type\"\t:\n1 , \"name\" :\"x\"}",
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
			wellFormed(t, appendError(nil, CodeUnknownType, text, ""))
			return
		}
		name, refused := req.Name()
		if (refused == "") != (CheckName(name) == nil) {
			t.Errorf("name %q, refused for %q", name, refused)
		}
		if typ == login || typ == ack || refused != "" {
			return
		}
		if code, _ := limits.Check(typ, req.Payload); code != "" {
			return
		}
		out := wellFormed(t, appendDelivery(nil, typ, req.Payload, name))
		if text, _ := unquote(out["type"]); text != string(typ) {
			t.Errorf("%s became %q", typ, out["type"])
		}
		if text, _ := unquote(out["name"]); text != name {
			t.Errorf("from %q became %q", name, out["name"])
		}
		if len(req.Payload) > 0 && !bytes.Equal(out[string(typ)], req.Payload) {
			t.Errorf("payload %q became %q", req.Payload, out[string(typ)])
		}
		if want := map[Type]int{Leave: 2}[typ]; want != 0 && len(out) != want || want == 0 && len(out) != 3 {
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
