//go:build linux

package main

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

	"parley/peer/road"
)

// traffic is what a road tells when it is interrupted: of UDP, to the host
// inside and from there.
type traffic struct{ In, Out road.Counts }

// roughRoad is a program that is a bridge between two network interfaces, with
// weather: rough-road INSIDE OUTSIDE WEATHER. The weather is that of UDP; all
// else, signaling among it, is late by its delay alone, for what is looked at is
// the path of the call.
func roughRoad() {
	if err := pave(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func pave(inside, outside, weather string) error {
	var w road.Weather
	if err := json.Unmarshal([]byte(weather), &w); err != nil {
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
	other := w
	other.Seed++ // the other way is not the same
	out, in := newLane(ends[0], ends[1], w), newLane(ends[1], ends[0], other)
	fmt.Println("open")
	<-interrupted
	err := errors.Join(ends[0].Close(), ends[1].Close())
	out.close()
	in.close()
	counts, _ := json.Marshal(traffic{In: in.packets.Counts(), Out: out.packets.Counts()})
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

// lane is one way of a road.
type lane struct {
	packets, rest *road.Link
	reading       sync.WaitGroup
}

func newLane(from, to *os.File, w road.Weather) *lane {
	write := func(b []byte) { _, _ = to.Write(b) } // a host that has gone hears nothing
	l := &lane{packets: road.NewLink(w, write), rest: road.NewLink(road.Weather{Delay: w.Delay}, write)}
	l.reading.Go(func() {
		buffer := make([]byte, virtioHeader+1<<17)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			l.send(buffer[:n])
		}
	})
	return l
}

// send puts a frame on its way.
func (l *lane) send(frame []byte) {
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
		l.packets.Send(frame)
		return
	}
	l.rest.Send(frame)
}

// close waits for what was reading; the files are closed before.
func (l *lane) close() {
	l.reading.Wait()
	l.packets.Close()
	l.rest.Close()
}
