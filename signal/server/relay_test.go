package server_test

import (
	"strings"
	"testing"

	"parley/signal/server"
)

// TestRelay goes through the relay dialect of the server, one behaviour a script.
func TestRelay(t *testing.T) {
	const (
		gandalf = `gandalf > {"inst":"init","id":"Gandalf"}` + "\n"
		// Init has no reply; requesting errors and then causing one shows when it was received.
		saruman = `saruman > {"inst":"init","id":"Saruman","errors":true}
			saruman > {"inst":"?"}
			saruman < {"type":"error","code":"unknown_type","message":"inst is neither init nor send"}` + "\n"
	)
	for name, lines := range map[string]string{
		"a message passes unwrapped, to the byte": saruman + gandalf + `
			gandalf > {"inst":"send","peerId":"Saruman","message": {"sdp":"v=0\r\n\u0041", "type":"offer","more":[1e3, null]} }
			saruman = {"sdp":"v=0\r\n\u0041", "type":"offer","more":[1e3, null]}
			gandalf > {"inst":"send","peerId":"Saruman","message":{"candidate":` + candidate + `}}
			saruman = {"candidate":` + candidate + `}`,
		"an extension passes through, and an answer that rejects": saruman + gandalf + `
			gandalf > {"inst":"send","peerId":"Saruman","message":{"type":"offer","sdp":"v=0","parley":{"version":1,"number":7,"new":[{}]}}}
			saruman = {"type":"offer","sdp":"v=0","parley":{"version":1,"number":7,"new":[{}]}}
			saruman > {"inst":"send","peerId":"Gandalf","message":{"type":"answer","sdp":"","parley":{"version":1,"number":7,"rejected":"no"}}}
			gandalf = {"type":"answer","sdp":"","parley":{"version":1,"number":7,"rejected":"no"}}`,
		"a second init takes the id over": saruman + gandalf + `
			gandalf > {"inst":"send","peerId":"Gandalf","message":{"n":1}}
			gandalf = {"n":1}
			other > {"inst":"init","id":"Gandalf"}
			other > {"inst":"send","peerId":"Gandalf","message":{"n":2}}
			other = {"n":2}
			# the end of the first takes nothing from the second
			gandalf closes
			saruman > {"inst":"send","peerId":"Gandalf","message":{"n":3}}
			other = {"n":3}`,
		"the same init twice": saruman + `
			saruman > {"inst":"init","id":"Saruman","errors":true}
			saruman > {"inst":"send","peerId":"Saruman","message":{"n":1}}
			saruman = {"n":1}`,
		"errors for who asked for them": saruman + `
			saruman > {"inst":"send","peerId":"Gandalf","message":{"n":1}}
			saruman < {"type":"error","code":"absent","name":"Gandalf","message":"Gandalf is not signed in"}
			saruman > {"inst":"send","peerId":"Saruman","message":"text"}
			saruman < {"type":"error","code":"bad_message","name":"Saruman","message":"a send needs message: an object"}
			saruman > {"inst":"send","peerId":"Saruman"}
			saruman < {"type":"error","code":"bad_message","name":"Saruman","message":"a send needs message: an object"}
			saruman > {"inst":"send","message":{}}
			saruman < {"type":"error","code":"bad_name","message":"the message is for nobody: the name is not a string"}
			saruman > not json
			saruman < {"type":"error","code":"unknown_type","message":"inst is neither init nor send"}
			saruman > {"inst":"init","id":5,"errors":true}
			saruman < {"type":"error","code":"bad_name","message":"the name is not a string"}`,
		"no errors for who did not": saruman + gandalf + `
			gandalf > {"inst":"send","peerId":"nobody","message":{"n":1}}
			gandalf > not json
			gandalf > {"inst":"send","peerId":"Gandalf","message":{"n":2}}
			gandalf = {"n":2}`,
		"an id is free when its connection has closed": saruman + gandalf + `
			gandalf > {"inst":"send","peerId":"Gandalf","message":{"n":2}}
			gandalf = {"n":2}
			gandalf closes
			saruman > {"inst":"send","peerId":"Gandalf","message":{"n":1}}
			saruman < {"type":"error","code":"absent","name":"Gandalf","message":"Gandalf is not signed in"}`,
		"the dialects do not share names": saruman + signIn("alice", "Saruman2") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"Saruman"}
			alice < {"type":"error","message":"Saruman is not signed in","code":"absent","name":"Saruman"}
			saruman > {"inst":"send","peerId":"alice","message":{}}
			saruman < {"type":"error","code":"absent","name":"alice","message":"alice is not signed in"}`,
		"the first frame decides the dialect": saruman + `
			saruman > {"type":"login","name":"saruman"}
			saruman < {"type":"error","code":"unknown_type","message":"inst is neither init nor send"}
			late > {}
			late < {"type":"error","code":"unknown_type","message":"Command not found: undefined"}
			late > {"inst":"init","id":"late"}
			late < {"type":"error","code":"unknown_type","message":"Command not found: undefined"}`,
	} {
		t.Run(name, func(t *testing.T) { talk(t, nil, lines) })
	}
}

func TestGreeting(t *testing.T) {
	talk(t, &server.Options{Greeting: true}, `
		alice = Hello world
		`+signIn("alice"))
}

// TestHostileFrames sends what breaks a rule of the transport; the sender is closed with a code,
// and bob notices nothing.
func TestHostileFrames(t *testing.T) {
	deep := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	tooDeep := strings.Repeat(`{"a":`, 10001) + "1" + strings.Repeat("}", 10001)
	for name, lines := range map[string]string{
		"the longest frame":    "alice > " + padded(64<<10) + "\nalice < {\"type\":\"login\",\"success\":true}\nalice quiet",
		"one byte too long":    "alice > " + padded(64<<10+1) + "\nalice closed 1009",
		"far too long":         "alice > " + padded(4<<20) + "\nalice closed 1009",
		"invalid UTF-8":        "alice > {\"type\":\"login\",\"name\":\"\xff\"}\nalice closed 1007",
		"deeply nested":        `alice > {"type":` + deep + "}\nalice < {\"type\":\"error\",\"code\":\"unknown_type\",\"message\":\"Command not found: " + strings.Repeat("[", 1<<10) + "\"}",
		"too deeply nested":    "alice > " + tooDeep + "\nalice < {\"type\":\"error\",\"code\":\"unknown_type\",\"message\":\"Command not found: undefined\"}",
		"null":                 "alice > null\nalice < {\"type\":\"error\",\"code\":\"unknown_type\",\"message\":\"Command not found: undefined\"}",
		"an empty frame":       "alice > \nalice < {\"type\":\"error\",\"code\":\"unknown_type\",\"message\":\"Command not found: undefined\"}",
		"an array as the type": `alice > {"type":[` + strings.Repeat("{},", 20000) + "{}]}\nalice < {\"type\":\"error\",\"code\":\"unknown_type\",\"message\":\"Command not found: [" + strings.Repeat("{},", 341) + "\"}",
	} {
		t.Run(name, func(t *testing.T) { talk(t, nil, signIn("bob")+lines+"\nbob quiet") })
	}
}

func padded(n int) string {
	const frame = `{"type":"login","name":"alice","pad":""}`
	return frame[:len(frame)-2] + strings.Repeat("x", n-len(frame)) + `"}`
}
