package server_test

import (
	"strings"
	"testing"

	"parley/signal"
)

const (
	offerSDP  = `{"type":"offer","sdp":"v=0\r\n"}`
	answerSDP = `{"type":"answer","sdp":"v=0\r\n"}`
	candidate = `{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host","sdpMid":"0","sdpMLineIndex":0}`
)

// TestCall goes through the call dialect of the server, one behaviour a script.
func TestCall(t *testing.T) {
	for name, lines := range map[string]string{
		"a call from login to leave": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			alice > {"type":"candidate","candidate":` + candidate + `,"name":"bob"}
			bob < {"type":"candidate","candidate":` + candidate + `,"name":"alice"}
			bob > {"type":"candidate","candidate":null,"name":"alice"}
			alice < {"type":"candidate","candidate":null,"name":"bob"}
			alice > {"type":"leave","name":"bob"}
			bob < {"type":"leave","name":"alice"}
			alice closes
			bob quiet`,
		"a payload passes through to the byte": signIn("alice", "bob") + `
			alice > {"name":"bob" , "offer" : { "sdp":"\u0076=0\r\n</script>\u2028", "type":"offer","extra":[1e3,{"a":[]}] },"type":"offer"}
			bob = {"type":"offer","offer":{ "sdp":"\u0076=0\r\n</script>\u2028", "type":"offer","extra":[1e3,{"a":[]}] },"name":"alice"}`,
		"an extension passes through, and an answer that rejects": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":{"type":"offer","sdp":"v=0","parley":{"version":1,"number":7,"new":[{}]}},"name":"bob"}
			bob = {"type":"offer","offer":{"type":"offer","sdp":"v=0","parley":{"version":1,"number":7,"new":[{}]}},"name":"alice"}
			bob > {"type":"answer","answer":{"type":"answer","sdp":"","parley":{"version":1,"number":7,"rejected":"no"}},"name":"alice"}
			alice = {"type":"answer","answer":{"type":"answer","sdp":"","parley":{"version":1,"number":7,"rejected":"no"}},"name":"bob"}`,
		"somebody who has left gets no leave before the offer of the next of that name": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			bob > {"type":"leave","name":"alice"}
			alice < {"type":"leave","name":"bob"}
			alice > {"type":"login","name":"anna"}
			alice < {"type":"login","success":true}
			other > {"type":"login","name":"alice"}
			other < {"type":"login","success":true}
			other > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}`,
		"a name is taken": signIn("alice") + `
			other > {"type":"login","name":"alice"}
			other < {"type":"login","success":false,"code":"taken","message":"alice is signed in already"}
			alice > {"type":"login","name":"alice"}
			alice < {"type":"login","success":false,"code":"taken","message":"alice is signed in already"}`,
		"a name is free at once": signIn("alice") + `
			alice closes
			` + signIn("alice"),
		"a second login frees the first name and ends its calls": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice > {"type":"login","name":"anna"}
			alice < {"type":"login","success":true}
			bob < {"type":"leave","name":"alice"}
			other > {"type":"login","name":"alice"}
			other < {"type":"login","success":true}`,
		"an offer to somebody absent": signIn("alice") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			alice < {"type":"error","message":"bob is not signed in","code":"absent","name":"bob"}
			# the candidates behind it are dropped, as the offer has been answered for
			alice > {"type":"candidate","candidate":` + candidate + `,"name":"bob"}
			alice > {"type":"leave","name":"bob"}
			alice quiet
			alice > {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			alice < {"type":"error","message":"bob is not signed in","code":"absent","name":"bob"}`,
		"a partner who closes leaves": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			bob closes
			alice < {"type":"leave","name":"bob"}
			alice quiet`,
		"a partner who vanishes leaves": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			bob vanishes
			alice < {"type":"leave","name":"bob"}`,
		"both of a call close": signIn("alice", "bob", "carol") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			bob closes
			alice closes
			carol quiet`,
		"somebody with several calls leaves them all": signIn("alice", "bob", "echo") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"echo"}
			echo < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			bob > {"type":"offer","offer":` + offerSDP + `,"name":"echo"}
			echo < {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			echo closes
			alice < {"type":"leave","name":"echo"}
			bob < {"type":"leave","name":"echo"}`,
		"the next of that name has no part in the call": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			bob closes
			alice < {"type":"leave","name":"bob"}
			` + signIn("bob") + `
			alice closes
			bob quiet`,
		"a second offer within a call": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			bob > {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice < {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			alice closes
			bob < {"type":"leave","name":"alice"}
			bob quiet`,
		"somebody calls oneself": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice closes
			bob quiet`,
		"before the login": `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			alice < {"type":"error","code":"login_first","message":"sign in first: send a login with a name"}
			alice > {"type":"leave","name":"bob"}
			alice < {"type":"error","code":"login_first","message":"sign in first: send a login with a name"}`,
		"a message for nobody": signIn("alice") + `
			alice > {"type":"offer","offer":` + offerSDP + `}
			alice < {"type":"error","code":"bad_name","message":"the offer is for nobody: the name is not a string"}
			alice > {"type":"leave","name":["bob"]}
			alice < {"type":"error","code":"bad_name","message":"the leave is for nobody: the name is not a string"}`,
		"payloads of the wrong shape": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":"v=0","name":"bob"}
			alice < {"type":"error","code":"bad_message","name":"bob","message":"an offer needs offer: an object with the strings type and sdp"}
			alice > {"type":"offer","name":"bob"}
			alice < {"type":"error","code":"bad_message","name":"bob","message":"an offer needs offer: an object with the strings type and sdp"}
			alice > {"type":"offer","offer":{"type":"offer","sdp":"a","sdp":"b"},"name":"bob"}
			alice < {"type":"error","code":"bad_message","name":"bob","message":"an offer needs offer: an object with the strings type and sdp"}
			alice > {"type":"answer","offer":` + offerSDP + `,"name":"bob"}
			alice < {"type":"error","code":"bad_message","name":"bob","message":"an answer needs answer: an object with the strings type and sdp"}
			alice > {"type":"candidate","candidate":7,"name":"bob"}
			alice < {"type":"error","code":"bad_message","name":"bob","message":"a candidate needs candidate: an object with the string candidate, or null"}
			alice > {"type":"candidate","candidate":{"candidate":7},"name":"bob"}
			alice < {"type":"error","code":"bad_message","name":"bob","message":"a candidate needs candidate: an object with the string candidate, or null"}
			bob quiet`,
		"the end of candidates in every form": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice > {"type":"candidate","candidate":null,"name":"bob"}
			bob < {"type":"candidate","candidate":null,"name":"alice"}
			alice > {"type":"candidate","name":"bob"}
			bob < {"type":"candidate","candidate":null,"name":"alice"}
			alice > {"type":"candidate","candidate":"","name":"bob"}
			bob < {"type":"candidate","candidate":"","name":"alice"}
			alice > {"type":"candidate","candidate":{"candidate":"","sdpMid":"0"},"name":"bob"}
			bob < {"type":"candidate","candidate":{"candidate":"","sdpMid":"0"},"name":"alice"}`,
		"a forged sender and other people's members do not pass": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice > {"type":"leave","name":"bob","from":"mallory","code":"absent","message":"x","success":true}
			bob = {"type":"leave","name":"alice"}`,
		"names match to the letter, the last of two counts": signIn("alice", "bob", "carol") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice > {"type":"leave","NAME":"carol","name":"carol","name":"bob","Name":"carol"}
			bob = {"type":"leave","name":"alice"}
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice > {"Type":"leave","TYPE":"leave","name":"bob"}
			alice < {"type":"error","code":"unknown_type","message":"Command not found: undefined"}
			alice > {"typ\u0065":"leave","n\u0061me":"b\u006fb"}
			bob = {"type":"leave","name":"alice"}
			carol quiet`,
	} {
		t.Run(name, func(t *testing.T) { talk(t, nil, lines) })
	}
}

// TestCallNames signs in with names that are odd but fine, and with names that are refused.
func TestCallNames(t *testing.T) {
	good := []string{"a", "Zoë", "李雷", "👩🏽", `"quoted"`, `back\slash`, "<img onerror=x>", "constructor", "__proto__", "undefined",
		"a b", "%p", "'; --", strings.Repeat("n", 64)}
	url := signalURL(t)
	for _, name := range good {
		ws := dialRaw(t, url)
		defer ws.Close()
		ask(t, ws, map[string]any{"type": "login", "name": name}, map[string]any{"type": "login", "success": true})
		offer := map[string]any{"type": "offer", "sdp": "v=0"}
		ask(t, ws, map[string]any{"type": "offer", "name": name, "offer": offer}, map[string]any{"type": "offer", "name": name, "offer": offer})
	}
	bad := []any{"", strings.Repeat("n", 65), "new\nline", "\x1b[31m", "nul\x00", "\u202eevil", "\u200b", "\u0085", "\ufffd", "\ue000", nil, 5, true,
		[]string{"a"}, map[string]string{}}
	ws := dialRaw(t, url)
	defer ws.Close()
	for _, name := range bad {
		got := exchange(t, ws, map[string]any{"type": "login", "name": name})
		if got["type"] != "login" || got["success"] != false || got["code"] != signal.CodeBadName || got["message"] == "" {
			t.Errorf("login as %q: got %v", name, got)
		}
	}
}

// TestUnknownType compares the answer to an unknown type with what JavaScript makes of it.
func TestUnknownType(t *testing.T) {
	for frame, shown := range unknownTypes() {
		t.Run(frame, func(t *testing.T) {
			talk(t, nil, "alice > "+frame+"\nalice = "+`{"type":"error","message":"Command not found: `+shown+`","code":"unknown_type"}`)
		})
	}
}

// unknownTypes are frames and what follows "Command not found: " in the answer to them, as it
// stands in JSON.
func unknownTypes() map[string]string {
	return map[string]string{
		`{}`:                             "undefined",
		`[]`:                             "undefined",
		`"login"`:                        "undefined",
		`5`:                              "undefined",
		`not json`:                       "undefined",
		`{"type":"offer"`:                "undefined",
		`{"type":"login"} {}`:            "undefined",
		`{"type":null}`:                  "null",
		`{"type":5}`:                     "5",
		`{"type":-0}`:                    "0",
		`{"type":1.50}`:                  "1.5",
		`{"type":1e21}`:                  "1e+21",
		`{"type":123456789012345678901}`: "123456789012345680000",
		`{"type":1e-7}`:                  "1e-7",
		`{"type":0.000001}`:              "0.000001",
		`{"type":1e-999}`:                "0",
		`{"type":1e999}`:                 "Infinity",
		`{"type":-1e999}`:                "-Infinity",
		`{"type":true}`:                  "true",
		`{"type":false}`:                 "false",
		`{"type":{"a":1}}`:               "[object Object]",
		`{"type":""}`:                    "",
		`{"type":"Login"}`:               "Login",
		`{"type":"constructor"}`:         "constructor",
		`{"type":"say \"hi\"\n\\ \u0001 ü \u2028"}`: `say \"hi\"\n\\ \u0001 ü ` + "\u2028",
		`{"type":"error","inst_":"init"}`:           "error",
	}
}
