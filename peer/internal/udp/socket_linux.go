//go:build amd64 || arm64

package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"github.com/pion/transport/v4"
)

// socket is a UDP socket that ICE reads and writes by raw non-blocking system calls, which do not
// enter the Go scheduler. For a call that enters it, the scheduler wakes up the thread that looks
// for blocked calls. That takes a sixth of the CPU time of a process that receives audio on many
// sockets.
type socket struct {
	*net.UDPConn
	raw  syscall.RawConn
	is4  bool                  // the socket is of IPv4
	read func(fd uintptr) bool // receive, as a value that is made once

	group      *Group
	collection collection

	mu          sync.Mutex // held while reading; guards the following
	buffer      []byte
	n           int
	from        syscall.RawSockaddrAny
	err         error
	batch       *batch                                   // with datagrams that were received but not read; may be nil
	batched     bool                                     // datagrams are received in batches, for the kernel coalesces them
	refused     bool                                     // the kernel refuses batches
	receiveMany func(b *batch, fd uintptr) syscall.Errno // batch.receive
	ready       int                                      // datagrams in turn that nobody had to wait for
}

// Wrap adds conn to the group. It returns the socket to use and close in place of conn, which may
// be conn itself.
func (g *Group) Wrap(conn *net.UDPConn) transport.UDPConn {
	raw, err := conn.SyscallConn()
	if err != nil {
		return conn
	}
	local, _ := conn.LocalAddr().(*net.UDPAddr)
	s := &socket{UDPConn: conn, raw: raw, group: g, is4: local != nil && len(local.IP) == net.IPv4len}
	s.read, s.receiveMany = s.receive, (*batch).receive
	s.collection.refused = !canSegment(raw)
	return s
}

// ReadFromAddrPort implements ice.AddrPortReaderWriter. Datagrams that were received together are
// returned even after the read deadline.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	if len(b) == 0 {
		_, from, err := s.ReadFromAddrPort(make([]byte, 1))
		return 0, from, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.batch == nil {
		s.buffer = b
		err := s.raw.Read(s.read)
		s.buffer = nil
		if err == nil {
			err = s.err
		}
		if err != nil {
			return 0, netip.AddrPort{}, err
		}
		if s.batch == nil {
			return s.n, addrPortOf(&s.from), nil
		}
	}
	n, from, more := s.batch.take(b)
	if !more {
		s.dropBatch()
	}
	return n, from, nil
}

// Close closes the socket. Datagrams that were received but not read are lost.
func (s *socket) Close() error {
	err := s.UDPConn.Close() // ends a read in progress
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropBatch()
	return err
}

// dropBatch is called with mu held.
func (s *socket) dropBatch() {
	if s.batch != nil {
		s.group.batches.Put(s.batch)
		s.batch = nil
	}
}

// receive receives one datagram into buffer, or several into batch. It returns false if there is
// none. receive is called with mu held.
func (s *socket) receive(fd uintptr) bool {
	for {
		switch errno := s.receiveNow(fd); errno {
		case 0:
			s.ready++
			s.err = nil
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			s.ready = 0
			return false
		default:
			s.err = &net.OpError{Op: "read", Net: "udp", Source: s.LocalAddr(), Err: os.NewSyscallError("recvfrom", errno)}
			return true
		}
	}
}

// receiveNow receives what is there: a batch once datagrams come faster than they are read.
// receiveNow is called with mu held.
func (s *socket) receiveNow(fd uintptr) syscall.Errno {
	if !s.batched && (s.refused || s.ready < batchAfter) {
		return s.receiveOne(fd)
	}
	b := newBatch(&s.group.batches)
	errno := s.receiveMany(b, fd)
	if errno != 0 {
		s.group.batches.Put(b)
		if !s.batched && errno != syscall.EAGAIN && errno != syscall.EINTR { // as in a sandbox
			s.refused = true
			return s.receiveOne(fd)
		}
		return errno
	}
	if !s.batched {
		s.batched = true
		coalesce(fd)
	}
	s.batch = b
	return 0
}

