// Package turnserver serves STUN and TURN (RFC 8489, RFC 8656) over UDP, TCP and TLS.
//
//	client              this server             peer
//	   | Allocate           |                     |
//	   |------------------->| opens a UDP port    |
//	   | CreatePermission   |                     |
//	   |------------------->| checks the address  |
//	   | ChannelData, Send  |                     |
//	   |------------------->|-------------------->|
//
// A client may allocate if it has a user name and password made with the shared secret, see
// Credentials. It may send to public addresses, to the addresses of Options.AllowedPeers, and to
// the allocations of this server, so that two of its clients reach each other. Private, loopback,
// link-local, multicast and other special addresses are refused in every notation, as are all
// other ports of this machine: TURN must not be a way into the network of the server
// (RFC 8656 section 21.2).
//
// A client without credentials must not take the server away from others. Quotas, connections and
// requests without an allocation are limited for each client address (an IPv6 /64 counts as one),
// and a connection without an allocation ends after Options.StreamTimeout.
//
// TCP allocations (RFC 6062) are refused: WebRTC does not use them, and with them clients could
// open TCP connections to third parties.
package turnserver
