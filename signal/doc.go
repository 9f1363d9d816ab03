// Package signal defines the signaling protocol of Parley: its messages, limits, errors and names. Package server serves it,
// package client speaks it. It knows nothing of calls and media.
//
//	alice                     server                      bob
//	  |  login alice            |            login bob     |
//	  |------------------------>|<-------------------------|
//	  |  login, success         |         login, success   |
//	  |<------------------------|------------------------->|
//	  |  offer for bob          |         offer from alice |
//	  |------------------------>|------------------------->|
//	  |  answer from bob        |         answer for alice |
//	  |<------------------------|<-------------------------|
//	  |  candidate ...          |          candidate ...   |
//	  |<----------------------->|<------------------------>|
//	  |  leave for bob          |         leave from alice |
//	  |------------------------>|------------------------->|
//
// # Frames
//
// The transport is a WebSocket (RFC 6455) on any path, without compression. Every message is one JSON object in one text frame. A
// server reads the first frame of a connection to learn its dialect: a member named inst makes it the relay dialect, anything else the
// call dialect, for good.
//
// Names of members match to the letter. Of a repeated member the last counts, as in JavaScript; unknown members are ignored. A
// frame that is no JSON object counts as the object without members. What the server passes on it builds anew: nothing of
// a message reaches another client but offer, answer, candidate and message, byte for byte, and those must have this shape:
//
//	offer, answer   an object with the strings type and sdp, each once; sdp may be empty
//	candidate       an object whose candidate, if any, is one string; or null, "", or absent: the end of candidates
//	message         an object whose type is not login, iceServers, expiring, error or ack, which are the
//	                server's
//
// A name, in both dialects, is 1 to 64 bytes of visible UTF-8 in normalization form C, without spaces around it and with
// single ones inside (PRECIS, see CheckName). Each dialect has its own names.
//
// # Dialect call
//
// From a client to the server; name is whom the message is for, and the server knows the sender by the connection.
//
//	{"type":"login","name":"alice"}
//	{"type":"offer","offer":{"type":"offer","sdp":"..."},"name":"bob"}
//	{"type":"answer","answer":{"type":"answer","sdp":"..."},"name":"alice"}
//	{"type":"candidate","candidate":{"candidate":"...","sdpMid":"0","sdpMLineIndex":0},"name":"bob"}
//	{"type":"leave","name":"bob"}
//
// From the server to a client. What is marked + is an extra of ours, which old pages ignore and old servers do not send.
//
//	login      success: bool              +message +code, when refused; for more see Login
//	offer      offer, name: who calls
//	answer     answer                     +name: who answers
//	candidate  candidate                  +name: whose it is
//	leave                                 +name: who hung up; +lost: true if that is only taken for granted: the
//	                                      client of that name did not come back to this server in time
//	error      message                    +code +name: whom the refused message was for
//
// # Calls
//
// A call is between two sessions, not between two names. An offer opens one with whoever holds the name at that moment; a user may be in
// several.
//
//	message      needs                                          does
//	offer        the name to be signed in                       opens the call, unless it is open
//	answer       an open call in which the other has offered
//	candidate    an open call
//	leave        an open call                                   closes it
//
// What does not have what it needs is delivered to nobody, and answered with the error no_call, or absent. One thing is dropped without
// a word: what a client sends into a call that has ended, or did not come about, without its doing, because it sent that before it
// could know. So candidates that follow an offer to somebody absent, or cross the other's leave, are no error.
//
// A server may be one of several that work as one. That the name is absent, or its user in too many calls, it reports when it
// knows. What the client has sent into the call by then is dropped.
//
// When a connection closes or dies, everybody in a call with it gets a leave at once, and its name is free (for clients that come back,
// see below). Whoever claims a name has no part in the calls of whoever held it, and no message of the new user of a name comes before
// the leave of the earlier one. A login on a connection that is signed in gives up the earlier name, as if it had closed.
//
// # Names that are taken
//
// A login for a name that another session holds is refused, unless that session turns out to be dead or the two are the same user:
//
//   - If the server has verified the same identity for both logins (the subject of a token), the new session takes the name at once. The
//     connection of the earlier one is closed with 4409.
//   - Otherwise the server pings the client that holds the name. If neither the pong comes within a second, nor, for a connection that
//     is lost already, the client to resume, the earlier session ends, with a leave that has lost, and the login succeeds.
//
// # Dialect relay
//
//	{"inst":"init","id":"Gandalf"}                      I am Gandalf; there is no reply
//	{"inst":"send","peerId":"Saruman","message":{...}}  deliver {...}, as it is, to Saruman
//
// The message is {"type":"offer","sdp":...}, {"type":"answer","sdp":...} or {"candidate":{...}}; others pass as well. The receiver is not
// told the sender. A second init of the same id takes it over, and the connection that held it stays open without one. There
// is no hang-up and no error message; a client that wants errors says so with the extra member "errors":true in its init, and one that
// wants a reply to init with "reply":true. It gets both in the form of the call dialect.
//
// The first message between two opens a call between their sessions. When that has ended, because one of them is gone or was taken
// over, no answer and no candidate opens the next: they belong to the call before, and are refused with no_call.
//
// # Extension
//
// An offer and an answer may have the member parley, an object. Servers forward it unread, and
// peers that do not know it ignore it, because both do so with every unknown member of a
// description. In the relay dialect it stands beside type and sdp in the message.
//
//	{"type":"offer","sdp":"...","parley":{"version":1,"number":7,"processed":3}}
//	{"type":"answer","sdp":"...","parley":{"version":1,"number":7,"browser":true}}
//	{"type":"answer","sdp":"","parley":{"version":1,"number":7,"rejected":"too many m-sections"}}
//	{"type":"offer","sdp":"...","parley":{"version":1,"number":8,"answerRejected":"no fingerprint"}}
//
//	version         1
//	number          1 to 2^53-1, counts the offers of the sender in the call; an answer repeats the
//	                number of its offer
//	processed       in an offer: the number of the peer's latest offer that the sender has answered
//	                or rejected; 0 if it is left out
//	browser         true if the sender is a browser; a terminal leaves it out
//	rejected        in an answer: the offer is not accepted, and why
//	answerRejected  in an offer: the answer to the offer before could not be applied, and why
//
// The two reasons are printable ASCII of at most 200 bytes. A reader replaces other characters by a
// question mark, cuts what is longer, and reads an empty one as "no reason given". It ignores
// members that it does not know, and a reason in a description of the other type. A member parley
// that is no object, is of another version, has no valid number, or has another member of the wrong
// JSON type is ignored as a whole: the description counts as one without it.
//
// A peer may send the member in every offer. It sends it in an answer only if the offer had it.
// Between two peers that send it, these rules hold, from the first offer of a call on:
//
//   - Order. An answer whose number is not that of the offer that is out is stale or a duplicate, and
//     ignored. An offer with the number of the one that was processed last gets the same answer
//     again. One with a lower number is ignored, and so is an offer the processed of which is
//     lower than the number of an offer that its sender has answered or rejected since: the
//     sender has dropped it.
//   - Rejection. An answer with rejected changes nothing: both peers go on with the descriptions in
//     force. Its sdp may be empty, and is not applied. If it answers the first offer of a call,
//     there is no call. An offer with answerRejected makes both peers agree again, after an answer
//     that its sender could not apply.
//   - Glare. Two offers cross if each was made before its sender had processed the other. The
//     polite peer takes back its own (rollback, RFC 9429 section 4.1.10.2) and answers; the impolite
//     peer ignores the offer and waits for the answer to its own. A browser can lose video by a rollback in mid-call, and a terminal loses nothing. So
//     between a browser and a terminal the browser is impolite. Between two of a kind, the one
//     whose name sorts lower, by the bytes of its UTF-8, is impolite.
//
// Either peer may offer at any time. An offer with new ICE credentials restarts ICE.
//
// # Login
//
// Extra members of a login, and of an init, from a client:
//
//	token       string    for servers that want one
//	iceServers  true      asks for ICE servers
//	resume      true      asks to be able to come back; or a string, see below
//
// and of the reply to one that succeeded:
//
//	name        string    the name it got, if it is not the one it asked for
//	iceServers  array     of {urls: [...], username, credential}, if it asked
//	resume      string    the ticket to come back with, if it asked and the server lets it
//	resumeFor   number    for how many milliseconds after a loss the ticket is good
//	iceServersFor number  for how many milliseconds the credentials of iceServers can begin a call, if not for ever
//	expiresIn   number    after how many milliseconds the session ends, if it does
//
// A token may as well come with the upgrade: as "Authorization: Bearer TOKEN"; as ?token=TOKEN; or, from a browser, as the subprotocol
// parley.token.BASE64URL, offered together with the subprotocol parley, which is the one that the server agrees to. The login's goes
// first, then the subprotocol's, the header's, the query's. The answer to an upgrade has the header Parley-Signal, by which
// our client knows a server that understands all of this.
//
// # Expiry
//
// A session ends when the token of its login expires. A minute before, or after half of a shorter time,
// the server sends a warning; in the relay dialect only to clients that want errors or a reply:
//
//	{"type":"expiring","expiresIn":60000}
//
// A client renews its session by another login with the same name on the same connection, with a token
// that lasts longer. The reply has the new expiresIn; calls go on. A renewal that is refused changes
// nothing: the session lasts as long as it did. A server without authorization has nothing to renew, and
// answers taken.
//
// At its end the server closes the connection with 4401. The users in a call with it get a leave with
// lost, because nobody hung up. A session that waits for its client ends in the same way. Credentials of
// ICE servers never last longer than the session.
//
// # ICE servers
//
// TURN credentials are good for a limited time (draft-uberti-behave-turn-rest-00). That bounds when they can begin something: a relay checks
// the expiry when an allocation is made, so a call that is up outlives them. But a user may stay signed in for days, and a call that
// looks for a path anew, by an ICE restart, makes new allocations. So whoever is signed in may ask again, and does at half of
// iceServersFor, and when a call begins or restarts it takes the latest:
//
//	{"type":"iceServers"}      call dialect      {"inst":"iceServers"}      relay dialect
//	{"type":"iceServers","iceServers":[...],"iceServersFor":86400000}       the answer, in both
//
// What an Authorizer granted at the login is in every answer as it was then.
//
// # Coming back
//
// A client that has a ticket numbers every message it sends from there on with the member seq, from 1, and the server does the same
// for it. The member ack tells the last number that has arrived; it goes with every numbered message, and after sixteen
// messages without one by itself:
//
//	{"type":"ack","ack":16}      call dialect, and from the server
//	{"inst":"ack","ack":16}      relay dialect, from a client
//
// Each side keeps what it sent until it is confirmed. A number that came before is ignored; one that skips others closes with 4400.
//
// When the connection breaks, other than by a close frame of one of the two, the session waits: its name stays its own, unless somebody
// else claims it (see above), its calls stay open, and nobody is told. The client connects anew, and its first message is a login with
// the ticket and the last number it has got:
//
//	{"type":"login","name":"alice","resume":"TICKET","ack":17}     {"inst":"init","id":"alice","resume":"TICKET","ack":17,"reply":true}
//	{"type":"login","success":true,"ack":4}
//
// The reply tells the last number that the server has got; then both repeat what the other lacks. If the earlier connection is still
// there, because the server has not noticed its end, it is closed with 4409. A session that has waited for too long, or for which
// too much had to be kept, ends as if its connection closed then; a ticket for it is answered with expired, and the client may sign in
// anew on the same connection. A ticket is 54 bytes of base64url. It names the server, where there are several, and has 192 secret bits,
// of which the server keeps only the hash.
//
// # Errors
//
//	login_first     a message before the login, or after the name was taken over   both
//	bad_name        a name, in a login or of whom a message is for                 both
//	taken           the name of a login is held, be it by the connection itself    call, in the login reply
//	absent          nobody of that name is signed in                               both
//	no_call         an answer, candidate or leave outside an open call             both
//	bad_message     a payload of the wrong shape                                   both
//	unknown_type    the message is "Command not found: TYPE"                       both
//	too_long        a frame, description or candidate over its bound; closes 1009  both
//	rate_limited    faster than allowed; the third in ten seconds closes 4429      both
//	too_many_calls  one of the two is in too many; the third closes 4429           both
//	login_timeout   no login in time; closes 4408                                  both
//	overloaded      too many connections wait to log in; closes 4503               both
//	overloaded      too many names of that address; closes 4503                    in the login reply
//	unauthorized    the login was refused; closes 4401                             in the login reply
//	throttled       too many logins from that address were; closes 4429            in the login reply
//	unavailable     the login cannot be decided now; closes 4503                   in the login reply
//	expired         the session to come back to has ended                          in the login reply
//
// Absence is told for offers and answers (call) and for every send (relay). TYPE is the member type as the original
// server shows it: undefined, null, a string, a number or [object Object], as JavaScript converts them. Parley's server shows an array
// as JSON, and cuts TYPE after 1 KiB. In the relay dialect, where
// the original says nothing, the text is another.
//
// # Close codes
//
// Final are those after which the same attempt fails again; a client may come back after the others, after a random pause that grows.
//
//	1001  retry  the server shuts down
//	1002  final  a frame against RFC 6455
//	1003  final  a binary frame
//	1006  retry  (no close frame) the client did not read, or did not answer a ping in time, or the network broke
//	1007  final  text that is not UTF-8
//	1009  final  a message over a bound of Limits
//	1012  retry  the server drains; calls go on
//	4400  final  the numbers of messages are out of sequence
//	4401  final  the login was refused, or its token has expired
//	4408  retry  no login came in time
//	4409  final  the client has come back, or its user has signed in, on another connection
//	4429  retry  too many messages, or refused logins from that address
//	4503  retry  too many connections, or the login cannot be decided now
//
// 1008 and 4403 are final, too, for servers that use them. An upgrade over a limit does not get so far: it is answered with the HTTP
// status 429 (too many from that address, or too many a second) or 503 (too many in all, or draining), and with Retry-After; one from
// the wrong origin with 403.
//
// # The original servers
//
// A client must live with what the originals do, and this one does: the call server greets every connection with the plain text
// "Hello world", never answers a message for somebody absent, never pings, sets no limits, and drops every member but the ones
// above. It dies of a leave to somebody absent and of a connection that closes after its partner has gone. A leave clears the
// partner of its receiver, not that of its sender. So the sender must close its connection first; the server reports that to
// the receiver by a second leave. The relay server dies of an unknown peerId and of bad JSON. server.Options.Greeting makes our
// server greet in the same way.
package signal
