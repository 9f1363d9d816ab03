package peer

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/pion/ice/v4"
	"github.com/pion/transport/v4"
	"github.com/pion/transport/v4/stdnet"

	"parley/peer/netem"
)

// ListenMux opens a UDP port for many calls, see Config.Mux. The caller closes
// it after the last of them. tap, if not nil, sees its packets, and emulator, if
// not nil, is between it and the calls.
func ListenMux(port uint16, loopback bool, tap Tap, emulator *netem.Emulator) (ice.UDPMux, error) {
	std, err := stdnet.NewNet()
	if err != nil {
		return nil, fmt.Errorf("failed to list the network interfaces: %w", err)
	}
	host := &bufferedNet{lockedNet: lockedNet{Net: std}}
	var n transport.Net = host
	if tap != nil {
		n = &tappedNet{host, tap}
	}
	m := &portMux{host: host, net: emulator.Net(n), port: port, loopback: loopback, at: make(map[netip.Addr]*ice.UDPMuxDefault)}
	if err := m.listen(); err != nil {
		_ = m.Close()
		return nil, fmt.Errorf("failed to listen on UDP port %d: %w", port, err)
	}
	return m, nil
}

// ListenTCP opens a TCP port at which others reach our calls where no UDP gets
// through (ICE over TCP, RFC 6544), see Config.TCP. The caller closes it after
// the last call. tap, if not nil, sees its packets.
func ListenTCP(port uint16, logger *slog.Logger, tap Tap) (ice.TCPMux, error) {
	var l net.Listener
	l, err := net.ListenTCP("tcp", &net.TCPAddr{Port: int(port)})
	if err != nil {
		return nil, fmt.Errorf("failed to listen on TCP port %d: %w", port, err)
	}
	if tap != nil {
		l = tappedListener{l, tap}
	}
	return ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: l, Logger: (&pionLog{log: logger}).NewLogger("ice"),
		ReadBufferSize: tcpReadBuffer, WriteBufferSize: tcpWriteBuffer,
	}), nil
}

const (
	tcpReadBuffer  = 64      // packets
	tcpWriteBuffer = 4 << 20 // bytes; beyond that packets are lost, as on a full link
)
