//go:build linux

package network

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"

	"parley/peer/netem"
)

// bridgeCounts are the counts of UDP packets to and from the host at the inside.
type bridgeCounts struct{ In, Out netem.Counts }

// netemBridge is a program that bridges two network interfaces: netem-bridge
// INSIDE OUTSIDE CONFIG. It applies the whole CONFIG to UDP and the delay alone
// to everything else, signaling included. It prints its counts on an interrupt.
func netemBridge() {
	if err := runBridge(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func runBridge(inside, outside, config string) error {
	var c netem.Config
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	defer signal.Stop(interrupted)
	var ends [2]*os.File
	for i, name := range []string{inside, outside} {
		f, err := frames(name)
		if err != nil {
			return err
		}
		ends[i] = f
	}
	inbound := c
	inbound.Seed++ // the directions differ
	out, in := newBridgeDirection(ends[0], ends[1], c), newBridgeDirection(ends[1], ends[0], inbound)
	fmt.Println("open")
	<-interrupted
	err := errors.Join(ends[0].Close(), ends[1].Close())
	out.close()
	in.close()
	counts, _ := json.Marshal(bridgeCounts{In: in.udp.Counts(), Out: out.udp.Counts()})
	fmt.Println(string(counts))
	return err
}

// virtioHeader precedes each frame, and says which checksum the kernel has not
// made yet, and how to cut what it has not cut: between two of its own
// interfaces it leaves both undone (packet(7), PACKET_VNET_HDR).
const virtioHeader = 10

// frames opens an interface for all frames that come in by it.
func frames(name string) (*os.File, error) {
	itf, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	everything := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("failed to open a packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: itf.Index}))
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("failed to bind to %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// bridgeDirection forwards frames in one direction.
type bridgeDirection struct {
	udp, rest *netem.Link
	reading   sync.WaitGroup
}

func newBridgeDirection(from, to *os.File, c netem.Config) *bridgeDirection {
	write := func(b []byte) { _, _ = to.Write(b) } // fails when the host is gone
	d := &bridgeDirection{udp: netem.NewLink(c, write), rest: netem.NewLink(netem.Config{Delay: c.Delay}, write)}
	d.reading.Go(func() {
		buffer := make([]byte, virtioHeader+1<<17)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			d.send(buffer[:n])
		}
	})
	return d
}

// send passes a frame to its link.
func (d *bridgeDirection) send(frame []byte) {
	const ethernet, ipv4Protocol, ipv6Protocol = virtioHeader + 14, 9, 6
	if len(frame) < ethernet+20 {
		return
	}
	protocol := byte(0)
	switch binary.BigEndian.Uint16(frame[ethernet-2:]) {
	case unix.ETH_P_IP:
		protocol = frame[ethernet+ipv4Protocol]
	case unix.ETH_P_IPV6:
		protocol = frame[ethernet+ipv6Protocol]
	}
	if protocol == unix.IPPROTO_UDP {
		d.udp.Send(frame)
		return
	}
	d.rest.Send(frame)
}

// close waits for the reader, whose file must be closed before.
func (d *bridgeDirection) close() {
	d.reading.Wait()
	d.udp.Close()
	d.rest.Close()
}