// receiveOne receives one datagram into buffer. receiveOne is called with mu held.
func (s *socket) receiveOne(fd uintptr) syscall.Errno {
	size := uint32(unsafe.Sizeof(s.from))
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&s.buffer[0])), uintptr(len(s.buffer)),
		syscall.MSG_DONTWAIT, uintptr(unsafe.Pointer(&s.from)), uintptr(unsafe.Pointer(&size)))
	s.n = int(n)
	return errno
}

// The methods below read like ReadFromAddrPort: those of the embedded net.UDPConn would not see
// what was received before, and take coalesced datagrams for one.

// ReadFromUDPAddrPort reads a datagram.
func (s *socket) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	return s.ReadFromAddrPort(b)
}

// ReadFromUDP implements transport.UDPConn.
func (s *socket) ReadFromUDP(b []byte) (int, *net.UDPAddr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// ReadFrom implements net.PacketConn.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromUDP(b)
	if err != nil {
		return n, nil, err // without a *net.UDPAddr that is nil
	}
	return n, from, nil
}

// ReadMsgUDP implements transport.UDPConn. It returns no control messages.
func (s *socket) ReadMsgUDP(b, _ []byte) (n, oobn, flags int, from *net.UDPAddr, err error) {
	n, from, err = s.ReadFromUDP(b)
	return n, 0, 0, from, err
}

// Read implements net.Conn.
func (s *socket) Read(b []byte) (int, error) {
	n, _, err := s.ReadFromAddrPort(b)
	return n, err
}

// addrPortOf returns the address in a sockaddr.
func addrPortOf(from *syscall.RawSockaddrAny) netip.AddrPort {
	port := func(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }
	switch from.Addr.Family {
	case syscall.AF_INET:
		a := (*syscall.RawSockaddrInet4)(unsafe.Pointer(from))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), port(&a.Port))
	case syscall.AF_INET6:
		a := (*syscall.RawSockaddrInet6)(unsafe.Pointer(from))
		ip := netip.AddrFrom16(a.Addr)
		if ip.IsLinkLocalUnicast() {
			if i, err := net.InterfaceByIndex(int(a.Scope_id)); err == nil {
				ip = ip.WithZone(i.Name)
			}
		}
		return netip.AddrPortFrom(ip, port(&a.Port))
	}
	return netip.AddrPort{}
}

// WriteToAddrPort implements ice.AddrPortReaderWriter. It may collect b during a burst.
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	switch {
	case s.group.active.Load() && s.canSend(b, to) && s.collect(b, to):
		return len(b), nil
	case s.collection.waiting.Load(): // the burst ends
		s.flush()
	}
	return s.sendOne(b, to)
}

// canSend reports whether send can send b.
func (s *socket) canSend(b []byte, to netip.AddrPort) bool {
	return len(b) > 0 && to.Addr().Zone() == "" && (to.Addr().Is4() || !s.is4)
}

// sendOne sends a datagram. What cannot be sent at once is left to the net package, which waits or
// returns the error.
func (s *socket) sendOne(b []byte, to netip.AddrPort) (int, error) {
	if s.canSend(b, to) {
		if n, ok := s.send(b, to); ok {
			return n, nil
		}
	}
	return s.WriteToUDPAddrPort(b, to)
}

// send reports whether a datagram was sent at once.
func (s *socket) send(b []byte, to netip.AddrPort) (n int, ok bool) {
	var sockaddr syscall.RawSockaddrAny
	size := setAddrPort(&sockaddr, to, s.is4)
	err := s.raw.Control(func(fd uintptr) {
		sent, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&sockaddr)), size)
		n, ok = int(sent), errno == 0
	})
	return n, ok && err == nil
}

// setAddrPort sets a sockaddr and returns its size. is4 is that of the socket.
func setAddrPort(sockaddr *syscall.RawSockaddrAny, to netip.AddrPort, is4 bool) uintptr {
	if is4 {
		a := (*syscall.RawSockaddrInet4)(unsafe.Pointer(sockaddr))
		a.Family, a.Addr = syscall.AF_INET, to.Addr().As4()
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&a.Port))[:], to.Port())
		return unsafe.Sizeof(*a)
	}
	a := (*syscall.RawSockaddrInet6)(unsafe.Pointer(sockaddr))
	a.Family, a.Addr = syscall.AF_INET6, to.Addr().As16()
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&a.Port))[:], to.Port())
	return unsafe.Sizeof(*a)
}
