// Package scenario reads checks of a peer that are written in a language of their own, and formats
// their results. It contains the built-in suites. It makes no calls: parley probe runs the
// scenarios.
//
// A file holds scenarios. A line is a word and what belongs to it; # begins a comment, and
// indentation means nothing.
//
//	scenario restart: a new path is found while the call goes on
//	  spec    RFC 8445 §9
//	  suite   core ice
//	  needs   text-echo
//	  call    audio video
//	  expect  connected within 15s
//	  restart-ice
//	  expect  video.frames+=10 within 10s
//	  never   failed for 1s
//
// # What a scenario is
//
//	scenario NAME: SENTENCE  begins one; a name is lower-case letters, digits and hyphens
//	spec TEXT                the section of a standard that it checks; may be repeated
//	suite WORD...            the suites that it belongs to: core data audio video ice parley
//	needs WORD...            capabilities of the peer, see Needs; without them it is skipped
//	expected-failure TEXT    a known limit of the peer with a link owner/repo#N
//
// # What it does
//
//	call [WORD...]           calls: audio[=SRC], video[=SRC], size=160x120@10, codec=VP8, relay,
//	                         impair=loss=5%,delay=40ms, offer=CHANGE[,CHANGE]; polite or
//	                         impolite: by a name that makes this peer the polite, or the
//	                         impolite, one where the offers of two terminals cross; the error of
//	                         an unknown word or change lists those that there are
//	await-call within D      waits to be called
//	expect CHECK within D    goes on as soon as CHECK holds, fails when D is over before; KEY+=N
//	                         holds when KEY has grown by N
//	never CHECK for D        fails if CHECK holds at any time in D
//	say TEXT                 sends text
//	echo BYTES [text|binary] [on LABEL] within D   sends a message, and expects the same back
//	open LABEL [unordered] [retransmits=N] [lifetime=D] [negotiated=ID] [protocol=TEXT]
//	                         opens one more data channel
//	close LABEL              closes it
//	mute, unmute [KIND]      silences what is sent, or sends it again
//	hold, resume             stops media in both directions, and lets them go on
//	add, source KIND SRC     sends more, or something else
//	remove KIND              sends that no longer
//	restart-ice              looks for a path anew
//	impair WORD...           makes the network bad for our own packets, both ways, by the words
//	                         of --impair: loss=5% delay=40ms jitter=10ms reorder=1%
//	                         duplicate=1% rate=500kbit queue=100ms outage=3s@10s seed=7
//	impair none              leaves it as it is
//	hangup                   ends the call
//	remote COMMAND [WORD...] has the peer hold, resume, mute or unmute [KIND], restart-ice, say
//	                         TEXT, hangup, or report its stats; it needs cooperation. What it
//	                         reports by itself are the keys that begin with remote.
//	! LINE                   add, source, remove, hold, resume, restart-ice or remote, which the
//	                         peer has to reject
//	& LINE                   begins one of these, and goes on with the next line: it has to come
//	                         about before the scenario ends
//
// D is a duration: 500ms, 3s, 1m. The first of these lines is call or await-call. What a line asks
// of the peer has to come about within twenty seconds. Scenarios that only look (expect and never)
// and begin with the same call line are looked at in one call.
package scenario
