// Package signal defines the signaling protocol: its messages, limits, errors and names. Package
// server implements a server of it, package client a client. None of them knows media.
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
// The transport is a WebSocket (RFC 6455) on any path, without compression. A message is one JSON
// object in one text frame. The first frame of a connection decides its dialect: a member named
// inst makes it the relay dialect, anything else the call dialect.
//
// Names of members are compared exactly. Of a repeated member the last counts, as in JavaScript.
// Unknown members are ignored. A frame that is not a JSON object counts as an object without
// members. A server builds each frame anew: of a message it forwards only offer, answer, candidate
// and message, unchanged, and these must have this form:
//
//	offer, answer   an object with the strings type and sdp, each once; sdp may be empty
//	candidate       an object whose candidate, if any, is one string; or null, "", or absent, for the
//	                end of candidates
//	message         an object whose type is not login, iceServers, expiring, watch, error or ack,
//	                which only a server sends
//
// A name is 1 to 64 bytes of visible UTF-8 in normalization form C, without leading and trailing
// spaces and with single spaces inside (PRECIS, see CheckName). Each dialect has its own names.
//
// # Dialect call
//
// A client sends these messages. The member name is the receiver; the server knows the sender from
// the connection.
//
//	{"type":"login","name":"alice"}
//	{"type":"offer","offer":{"type":"offer","sdp":"..."},"name":"bob"}
//	{"type":"answer","answer":{"type":"answer","sdp":"..."},"name":"alice"}
//	{"type":"candidate","candidate":{"candidate":"...","sdpMid":"0","sdpMLineIndex":0},"name":"bob"}
//	{"type":"leave","name":"bob"}
//
// A server sends these. Members marked + are extensions, which original servers do not send and
// original pages ignore.
//
//	login      success: bool              +message +code if refused; for more see Login
//	offer      offer, name: the sender
//	answer     answer                     +name: the sender
//	candidate  candidate                  +name: the sender
//	leave                                 +name: the sender; +lost: true if it did not hang up, but lost its
//	                                      connection and did not resume its session in time
//	error      message                    +code +name: the receiver of the refused message
//
// # Calls
//
// A call is between two sessions, not between two names. An offer opens it with the session that
// has the name at that moment. A session can be in several calls.
//
//	message      requires                                       effect
//	offer        that the name is logged in                     opens the call, unless it is open
//	answer       an open call in which the peer has offered
//	candidate    an open call
//	leave        an open call                                   closes it
//
// A message whose requirement is not met is not delivered, and answered with the error no_call or
// absent. There is one exception. A client may send messages into a call that was ended by its
// peer, or not opened, before it knows that. They are dropped without an error, so candidates that
// follow an offer to an absent peer, or cross a leave, are no error.
//
// What waits for a client that reads slowly is bounded, in all and for each of its calls, so that
// no peer can use up what the others need. A message over it is dropped and answered with the error
// queue_full. It opens no call; a call that is open stays open.
//
// A server may be one of several that work as one. Then it reports an absent peer, and one in too
// many calls, as soon as it knows. What the client has sent into the call by then is dropped.
//
// When a connection ends, the peers of its calls get a leave at once, and its name is free, unless
// the session can be resumed, see below. The next session with the name has no part in these calls,
// and no message of it arrives before the leave. A login on a connection that is logged in gives up
// the earlier name, as if the connection had ended.
//
// # Names that are taken
//
// A login with the name of another session is refused, unless that session is dead or of the same
// user:
//
//   - If the server has verified the same identity for both logins (the subject of a token), the new
//     session gets the name at once. The connection of the earlier one is closed with 4409.
//   - Otherwise the server pings the client that has the name. If no pong arrives within a second and, when
//     that connection is lost already, the client does not resume, the earlier session ends with a leave
//     that has lost, and the login succeeds.
//
// So taken means that the server has found the other client connected: another login fails until
// that client leaves. A server that cannot find it out answers unavailable. An original server
// does not ping. It refuses the name of a client whose connection is dead for as long as the system
// keeps the connection, so there a client logs in again for some seconds.
//
// # Dialect relay
//
//	{"inst":"init","id":"Gandalf"}                      logs in; there is no reply
//	{"inst":"send","peerId":"Saruman","message":{...}}  sends the object, unchanged, to Saruman
//
// The message is {"type":"offer","sdp":...}, {"type":"answer","sdp":...} or {"candidate":{...}};
// others are forwarded as well. It does not name its sender. An init with an id that is logged in
// takes the id over; the earlier connection stays open without one. There is no leave and no error
// message. A client that wants errors has the member "errors":true in its init, one that wants a
// reply to it "reply":true. Both come in the form of the call dialect.
//
// The first message between two sessions opens a call. After its end, because a session has ended
// or lost its id, an answer or a candidate does not open the next call: it belongs to the earlier
// one, and is refused with no_call.
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
//	noOffers        true in an offer whose sender accepts none, such as a client of WHIP
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
//     peer ignores the offer and waits for the answer to its own. A browser can lose video by a
//     rollback during a call, and a terminal loses nothing. So between a browser and a terminal the
//     browser is impolite. Between two of a kind, the one whose name sorts lower, by the bytes of its
//     UTF-8, is impolite.
//
// Either peer may offer at any time. An offer with new ICE credentials restarts ICE.
//
// # Login
//
// A login, and an init, can have these members:
//
//	token       string    for servers that require one
//	iceServers  true      requests ICE servers
//	resume      true      requests a session that can be resumed; a string resumes one, see below
//
// The reply to a login that succeeded can have these:
//
//	name           string  the name, if it is not the requested one
//	iceServers     array   of {urls: [...], username, credential}, if requested
//	iceServersFor  number  for how many milliseconds their credentials can begin a call; absent for no limit
//	resume         string  the resume token, if requested and supported
//	resumeFor      number  for how many milliseconds after a loss the session can be resumed
//	expiresIn      number  after how many milliseconds the session ends; absent for no limit
//
// A token can also come with the upgrade: as "Authorization: Bearer TOKEN"; as ?token=TOKEN; or,
// from a browser, as the subprotocol parley.token.BASE64URL, offered together with the subprotocol
// parley, which the server selects. The login's token has precedence, then the subprotocol's, the
// header's and the query's. The response to an upgrade has the header Parley-Signal, which marks a
// server that implements all of this document.
//
// # Expiry
//
// A session ends when the token of its login expires. A minute before, or after half of a shorter
// time, the server sends a warning; in the relay dialect only to clients that want errors or a
// reply:
//
//	{"type":"expiring","expiresIn":60000}
//
// A client renews its session by another login with the same name on the same connection, with a
// token that lasts longer. The reply has the new expiresIn; calls go on. A renewal that is refused
// changes nothing: the session lasts as long as it did. A server without authorization has nothing
// to renew, and answers taken.
//
// At its end the server closes the connection with 4401. The users in a call with it get a leave
// with lost, because nobody hung up. A session that waits for its client ends in the same way.
// Credentials of ICE servers never last longer than the session.
//
// # ICE servers
//
// The credentials of a TURN server are valid for a limited time (draft-uberti-behave-turn-rest-00).
// The TURN server checks them when an allocation is made, so a call that is up outlives them. But a
// client may be logged in for days, and an ICE restart makes new allocations. So a client can
// request ICE servers again. It does so after half of iceServersFor, and uses the latest for a call
// or an ICE restart:
//
//	{"type":"iceServers"}      call dialect      {"inst":"iceServers"}      relay dialect
//	{"type":"iceServers","iceServers":[...],"iceServersFor":86400000}       the reply, in both
//
// The servers that an Authorizer granted at the login are unchanged in every reply.
//
// # Watching a name
//
// A client that wants to call a user who is not logged in yet can watch the name:
//
//	{"type":"watch","name":"bob"}       call dialect      {"inst":"watch","peerId":"bob"}      relay dialect
//	{"type":"watch","name":"bob","present":false,"expiresIn":300000}      the reply, in both
//	{"type":"watch","name":"bob","present":true}                          the notification, in both
//
// The server sends the notification once: as the reply if the name is logged in, otherwise when it
// is. The watch ends with the notification, with the session, and after expiresIn milliseconds; a
// client that still waits repeats the message before that, and after a login that did not resume
// its session. That a name logs out is not reported. So a watch reveals what the offers of the same
// client would reveal, whose error is absent, and it counts as one of them for the limit of
// messages. A session watches at most 8 names, and all sessions of an address 64; more are answered
// with too_many_watches. A server that does not know the message answers unknown_type.
//
// # Resumption
//
// From the reply with a resume token on, client and server number the messages that they send with
// the member seq, from 1. The member ack is the number of the last message received, and is in
// every numbered message; after sixteen received messages without one to send, it is sent by
// itself:
//
//	{"type":"ack","ack":16}      call dialect, and from the server
//	{"inst":"ack","ack":16}      relay dialect, from a client
//
// Each side keeps its messages until they are acknowledged. A message with a number that was
// received before is ignored. One that skips a number closes the connection with 4400. A client
// also closes a connection on which it cannot read the number of a message: 1003 for a binary one,
// 1007 for one that is not UTF-8, 1009 for one that is too long.
//
// When the connection breaks without a close frame, the session waits for its client. It keeps its
// name, unless another login claims it (see above), and its calls, and the peers are not notified.
// The first message of the client on a new connection is a login with the resume token and the
// number of the last message received:
//
//	{"type":"login","name":"alice","resume":"TOKEN","ack":17}     {"inst":"init","id":"alice","resume":"TOKEN","ack":17,"reply":true}
//	{"type":"login","success":true,"ack":4}
//
// The reply has the number of the last message that the server has received. Then both send the
// messages again that the other has not received. An earlier connection that the server has not
// found dead yet is closed with 4409. A session that has waited for too long, or has kept too many
// bytes, ends as if its connection had closed. Its token is answered with expired, and the client
// can log in anew on the same connection. A resume token is 54 bytes of base64url. It names the
// server, where there are several, and has 192 secret bits, of which the server keeps only the
// hash.
//
// Where several servers work as one, a session of the call dialect can be resumed at any of them,
// also when its server has failed, drains or cannot be reached. Then the servers add to each offer,
// answer and candidate to a client that can resume the member number, which grows with each message
// of the sender. The client adds to the login that resumes what the next server cannot know:
//
//	oldest  number of the first message that it can send again: it keeps at least those that are not
//	        acknowledged, and should keep 64 more
//	served  number of the last message that was acknowledged
//	sent    number of the last message that it has numbered
//	calls   array of its calls, at most as many as a user may be in, each {"name":"bob","caller":true,
//	        "first":3,"last":9,"received":21}: whether it has opened the call, the numbers of its first
//	        and its last message in it, and number of the last message of the peer; 0 may be omitted
//
// A call belongs to the array until the client has received a leave or an error other than
// queue_full for it, or its own leave is acknowledged. The reply of a server that continues the
// session has a new resume token, and oldest - 1 as ack; all numbers go on. Both ends of each call
// find each other by name. Each message then arrives once and in order, of those that were sent
// before, meanwhile and afterwards. A peer that has a server keeps its last 64 messages, or 64 KiB,
// for 90 seconds for that. If one is missing, or one of the two clients does not come back within
// resumeFor, the call ends with a leave, with lost, at both. A peer that has closed the call
// meanwhile, or has a new session, is reported by a leave. Errors, and a leave, that the first
// server had sent and the client has not received can be missing. Watches end. A server without the
// members, or in the relay dialect, whose messages do not name their sender, answers expired, and
// the next login of the connection has the name at once; the peers get a leave with lost.
//
// # Errors
//
//	login_first     a message before the login, or after the name was taken over   both
//	bad_name        a name, in a login or of a receiver                            both
//	taken           the name of a login is in use, maybe by the connection itself  call, in the login reply
//	absent          nobody of that name is logged in                               both
//	no_call         an answer, candidate or leave outside an open call             both
//	bad_message     a payload of the wrong form                                    both
//	unknown_type    the message is "Command not found: TYPE"                       both
//	too_long        a frame, description or candidate over its limit; closes 1009  both
//	rate_limited    faster than allowed; the third in ten seconds closes 4429      both
//	queue_full      too much waits for the receiver; the message is dropped        both
//	too_many_calls  one of the two is in too many; the third closes 4429           both
//	login_timeout   no login in time; closes 4408                                  both
//	overloaded      too many connections wait to log in; closes 4503               both
//	overloaded      too many names of that address; closes 4503                    in the login reply
//	too_many_watches  the client, or all of its address, watches too many names    both
//	unauthorized    the login was refused; closes 4401                             in the login reply
//	throttled       too many refused logins from that address; closes 4429         in the login reply
//	unavailable     the login cannot be decided now; closes 4503                   in the login reply
//	expired         the session to be resumed has ended                            in the login reply
//
// An absent peer is reported for offers and answers (call) and for every send (relay). TYPE is the
// member type as an original server shows it: undefined, null, a string, a number or [object
// Object], as JavaScript converts them. An array is shown as JSON, and TYPE is cut after 1 KiB. In
// the relay dialect, where an original server sends nothing, the text is another.
//
// # Close codes
//
// After a final code another attempt fails again. After the others a client can reconnect, after a
// random pause that grows.
//
//	1001  retry  the server shuts down
//	1002  final  a frame that violates RFC 6455
//	1003  final  a binary frame
//	1006  retry  (no close frame) the client did not read, or did not answer a ping in time, or the network broke
//	1007  final  text that is not UTF-8
//	1009  final  a message over a limit
//	1012  retry  the server drains; calls go on
//	4400  final  the numbers of messages are out of sequence
//	4401  final  the login was refused, or its token has expired
//	4408  retry  no login came in time
//	4409  final  the session was resumed, or its user has logged in, on another connection
//	4429  retry  too many messages, or refused logins from that address
//	4503  retry  too many connections, or the login cannot be decided now
//
// 1008 and 4403, which other servers may send, are final, too. An upgrade over a limit is answered
// with the HTTP status 429 (too many from that address, or too many per second) or 503 (too many in
// all, or draining), and with Retry-After; one from a wrong origin with 403.
//
// # The original servers
//
// A client has to cope with the original servers. The call server sends the plain text "Hello
// world" first, does not report an absent peer, does not ping, has no limits, and drops every
// extension. It crashes when a leave is sent to an absent peer, and when a connection closes whose
// partner has gone. A leave clears the partner of its receiver, not that of its sender. So the
// sender must close its connection first; the server reports that to the receiver by a second
// leave. The relay server crashes on an unknown peerId and on invalid JSON. With
// server.Options.Greeting Parley's server sends the plain text, too.
package signal
