// Package datachannel carries messages over the data channels of a PeerConnection, at the pace of
// the slower side.
//
// A [Set] holds the channels of one connection. The messages of a [Channel] are handed to a
// callback, or an owner detaches the channel and calls [Channel.Receive]. [Channel.Write] waits
// while much is queued, and an owner that does not receive stops the sender.
//
// A [Stream] is a byte stream with half-close on a channel of its own. A [Conn] is one of many
// byte streams, each with a window of its own, so that one that nobody reads does not stop the
// others. Their types describe what they look like on the wire.
package datachannel
