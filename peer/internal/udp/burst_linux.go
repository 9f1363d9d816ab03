//go:build amd64 || arm64

package udp

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxSegments     = 64         // of one system call (UDP_MAX_SEGMENTS of the kernel)
	maxSegmentBytes = 65535 - 48 // of all of them, with headers of IPv6 and UDP
	minSegmentBytes = 256        // shorter datagrams are not worth a copy
)

// collection is the datagrams that a socket has collected: of one size, but for the last, which may
// be shorter, to one address.
type collection struct {
	waiting atomic.Bool // there is a datagram, which must not be overtaken

	mu      sync.Mutex // held while sending; guards the following
	data    []byte
	size    int // of a datagram, in bytes; 0 if there is none
	count   int
	ended   bool // the last datagram is shorter
	to      netip.AddrPort
	refused bool // the kernel refuses segmentation
}

// segmentControl is a control message with the size of the datagrams.
type segmentControl struct {
	header syscall.Cmsghdr
	size   uint16
	_      [6]byte
}

// canSegment reports whether the kernel knows UDP_SEGMENT. One before version 4.18 would ignore it
// and send all datagrams as one.
func canSegment(socket syscall.RawConn) (ok bool) {
	err := socket.Control(func(fd uintptr) {
		_, err := unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
		ok = err == nil
	})
	return ok && err == nil
}

// collect keeps a copy of a datagram until the end of the burst. It reports whether it did. If not,
// all that was collected before is sent.
func (s *socket) collect(b []byte, to netip.AddrPort) bool {
	c := &s.collection
	c.mu.Lock()
	if c.count > 0 && (c.ended || to != c.to || len(b) > c.size || c.count == maxSegments || len(c.data)+len(b) > maxSegmentBytes) {
		s.sendCollection()
	}
	first := c.count == 0
	if first {
		if c.refused || len(b) < minSegmentBytes || len(b) > maxSegmentBytes {
			c.mu.Unlock()
			return false
		}
		c.size, c.to = len(b), to
		c.waiting.Store(true)
	}
	c.data, c.count, c.ended = append(c.data, b...), c.count+1, len(b) < c.size
	c.mu.Unlock()
	if first {
		s.group.add(s)
	}
	return true
}

// flush implements flusher.
func (s *socket) flush() {
	s.collection.mu.Lock()
	defer s.collection.mu.Unlock()
	s.sendCollection()
}

// sendCollection sends the datagrams collected in one system call, or one by one if that fails. An
// error of a datagram is lost like the datagram. sendCollection is called with collection.mu held.
func (s *socket) sendCollection() {
	c := &s.collection
	if c.count == 0 {
		return
	}
	if c.count == 1 || !s.sendSegments() {
		for data := c.data; len(data) > 0; {
			n := min(c.size, len(data))
			_, _ = s.sendOne(data[:n], c.to)
			data = data[n:]
		}
	}
	c.data, c.count, c.ended = c.data[:0], 0, false
	c.waiting.Store(false)
}

// sendSegments reports whether one system call has sent all datagrams. If the kernel refuses
// segmentation, as for a path without checksum offload (EIO) or with an MTU below the size of a
// datagram (EINVAL), it is not tried again.
func (s *socket) sendSegments() (ok bool) {
	c := &s.collection
	var sockaddr syscall.RawSockaddrAny
	control := segmentControl{size: uint16(c.size)}
	control.header.Level, control.header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	control.header.SetLen(syscall.CmsgLen(2))
	iov := syscall.Iovec{Base: &c.data[0]}
	iov.SetLen(len(c.data))
	message := syscall.Msghdr{
		Name: (*byte)(unsafe.Pointer(&sockaddr)), Namelen: uint32(setAddrPort(&sockaddr, c.to, s.is4)), Iov: &iov, Iovlen: 1,
		Control: (*byte)(unsafe.Pointer(&control)),
	}
	message.SetControllen(int(unsafe.Sizeof(control)))
	err := s.raw.Control(func(fd uintptr) {
		_, _, errno := syscall.RawSyscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&message)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
		switch errno {
		case 0:
			ok = true
		case syscall.EIO, syscall.EINVAL, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP, syscall.ENOSYS:
			c.refused = true
		}
	})
	return ok && err == nil
}
