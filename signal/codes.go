package signal

// The stable codes of errors and refused logins. More may be added; none changes its meaning.
const (
	// CodeAbsent: nobody of that name is logged in. Sent for an offer and for an answer.
	CodeAbsent = "absent"
	// CodeTaken: the name of a login is in use, and its client is connected.
	CodeTaken = "taken"
	// CodeBadName: a name that CheckName refuses.
	CodeBadName = "bad_name"
	// CodeBadMessage: a member is missing or has the wrong shape.
	CodeBadMessage = "bad_message"
	// CodeLoginFirst: a message that needs a login came before it.
	CodeLoginFirst = "login_first"
	// CodeUnknownType: the type is none of this dialect's.
	CodeUnknownType = "unknown_type"
	// CodeNoCall: an answer, a candidate or a leave outside an open call with that user.
	CodeNoCall = "no_call"
	// CodeTooLong: a message, session description or candidate over its bound.
	CodeTooLong = "too_long"
	// CodeRateLimited: messages come faster than allowed.
	CodeRateLimited = "rate_limited"
	// CodeQueueFull: too much waits for the receiver, which reads too slowly.
	CodeQueueFull = "queue_full"
	// CodeTooManyCalls: one of the two is in as many calls as one may be.
	CodeTooManyCalls = "too_many_calls"
	// CodeTooManyWatches: a client, or all of its address, watches as many names as it may.
	CodeTooManyWatches = "too_many_watches"
	// CodeUnauthorized: the login was refused, because of its token or by the server's authorizer.
	CodeUnauthorized = "unauthorized"
	// CodeThrottled: too many logins from this address were refused.
	CodeThrottled = "throttled"
	// CodeUnavailable: the login cannot be decided now.
	CodeUnavailable = "unavailable"
	// CodeLoginTimeout: no login came in time.
	CodeLoginTimeout = "login_timeout"
	// CodeOverloaded: the server has too many connections.
	CodeOverloaded = "overloaded"
	// CodeExpired: the session to be resumed has ended.
	CodeExpired = "expired"
)

// The WebSocket close codes that a server sends beyond those of RFC 6455 section 7.4. The section
// Close codes of the package comment specifies them.
const (
	// CloseBadSequence: the numbers of the messages are out of sequence.
	CloseBadSequence = 4400
	// CloseUnauthorized: the login was refused.
	CloseUnauthorized = 4401
	// CloseForbidden is not sent by this server, but is final when another sends it.
	CloseForbidden = 4403
	// CloseLoginTimeout: no login came in time.
	CloseLoginTimeout = 4408
	// CloseReplaced: the client has resumed its session on another connection.
	CloseReplaced = 4409
	// CloseRateLimited: too many messages, or too many refused logins from that address.
	CloseRateLimited = 4429
	// CloseOverloaded: too many connections, or the login cannot be decided now.
	CloseOverloaded = 4503
)

// ServerHeader is the header of the answer to an upgrade by which a client knows a server that
// understands all of the package comment.
const ServerHeader = "Parley-Signal"

// NodeHeader is the header of the answer to an upgrade that names the server, where several work as
// one.
const NodeHeader = "Parley-Node"
