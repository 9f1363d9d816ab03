package server_test

import "testing"

const (
	// inCall signs alice and bob in and opens a call of hers to him. Carol is a third party.
	aliceCallsBob = `
		alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
		bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}` + "\n"
	noOffer = `"code":"no_call","message":"there is no offer of `
	noCall  = `"code":"no_call","message":"there is no call with `
)

// TestWhoMaySayWhat goes through the states of a call, and who is outside of it.
func TestWhoMaySayWhat(t *testing.T) {
	for name, lines := range map[string]string{
		"a third party injects into a call": signIn("alice", "bob", "carol") + aliceCallsBob + `
			carol > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			carol < {"type":"error","name":"alice",` + noOffer + `alice to answer"}
			carol > {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			carol < {"type":"error","name":"bob",` + noOffer + `bob to answer"}
			carol > {"type":"candidate","candidate":` + candidate + `,"name":"alice"}
			carol < {"type":"error","name":"alice",` + noCall + `alice"}
			carol > {"type":"candidate","candidate":` + candidate + `,"name":"bob"}
			carol < {"type":"error","name":"bob",` + noCall + `bob"}
			carol > {"type":"leave","name":"alice"}
			carol < {"type":"error","name":"alice",` + noCall + `alice"}
			carol > {"type":"leave","name":"bob"}
			carol < {"type":"error","name":"bob",` + noCall + `bob"}
			alice quiet
			bob quiet
			# the call is as it was
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			carol closes
			alice quiet`,
		"a third party with a call of its own has no part in another": signIn("alice", "bob", "carol") + aliceCallsBob + `
			carol > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"carol"}
			carol > {"type":"leave","name":"alice"}
			carol < {"type":"error","name":"alice",` + noCall + `alice"}
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"carol"}
			carol < {"type":"answer","answer":` + answerSDP + `,"name":"bob"}`,
		"who offered may not answer oneself's call": signIn("alice", "bob") + aliceCallsBob + `
			alice > {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			alice < {"type":"error","name":"bob",` + noOffer + `bob to answer"}
			bob quiet`,
		"candidates go both ways before the answer": signIn("alice", "bob") + aliceCallsBob + `
			alice > {"type":"candidate","candidate":` + candidate + `,"name":"bob"}
			bob < {"type":"candidate","candidate":` + candidate + `,"name":"alice"}
			bob > {"type":"candidate","candidate":` + candidate + `,"name":"alice"}
			alice < {"type":"candidate","candidate":` + candidate + `,"name":"bob"}
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			# and a second answer, and a second offer, as the original passes them on
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"bob"}` + aliceCallsBob,
		"both offer at once": signIn("alice", "bob") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob > {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice < {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			bob < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice > {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			bob < {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice > {"type":"leave","name":"bob"}
			bob < {"type":"leave","name":"alice"}`,
		"after a leave the call is over, and may begin again": signIn("alice", "bob") + aliceCallsBob + `
			alice > {"type":"leave","name":"bob"}
			bob < {"type":"leave","name":"alice"}
			alice > {"type":"candidate","candidate":` + candidate + `,"name":"bob"}
			alice < {"type":"error","name":"bob",` + noCall + `bob"}
			alice > {"type":"leave","name":"bob"}
			alice < {"type":"error","name":"bob",` + noCall + `bob"}
			bob quiet
			` + aliceCallsBob + `
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"bob"}`,
		"what crosses a leave is dropped without a word": signIn("alice", "bob") + aliceCallsBob + `
			alice > {"type":"leave","name":"bob"}
			alice quiet
			bob > {"type":"candidate","candidate":` + candidate + `,"name":"alice"}
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			bob > {"type":"leave","name":"alice"}
			bob < {"type":"leave","name":"alice"}
			bob quiet
			alice quiet
			# that leave was the last thing that can have crossed
			bob > {"type":"leave","name":"alice"}
			bob < {"type":"error","name":"alice",` + noCall + `alice"}`,
		"the next of that name gets nothing of the call": signIn("alice", "bob") + aliceCallsBob + `
			bob closes
			alice < {"type":"leave","name":"bob"}
			` + signIn("bob") + `
			alice > {"type":"candidate","candidate":` + candidate + `,"name":"bob"}
			alice > {"type":"answer","answer":` + answerSDP + `,"name":"bob"}
			alice > {"type":"leave","name":"bob"}
			alice quiet
			bob quiet
			bob > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			bob < {"type":"error","name":"alice",` + noOffer + `alice to answer"}
			` + aliceCallsBob,
		"a name that was never there": signIn("alice") + `
			alice > {"type":"candidate","candidate":` + candidate + `,"name":"bob"}
			alice < {"type":"error","name":"bob",` + noCall + `bob"}
			alice > {"type":"leave","name":"bob"}
			alice < {"type":"error","name":"bob",` + noCall + `bob"}`,
		"candidates of an offer that found nobody do not reach who comes later": signIn("alice") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"bob"}
			alice < {"type":"error","message":"bob is not signed in","code":"absent","name":"bob"}
			` + signIn("bob") + `
			alice > {"type":"candidate","candidate":` + candidate + `,"name":"bob"}
			alice quiet
			bob quiet`,
		"oneself": signIn("alice") + `
			alice > {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice < {"type":"offer","offer":` + offerSDP + `,"name":"alice"}
			alice > {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice < {"type":"answer","answer":` + answerSDP + `,"name":"alice"}
			alice > {"type":"leave","name":"alice"}
			alice < {"type":"leave","name":"alice"}
			alice > {"type":"leave","name":"alice"}
			alice < {"type":"error","name":"alice",` + noCall + `alice"}`,
	} {
		t.Run(name, func(t *testing.T) { talk(t, nil, lines) })
	}
}

// TestRelayCalls has the same for the relay dialect.
func TestRelayCalls(t *testing.T) {
	const (
		both = `gandalf > {"inst":"init","id":"Gandalf","errors":true,"reply":true}
			gandalf < {"type":"login","success":true}
			saruman > {"inst":"init","id":"Saruman","errors":true,"reply":true}
			saruman < {"type":"login","success":true}
			gandalf > {"inst":"send","peerId":"Saruman","message":` + offerSDP + `}
			saruman = ` + offerSDP + "\n"
		another = `another > {"inst":"init","id":"Saruman","errors":true,"reply":true}
			another < {"type":"login","success":true}` + "\n"
		over    = `gandalf < {"type":"error","name":"Saruman","code":"no_call","message":"the call with Saruman has ended; the next begins with an offer"}` + "\n"
		trickle = `gandalf > {"inst":"send","peerId":"Saruman","message":{"candidate":` + candidate + `}}` + "\n"
		nothing = `another > {"inst":"?"}
			another < {"type":"error","code":"unknown_type","message":"inst is neither init nor send"}` + "\n"
	)
	for name, lines := range map[string]string{
		"who takes an id over gets nothing of the call before": both + another + trickle + over + `
			gandalf > {"inst":"send","peerId":"Saruman","message":` + answerSDP + `}
			` + over + nothing + `
			# and who lost it can send no more
			saruman > {"inst":"send","peerId":"Gandalf","message":` + answerSDP + `}
			saruman < {"type":"error","code":"login_first","message":"sign in first: send an init with an id"}
			gandalf > {"inst":"send","peerId":"Saruman","message":` + offerSDP + `}
			another = ` + offerSDP + "\n" + trickle + `
			another = {"candidate":` + candidate + `}`,
		"who comes after another has gone gets nothing of the call before": both + `
			saruman closes
			` + trickle + `
			gandalf < {"type":"error","name":"Saruman","code":"absent","message":"Saruman is not signed in"}
			` + another + trickle + over + nothing,
		"the newcomer may begin": both + another + `
			another > {"inst":"send","peerId":"Gandalf","message":` + offerSDP + `}
			gandalf = ` + offerSDP + `
			gandalf > {"inst":"send","peerId":"Saruman","message":` + answerSDP + `}
			another = ` + answerSDP,
		"nobody may say what is the server's": both + `
			gandalf > {"inst":"send","peerId":"Saruman","message":{"type":"login","success":true,"iceServers":[]}}
			gandalf < {"type":"error","code":"bad_message","message":"a message of the types login, iceServers, expiring, watch, error and ack comes from the server alone"}
			gandalf > {"inst":"send","peerId":"Saruman","message":{"x":1,"typ\u0065":"err\u006fr"}}
			gandalf < {"type":"error","code":"bad_message","message":"a message of the types login, iceServers, expiring, watch, error and ack comes from the server alone"}
			gandalf > {"inst":"send","peerId":"Saruman","message":{"type":"ack","ack":1}}
			gandalf < {"type":"error","code":"bad_message","message":"a message of the types login, iceServers, expiring, watch, error and ack comes from the server alone"}
			gandalf > {"inst":"send","peerId":"Saruman","message":{"type":"hello"}}
			saruman = {"type":"hello"}`,
		"nobody sends without an id": both + `
			another > {"inst":"send","peerId":"Gandalf","message":` + offerSDP + `}
			saruman > {"inst":"send","peerId":"Gandalf","message":` + answerSDP + `}
			gandalf = ` + answerSDP,
	} {
		t.Run(name, func(t *testing.T) { talk(t, nil, lines) })
	}
}
