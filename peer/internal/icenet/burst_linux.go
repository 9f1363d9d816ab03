//go:build amd64 || arm64

package icenet

import (
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	maxSegments     = 64         // of one system call (UDP_MAX_SEGMENTS of the kernel)
	maxSegmentBytes = 65535 - 48 // of all of them, with headers of IPv6 and UDP
	minSegmentBytes = 256        // shorter datagrams are not worth a copy
	segmentControl  = 4 + 20     // bytes of a control message with a number, aligned
)

// collection is the datagrams that a socket has collected: of one size, but for the last, which may
// be shorter, to one address.
type collection struct {
	mu      sync.Mutex // guards the following
	data    []byte
	size    int // of a datagram, in bytes; 0 if there is none
	count   int
	ended   bool // the last datagram is shorter
	to      netip.AddrPort
	refused bool // the kernel refuses segmentation
}

// collect keeps a copy of a datagram until the end of the burst. It reports whether it did.
func (s *udpSocket) collect(b []byte, to netip.AddrPort) bool {
	c := &s.collection
	c.mu.Lock()
	if c.refused {
		c.mu.Unlock()
		return false
	}
	if c.count > 0 && (c.ended || to != c.to || len(b) > c.size || c.count == maxSegments || len(c.data)+len(b) > maxSegmentBytes) {
		s.sendCollection()
	}
	first := c.count == 0
	if first {
		if len(b) < minSegmentBytes || len(b) > maxSegmentBytes {
			c.mu.Unlock()
			return false
		}
		c.size, c.to = len(b), to
	}
	c.data, c.count, c.ended = append(c.data, b...), c.count+1, len(b) < c.size
	c.mu.Unlock()
	if first {
		s.bursts.add(s)
	}
	return true
}

// flush implements flusher.
func (s *udpSocket) flush() {
	s.collection.mu.Lock()
	defer s.collection.mu.Unlock()
	s.sendCollection()
}

// sendCollection sends the datagrams collected in one system call, or one by one if that fails. An
// error of a datagram is lost like the datagram. sendCollection is called with collection.mu held.
func (s *udpSocket) sendCollection() {
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
}

// sendSegments reports whether one system call has sent all datagrams. If the kernel refuses
// segmentation, as for a path without checksum offload (EIO) and before version 4.18 (EINVAL), it
// is not tried again.
func (s *udpSocket) sendSegments() (ok bool) {
	c := &s.collection
	var sockaddr syscall.RawSockaddrAny
	var control [segmentControl]byte
	header := (*syscall.Cmsghdr)(unsafe.Pointer(&control[0]))
	header.Level, header.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	header.SetLen(syscall.CmsgLen(2))
	*(*uint16)(unsafe.Pointer(&control[syscall.CmsgLen(0)])) = uint16(c.size)
	iov := syscall.Iovec{Base: &c.data[0]}
	iov.SetLen(len(c.data))
	message := syscall.Msghdr{
		Name: (*byte)(unsafe.Pointer(&sockaddr)), Namelen: uint32(setAddrPort(&sockaddr, c.to, s.is4)), Iov: &iov, Iovlen: 1,
		Control: &control[0],
	}
	message.SetControllen(syscall.CmsgSpace(2))
	err := s.raw.Control(func(fd uintptr) {
		_, _, errno := syscall.RawSyscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&message)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL)
		switch errno {
		case 0:
			ok = true
		case syscall.EIO, syscall.EINVAL, syscall.ENOPROTOOPT, syscall.EOPNOTSUPP:
			c.refused = true
		}
	})
	return ok && err == nil
}
