// Package turnserver is a STUN and TURN server (RFC 8489, RFC 8656) over UDP, TCP and TLS, for peers that cannot reach one another.
//
//	client            this server             peer
//	   | Allocate, name   |                     |
//	   |----------------->|  opens a port       |
//	   | CreatePermission |                     |
//	   |----------------->|  is the peer's      |
//	   |                  |  address allowed?   |
//	   | data             |                     |
//	   |----------------->|-------------------->|
//
// Who may allocate: whoever has a name and password made with the shared secret (Credentials), by the convention that coturn calls
// use-auth-secret. Where packets may go: to public addresses, to what Options.Allow names, and to the ports that this server itself
// has opened, so that two clients of it reach each other. Never, unless allowed, to private, loopback, link-local, multicast and
// other special addresses in whatever form they are written, nor to any other port of this machine: a relay must be no way
// into the network that it stands in.
//
// TCP allocations (RFC 6062) are refused: WebRTC does not use them, and they would open TCP connections to third parties.
package turnserver
