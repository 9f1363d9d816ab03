package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parley/signal"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// TestMessageFaults attacks with messages, from within a session and before it, while bob and carol
// are in a call.
func TestMessageFaults(t *testing.T) {
	v := newVictim(t, &server.Options{Limits: server.Limits{PerAddress: -1, Upgrades: server.Rate{PerSecond: -1},
		Offers: server.Rate{PerSecond: -1}, Others: server.Rate{PerSecond: -1}, Candidates: server.Rate{PerSecond: 1e-6, Burst: 1000}}})
	const undefined = `alice < {"type":"error","code":"unknown_type","message":"Command not found: undefined"}`
	const badOffer = `alice < {"type":"error","code":"bad_message","name":"alice","message":"an offer needs offer: an object with the strings type and sdp"}`
	const noSession = `alice < {"type":"error","code":"login_first","message":"sign in first: send a login with a name"}`
	in := signIn("alice")
	said := func(text, answer string) string { return in + "alice > " + text + "\n" + answer + "\nalice quiet" }
	nested := func(open, shut string) string {
		return strings.Repeat(open, 10_001) + "1" + strings.Repeat(shut, 10_001)
	}
	named := func(name string) string {
		text, err := json.Marshal(map[string]string{"type": "login", "name": name})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	attacks := map[string]string{
		"no JSON":                     said(`{"type":`, undefined),
		"an array":                    said(`[{"type":"login","name":"x"}]`, undefined),
		"a number":                    said(`1e400`, undefined),
		"null":                        said(`null`, undefined),
		"an empty object":             said(`{}`, undefined),
		"two objects":                 said(`{"type":"leave","name":"bob"}{}`, undefined),
		"nothing":                     said(``, undefined),
		"a NUL":                       said("{\"type\":\"leave\x00\",\"name\":\"bob\"}", undefined),
		"objects 10,001 deep":         said(nested(`{"a":`, "}"), undefined),
		"arrays 10,001 deep":          said(nested("[", "]"), undefined),
		"a type beyond all numbers":   said(`{"type":1e400}`, `alice < {"type":"error","code":"unknown_type","message":"Command not found: Infinity"}`),
		"a type of 60 KiB":            said(`{"type":"`+strings.Repeat("x", 60<<10)+`"}`, `alice < {"type":"error","code":"unknown_type","message":"Command not found: `+strings.Repeat("x", 1<<10)+`"}`),
		"an unknown type":             said(`{"type":"teapot"}`, `alice < {"type":"error","code":"unknown_type","message":"Command not found: teapot"}`),
		"a type of another case":      said(`{"type":"LOGIN","name":"x"}`, `alice < {"type":"error","code":"unknown_type","message":"Command not found: LOGIN"}`),
		"a member of another case":    said(`{"Type":"leave","Name":"bob"}`, undefined),
		"unknown members and version": said(`{"type":"offer","version":99,"v":[{}],"offer":`+offerSDP+`,"name":"alice"}`, `alice = {"type":"offer","offer":`+offerSDP+`,"name":"alice"}`),

		"the last of repeated members counts": said(`{"type":"teapot","offer":1,"name":"bob","type":"offer","offer":`+offerSDP+`,"name":"alice"}`,
			`alice = {"type":"offer","offer":`+offerSDP+`,"name":"alice"}`),
		"an offer with two descriptions":   said(`{"type":"offer","offer":{"type":"offer","sdp":"a","sdp":"b"},"name":"alice"}`, badOffer),
		"an offer without a description":   said(`{"type":"offer","name":"alice"}`, badOffer),
		"an offer of null":                 said(`{"type":"offer","offer":null,"name":"alice"}`, badOffer),
		"an offer whose sdp is an object":  said(`{"type":"offer","offer":{"type":"offer","sdp":{}},"name":"alice"}`, badOffer),
		"an offer for nobody":              said(`{"type":"offer","offer":`+offerSDP+`}`, `alice < {"type":"error","code":"bad_name","message":"the offer is for nobody: the name is not a string"}`),
		"an offer for an array":            said(`{"type":"offer","offer":`+offerSDP+`,"name":["bob"]}`, `alice < {"type":"error","code":"bad_name","message":"the offer is for nobody: the name is not a string"}`),
		"an offer for somebody absent":     said(`{"type":"offer","offer":`+offerSDP+`,"name":"nobody"}`, `alice < {"type":"error","code":"absent","name":"nobody","message":"nobody is not signed in"}`),
		"a description a byte too long":    in + `alice > {"type":"offer","offer":{"type":"offer","sdp":"` + strings.Repeat("x", 48<<10+1) + `"},"name":"bob"}` + "\nalice < {\"type\":\"error\",\"code\":\"too_long\",\"message\":\"the session description is longer than this server takes\"}\nalice closed 1009",
		"a candidate a byte too long":      in + `alice > {"type":"candidate","candidate":{"candidate":"` + strings.Repeat("x", 2<<10+1) + `"},"name":"bob"}` + "\nalice < {\"type\":\"error\",\"code\":\"too_long\",\"message\":\"the candidate is longer than this server takes\"}\nalice closed 1009",
		"a message before the login":       "alice > {\"type\":\"offer\",\"offer\":" + offerSDP + ",\"name\":\"bob\"}\n" + noSession,
		"a leave before the login":         "alice > {\"type\":\"leave\",\"name\":\"bob\"}\n" + noSession,
		"ICE servers before the login":     "alice > {\"type\":\"iceServers\"}\n" + noSession,
		"a login for a name that is held":  "alice > {\"type\":\"login\",\"name\":\"bob\"}\nalice < {\"type\":\"login\",\"success\":false,\"code\":\"taken\",\"message\":\"bob is signed in already\"}",
		"a second login, for one's name":   said(`{"type":"login","name":"alice"}`, `alice < {"type":"login","success":false,"code":"taken","message":"alice is signed in already"}`),
		"a second login, for another name": said(`{"type":"login","name":"anna"}`, `alice < {"type":"login","success":true}`),
		"somebody of the other dialect": in + `gandalf > {"inst":"init","id":"gandalf","reply":true,"errors":true}
			gandalf < {"type":"login","success":true}
			gandalf > {"inst":"send","peerId":"bob","message":` + offerSDP + `}
			gandalf < {"type":"error","code":"absent","name":"bob","message":"bob is not signed in"}`,

		// Bob and carol must not hear of any of these.
		"an answer into a call of others":   said(`{"type":"answer","answer":`+answerSDP+`,"name":"bob"}`, `alice < {"type":"error","name":"bob","code":"no_call","message":"there is no offer of bob to answer"}`),
		"a candidate into a call of others": said(`{"type":"candidate","candidate":`+candidate+`,"name":"carol"}`, `alice < {"type":"error","name":"carol","code":"no_call","message":"there is no call with carol"}`),
		"a leave into a call of others":     said(`{"type":"leave","name":"bob"}`, `alice < {"type":"error","name":"bob","code":"no_call","message":"there is no call with bob"}`),
		"two leaves into a call of others":  said("{\"type\":\"leave\",\"name\":\"bob\"}\nalice > {\"type\":\"leave\",\"name\":\"bob\"}", `alice < {"type":"error","name":"bob","code":"no_call","message":"there is no call with bob"}`+"\n"+`alice < {"type":"error","name":"bob","code":"no_call","message":"there is no call with bob"}`),
		"an answer of the server's words":   said(`{"type":"login","success":true,"name":"bob"}`, `alice < {"type":"login","success":false,"code":"taken","message":"bob is signed in already"}`),
		"an error for somebody else":        said(`{"type":"error","message":"boo","name":"bob"}`, `alice < {"type":"error","code":"unknown_type","message":"Command not found: error"}`),
		"a number in a session without":     said(`{"type":"leave","name":"bob","seq":77,"ack":99}`, `alice < {"type":"error","name":"bob","code":"no_call","message":"there is no call with bob"}`),
		"a forged sender": in + signIn("dave") + `
			alice > {"type":"offer","from":"bob","sender":"bob","src":"bob","offer":` + offerSDP + `,"name":"dave"}
			dave = {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			dave quiet`,
		"a message said twice": in + signIn("dave") + aliceCallsDave + aliceCallsDave + `
			dave > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"dave"}
			dave > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"dave"}
			alice > {"type":"leave","name":"dave"}
			dave < {"type":"leave","name":"alice"}
			alice > {"type":"leave","name":"dave"}
			alice < {"type":"error","name":"dave","code":"no_call","message":"there is no call with dave"}`,
		"an offer after the leave, answered by one who is gone": in + signIn("dave") + aliceCallsDave + `
			alice > {"type":"leave","name":"dave"}
			dave < {"type":"leave","name":"alice"}
			dave > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			dave quiet
			alice quiet` + aliceCallsDave + `dave vanishes
			alice < {"type":"leave","name":"dave"}`,
		"a flood": in + strings.Repeat(`alice > {"type":"candidate","candidate":null,"name":"bob"}`+"\n", 1010) + "alice closed 4429",
	}
	for name, bad := range map[string]string{
		"empty": "", "with a line feed": "a\nb", "with an escape": "\x1b[2J", "with NUL": "a\x00", "from right to left": "a\u202eb",
		"with a zero width": "a\u200bb", "of 65 bytes": strings.Repeat("x", 65), "of 60 KiB": strings.Repeat("x", 60<<10),
	} {
		text := `"code":"bad_name"`
		attacks["a name "+name] = "alice > " + named(bad) + "\nalice has " + text
	}
	for name, good := range map[string]string{"of an emoji": "😀", "of a path": "../../etc/passwd", "of markup": "<img onerror=x>", "of 64 bytes": strings.Repeat("x", 64)} {
		attacks["a name "+name] = "alice > " + named(good) + "\nalice < {\"type\":\"login\",\"success\":true}\nalice quiet"
	}
	var all []attack
	for name, lines := range attacks {
		all = append(all, attack{name, func() { play(v.t, "ws://"+v.address, lines) }})
	}
	v.suffer(all)
}

const aliceCallsDave = `
	alice > {"type":"offer","offer":` + offerSDP + `,"name":"dave"}
	dave < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}` + "\n"

// TestTokenExpiresInMidSession has a token that is good once: the session goes on without it, and
// comes back by its ticket, but nobody signs in with it anew.
func TestTokenExpiresInMidSession(t *testing.T) {
	var expired atomic.Bool
	server, url := signaltest.StartServer(t, &server.Options{Auth: authFunc(func(context.Context, signal.LoginRequest) (signal.Identity, error) {
		if expired.Load() {
			return signal.Identity{}, &signal.Denied{Reason: "the token has expired"}
		}
		return signal.Identity{}, nil
	})})
	alice := newReturning(t, url, "alice")
	expired.Store(true)
	alice.says(`{"type":"offer","offer":` + offerSDP + `,"name":"alice","seq":1}`)
	alice.hears(`{"type":"offer","offer":` + offerSDP + `,"name":"alice","seq":1,"ack":1}`)
	alice.vanish(server)
	if got := alice.back(alice.ticket, 1); got["success"] != true {
		t.Errorf("coming back: %v", got)
	}
	mallory := &returning{t: t, url: url, name: "mallory"}
	mallory.dial()
	if got := exchange(t, mallory.ws, map[string]any{"type": "login", "name": "mallory"}); got["code"] != "unauthorized" {
		t.Errorf("signing in: %v", got)
	}
}

// TestLogHoldsNoBodies says secrets in every place of a conversation, right and wrong: the log has
// none of them.
func TestLogHoldsNoBodies(t *testing.T) {
	var log lockedBuffer
	url := signaltest.Start(t, &server.Options{Logger: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	alice, bob := dialRaw(t, url), dialRaw(t, url)
	ask(t, alice, map[string]any{"type": "login", "name": "sesame-a", "token": "sesame"}, map[string]any{"type": "login", "success": true})
	ask(t, bob, map[string]any{"type": "login", "name": "sesame-b"}, map[string]any{"type": "login", "success": true})
	sdp := map[string]any{"type": "offer", "sdp": "a=ice-pwd:sesame"}
	if err := alice.WriteJSON(map[string]any{"type": "offer", "offer": sdp, "name": "sesame-b"}); err != nil {
		t.Fatal(err)
	}
	_ = bob.SetReadDeadline(time.Now().Add(patience))
	hears(t, bob, "offer")
	for _, frame := range []any{"sesame", map[string]any{"type": "sesame\n{\"level\":\"ERROR\"}"}, map[string]any{"type": "offer", "offer": "sesame", "name": "sesame"}} {
		exchange(t, alice, frame)
	}
	if err := errors.Join(shake(alice), shake(bob)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both ends in the log", func() bool { return strings.Count(log.String(), "connection ended") == 2 })
	if text := log.String(); strings.Contains(text, "sesame") {
		t.Errorf("the log:\n%s", text)
	}
}
