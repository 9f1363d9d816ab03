package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tcpFlow is one TCP connection of the kernel, with CUBIC, over the links of a detour. The kernel
// sends its packets to a TUN device. Both ends are sockets of this host at tunLocal. Each connects
// to or accepts from tunRemote, an address that is routed to the device: there source and
// destination are exchanged.
type tcpFlow struct {
	tun      *os.File
	listener *net.TCPListener
	received atomic.Int64 // bytes
	work     sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns []net.Conn
}

const tunDevice = "parley-bulk"

var (
	tunLocal  = netip.MustParseAddr("10.98.76.1")
	tunRemote = netip.MustParseAddr("10.98.76.2")
)

// startTCP starts a flow that sends until it is closed by the caller. It must run in a network
// namespace of its own, see inNamespace.
func startTCP(way *detour) (*tcpFlow, error) {
	tun, err := openTUN(tunDevice)
	if err != nil {
		return nil, err
	}
	f := &tcpFlow{tun: tun}
	for _, args := range []string{
		"addr add " + tunLocal.String() + "/30 dev " + tunDevice,
		fmt.Sprint("link set ", tunDevice, " up mtu ", 1228), // so that packets are as long as those of the others
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			_ = tun.Close()
			return nil, fmt.Errorf("ip %s: %s", args, out)
		}
	}
	if f.listener, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(tunLocal, 0))); err != nil {
		_ = tun.Close()
		return nil, err
	}
	port := uint16(f.listener.Addr().(*net.TCPAddr).Port)
	f.work.Go(func() { f.exchange(way, port) })
	f.work.Go(f.receive)
	dialer := net.Dialer{Timeout: 10 * time.Second, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "cubic")
		}), err)
	}}
	conn, err := dialer.Dial("tcp4", netip.AddrPortFrom(tunRemote, port).String())
	if err != nil {
		f.close()
		return nil, err
	}
	f.keep(conn)
	f.work.Go(func() {
		data := block()
		for err := error(nil); err == nil; {
			_, err = conn.Write(data)
		}
	})
	return f, nil
}

// receive counts what arrives.
func (f *tcpFlow) receive() {
	conn, err := f.listener.Accept()
	if err != nil {
		return
	}
	f.keep(conn)
	buffer := make([]byte, 1<<16)
	for err == nil {
		var n int
		n, err = conn.Read(buffer)
		f.received.Add(int64(n))
	}
}

// exchange carries the packets of the device. Those for the port of the receiver are data.
func (f *tcpFlow) exchange(way *detour, port uint16) {
	deliver := func(b []byte) { _, _ = f.tun.Write(b) }
	buffer := make([]byte, 1<<16)
	for {
		n, err := f.tun.Read(buffer)
		if err != nil {
			return
		}
		b := buffer[:n]
		const source, destination, tcp = 12, 16, 20 // offsets of RFC 791 and of the TCP header without options
		if n < tcp+4 || b[0] != 0x45 || b[9] != unix.IPPROTO_TCP {
			continue
		}
		var address [4]byte
		copy(address[:], b[source:])
		copy(b[source:destination], b[destination:])
		copy(b[destination:tcp], address[:])
		end := sender
		if uint16(b[tcp+2])<<8|uint16(b[tcp+3]) == port {
			end = receiver
		}
		way.links[end].SendTo(b, deliver)
	}
}

func (f *tcpFlow) keep(c net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conns = append(f.conns, c)
}

// close ends the flow. The links of the detour must still be open.
func (f *tcpFlow) close() {
	f.mu.Lock()
	for _, c := range f.conns {
		_ = c.Close()
	}
	f.mu.Unlock()
	_, _ = f.listener.Close(), f.tun.Close()
	f.work.Wait()
}

// openTUN creates a TUN device (tuntap.rst of Linux).
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("failed to open /dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("failed to create a TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), "/dev/net/tun"), nil
}

// namespaceVariable is set in a process that inNamespace has started.
const namespaceVariable = "PARLEY_BULK_NAMESPACE"

// namespaceDevices is a script for devices with an address: libdatachannel does not use loopback.
const namespaceDevices = `ip link set lo up && ip link add dev ours type veth peer name other &&
	ip addr add 10.98.77.1/24 dev ours && ip link set ours up && ip link set other up && exec "$@"`

// inNamespace runs this program again, in a network namespace of its own. It returns false in the
// program that it has started.
func inNamespace(args []string, out io.Writer) (bool, error) {
	if os.Getenv(namespaceVariable) != "" {
		return false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return true, err
	}
	options := "-n"
	if os.Geteuid() != 0 {
		options = "-Urn"
	}
	cmd := exec.Command("unshare", append([]string{options, "sh", "-c", namespaceDevices, "sh", self}, args...)...)
	cmd.Env = append(os.Environ(), namespaceVariable+"=1")
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	return true, cmd.Run()
}
