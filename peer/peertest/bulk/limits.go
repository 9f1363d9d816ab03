package main

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"syscall"
	"time"
)

// printLimits prints the CPU time that a gigabyte costs at least: what encryption, checksum, copies
// and system calls of packets of the size take without WebRTC.
func printLimits(d time.Duration) error {
	const size = 1200
	block, err := aes.NewCipher(make([]byte, 16))
	if err != nil {
		return err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return err
	}
	from, to := make([]byte, 64<<20), make([]byte, 64<<20)
	packet, sealed, nonce := from[:size], make([]byte, 0, size+gcm.Overhead()), make([]byte, gcm.NonceSize())
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := net.DialUDP("udp4", nil, in.LocalAddr().(*net.UDPAddr))
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	_ = in.SetReadDeadline(time.Now().Add(d + time.Minute))
	limits := []struct {
		name string
		size int
		once func() error
	}{
		{"AES-128-GCM of packets", size, func() error { gcm.Seal(sealed, nonce, packet, nil); return nil }},
		{"CRC32C of packets", size, func() error { crc32.Update(0, castagnoli, packet); return nil }},
		{"copy of 64 MiB", len(from), func() error { copy(to, from); return nil }},
		{"UDP packet sent and received, a system call each", size, func() error {
			_, err := out.Write(packet)
			_, errRead := in.Read(to)
			return errors.Join(err, errRead)
		}},
	}
	fmt.Println("\n| limit of this machine, packets of 1,200 bytes | CPU s/GB |\n|---|---:|")
	for _, l := range limits {
		before, begun, bytes := usedCPU(), time.Now(), 0
		for time.Since(begun) < d {
			if err := l.once(); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			bytes += l.size
		}
		fmt.Printf("| %s | %.2f |\n", l.name, (usedCPU()-before).Seconds()/(float64(bytes)/1e9))
	}
	return nil
}

// usedCPU is the CPU time of this process.
func usedCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for no valid argument
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
