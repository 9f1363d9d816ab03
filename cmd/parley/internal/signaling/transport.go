package signaling

import (
	"context"

	"parley/signal"
	"parley/signal/client"
)

// A Transport carries the messages of all calls: by the signaling server, or by a system of another
// kind.
type Transport interface {
	// To returns the transport of a new call with a peer.
	To(peer string) CallTransport
	// Receive returns the next message of any peer, or an Error for one. After an error there are
	// no more, except after that of ctx.
	Receive(ctx context.Context) (signal.Message, error)
	// ICEServers returns the ICE servers that the system handed out last.
	ICEServers() []signal.ICEServer
	// Close ends the transport. The calls are over.
	Close() error
}

// A CallTransport carries the messages of one call to its peer. A new offer, in a call that has had
// one, changes the call.
type CallTransport interface {
	// Send queues a message, whose Peer is that of the call.
	Send(ctx context.Context, m signal.Message) error
	// GatheringComplete is called when all candidates for the latest description were sent. It must
	// not wait.
	GatheringComplete()
	// End is called once when the call is over, whether or not a Leave was sent. It must not wait.
	End()
}

// serverTransport is the Transport of a signaling server, to which a call is the name of its peer.
type serverTransport struct{ *client.Client }

func (t serverTransport) To(string) CallTransport { return serverCall(t) }

type serverCall struct{ *client.Client }

func (serverCall) GatheringComplete() {}
func (serverCall) End()               {}
