//go:build amd64 || arm64

package udp

import (
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchMessages = 8       // most of one system call
	batchBytes    = 1 << 16 // most of a message, which the kernel may have made of many datagrams
	batchAfter    = 8       // datagrams in turn that are read without waiting before batches begin
)

// batch is what one system call has received: messages of one datagram each, or, with UDP_GRO, of
// several datagrams of one address and size, of which the last may be shorter.
type batch struct {
	messages [batchMessages]message
	iovs     [batchMessages]syscall.Iovec
	from     [batchMessages]syscall.RawSockaddrAny
	controls [batchMessages]coalescedControl
	data     []byte

	received int // messages
	next     int // message with the next datagram
	offset   int // of the datagram in its message
}

// message is struct mmsghdr.
type message struct {
	header syscall.Msghdr
	length uint32
	_      [4]byte
}

// coalescedControl is a control message with the size of the datagrams.
type coalescedControl struct {
	header syscall.Cmsghdr
	size   int32
	_      [4]byte
}

// newBatch returns a batch from a pool, or a new one.
func newBatch(pool *sync.Pool) *batch {
	if b, ok := pool.Get().(*batch); ok {
		return b
	}
	b := &batch{data: make([]byte, batchMessages*batchBytes)}
	for i := range b.messages {
		b.iovs[i].Base = &b.data[i*batchBytes]
		b.iovs[i].SetLen(batchBytes)
		h := &b.messages[i].header
		h.Name, h.Iov, h.Iovlen = (*byte)(unsafe.Pointer(&b.from[i])), &b.iovs[i], 1
		h.Control = (*byte)(unsafe.Pointer(&b.controls[i]))
	}
	return b
}

// receive receives what is there, by a call that does not wait.
func (b *batch) receive(fd uintptr) syscall.Errno {
	for i := range b.messages {
		h := &b.messages[i].header
		h.Namelen = uint32(unsafe.Sizeof(b.from[i]))
		h.SetControllen(int(unsafe.Sizeof(b.controls[i])))
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.messages)), batchMessages, syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return errno
	}
	b.received, b.next, b.offset = int(n), 0, 0
	return 0
}

// take copies the next datagram to p, as far as there is space, and returns the number of bytes
// copied. more reports whether there is another datagram.
func (b *batch) take(p []byte) (n int, from netip.AddrPort, more bool) {
	m := &b.messages[b.next]
	length := int(m.length)
	end := length
	if size := b.size(); size > 0 {
		end = min(length, b.offset+size)
	}
	start := b.next * batchBytes
	n = copy(p, b.data[start+b.offset:start+end])
	from = addrPortOf(&b.from[b.next])
	if b.offset = end; end >= length {
		b.next, b.offset = b.next+1, 0
	}
	return n, from, b.next < b.received
}

// size returns the size of the datagrams of the next message, or 0 if it is a single one.
func (b *batch) size() int {
	c := &b.controls[b.next]
	if int(b.messages[b.next].header.Controllen) < syscall.CmsgLen(4) || c.header.Level != unix.SOL_UDP || c.header.Type != unix.UDP_GRO {
		return 0
	}
	return int(c.size)
}

// coalesce lets the kernel make one message of several datagrams. One before version 5.0 refuses.
func coalesce(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_GRO, 1) }
