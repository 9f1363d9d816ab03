package main

import (
	"bufio"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
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
	limits := []struct {
		name string
		size int
		once func() error
	}{
		{"AES-128-GCM of packets", size, func() error { gcm.Seal(sealed, nonce, packet, nil); return nil }},
		{"CRC32C of packets", size, func() error { crc32.Update(0, castagnoli, packet); return nil }},
		{"copy of 64 MiB", len(from), func() error { copy(to, from); return nil }},
		{"UDP packet sent and received, a system call each", size, func() error {
			_ = in.SetReadDeadline(time.Now().Add(time.Second)) // never fails for an open socket
			_, err := out.Write(packet)
			_, errRead := in.Read(to)
			if errors.Is(errRead, os.ErrDeadlineExceeded) {
				errRead = nil // the packet was lost
			}
			return errors.Join(err, errRead)
		}},
	}
	fmt.Println("\n<!-- bench-limits -->\n| limit of this machine, packets of 1,200 bytes | CPU s/GB |\n|---|---:|")
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
	return errors.Join(printOpenSSL(size, d), printIperf(size, d))
}

// printOpenSSL prints what openssl speed takes for AES-128-GCM.
func printOpenSSL(size int, d time.Duration) error {
	seconds := max(1, int(d.Seconds()))
	out, err := exec.Command("openssl", "speed", "-mr", "-evp", "aes-128-gcm", "-bytes", strconv.Itoa(size), "-seconds", strconv.Itoa(seconds)).Output()
	if err != nil {
		return fmt.Errorf("openssl speed: %w (install openssl)", err)
	}
	m := regexp.MustCompile(`(?m)^\+F:\d+:[^:]+:([\d.]+)`).FindSubmatch(out) // bytes per second of CPU time
	if m == nil {
		return fmt.Errorf("openssl speed wrote %q", out)
	}
	rate, err := strconv.ParseFloat(string(m[1]), 64)
	if err == nil {
		fmt.Printf("| `openssl speed -evp aes-128-gcm -bytes %d` | %.2f |\n", size, 1e9/rate)
	}
	return err
}

// printIperf prints what iperf3 takes to send and receive UDP packets as fast as it can.
func printIperf(size int, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d+time.Minute)
	defer cancel()
	server := exec.CommandContext(ctx, "iperf3", "--server", "--one-off", "--forceflush", "--bind", "127.0.0.1")
	listening, err := server.StdoutPipe()
	if err == nil {
		err = server.Start()
	}
	if err != nil {
		return fmt.Errorf("iperf3: %w (install iperf3)", err)
	}
	defer func() { _, _ = server.Process.Kill(), server.Wait() }()
	lines := bufio.NewScanner(listening)
	for lines.Scan() && !strings.Contains(lines.Text(), "listening") {
	}
	seconds := max(1, int(d.Seconds()))
	out, err := exec.CommandContext(ctx, "iperf3", "--client", "127.0.0.1", "--udp", "--bitrate", "0", "--length", strconv.Itoa(size), "--time", strconv.Itoa(seconds), "--json").Output()
	if err != nil {
		return fmt.Errorf("iperf3: %w: %s", err, out)
	}
	var report struct {
		End struct {
			Sum struct {
				Bytes       float64
				Seconds     float64
				LostPercent float64 `json:"lost_percent"`
			}
			CPU struct {
				Sender   float64 `json:"host_total"`
				Receiver float64 `json:"remote_total"`
			} `json:"cpu_utilization_percent"`
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return fmt.Errorf("iperf3: %w", err)
	}
	sum, cpu := report.End.Sum, report.End.CPU
	if sum.Bytes == 0 {
		return fmt.Errorf("iperf3 sent nothing: %s", out)
	}
	sent := sum.Bytes / 1e9
	received := sent * (1 - sum.LostPercent/100)
	fmt.Printf("| `iperf3 --udp --length %d`, sender (%.0f Mbit/s) | %.2f |\n", size, sum.Bytes*8/1e6/sum.Seconds, cpu.Sender/100*sum.Seconds/sent)
	fmt.Printf("| the same, receiver (%.0f %% lost) | %.2f |\n", sum.LostPercent, cpu.Receiver/100*sum.Seconds/received)
	return nil
}

// usedCPU is the CPU time of this process.
func usedCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for no valid argument
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
