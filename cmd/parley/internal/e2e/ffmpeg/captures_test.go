package ffmpeg

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4/pkg/media/rtpdump"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// A call is captured in all ways at once, by one side, and each file is read by
// what others read it with.
func TestCaptures(t *testing.T) {
	_, server := e2etest.Serve(t)
	echo := e2etest.Start(t, "echo", "--server", server)
	echo.Says(t, "waiting for calls")
	alice := e2etest.Start(t, "call", "echo", "--server", server, "--as", "alice", "--video", "test", "--audio", "test", "--say", "the secret word",
		"--pcap", "call.pcapng", "--rtpdump", "call.rtpdump", "--stats-dump", "call.dump", "--stats-interval", "200ms",
		"--expect", "text=the secret word", "--expect", "video.frames>=15", "--expect", "audio.packets>=30", "--output", "ndjson")
	alice.Ends(t, 0)
	e2etest.Interrupt(t, echo)
	file := func(name string) string { return filepath.Join(alice.Cmd.Dir, name) }
	for _, name := range []string{"call.pcapng", "call.rtpdump", "call.dump"} {
		info, err := os.Stat(file(name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s can be read by others: %v", name, info.Mode())
		}
	}
	t.Run("pcap", func(t *testing.T) { checkCapture(t, file("call.pcapng")) })
	t.Run("rtpdump", func(t *testing.T) { checkPacketDump(t, file("call.rtpdump"), alice.Out.String()) })
	t.Run("stats dump", func(t *testing.T) { checkStatsDump(t, file("call.dump")) })
}

// checkCapture has Wireshark's own program read a capture, keys and all.
func checkCapture(t *testing.T, file string) {
	t.Helper()
	count := func(filter string) int {
		t.Helper()
		var stderr bytes.Buffer
		cmd := exec.Command("tshark", "-r", file, "-Y", filter, "--enable-heuristic", "rtp_udp",
			"-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("tshark (Debian's package tshark): %v\n%s", err, &stderr)
		}
		return bytes.Count(out, []byte("\n"))
	}
	for filter, least := range map[string]int{
		"stun.type == 0x0001": 2, "stun.type == 0x0101": 2, // binding requests and responses
		"dtls.handshake.type == 1": 1, "dtls.handshake.type == 2": 1,
		"dtls && data.data[0:4] == 13:88:13:88":   5, // SCTP from port 5000 to 5000, decrypted
		`dtls && data contains "the secret word"`: 2, // there and back
		"rtp": 50,
	} {
		if got := count(filter); got < least {
			t.Errorf("%d packets of %q, want %d", got, filter, least)
		}
	}
	if bad := count("ip.checksum.status == 0 || udp.checksum.status == 0"); bad > 0 {
		t.Errorf("%d packets are broken", bad)
	}
}

// checkPacketDump reads what rtpplay reads.
func checkPacketDump(t *testing.T, file, ndjson string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, _, err := rtpdump.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	streams := map[uint32]int{}
	for {
		dumped, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		var p rtp.Packet
		if err := p.Unmarshal(dumped.Payload); err != nil {
			t.Fatal(err)
		}
		streams[p.SSRC]++
	}
	if len(streams) != 2 {
		t.Errorf("there are %d streams, want audio and video", len(streams))
	}
	events, err := e2etest.ReadEvents(ndjson)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		report, _ := e["report"].([]any)
		for _, o := range report {
			o := o.(map[string]any)
			if ssrc, _ := o["ssrc"].(float64); o["type"] == "inbound-rtp" && streams[uint32(ssrc)] < int(o["packetsReceived"].(float64)) {
				t.Errorf("%v packets of %v were received, and %d are in the file", o["packetsReceived"], ssrc, streams[uint32(ssrc)])
			}
		}
	}
}

// checkStatsDump reads an RTCStatsDump of version 3 as its specification has it,
// and as the importer of its authors does (readRTCStatsDump).
func checkStatsDump(t *testing.T, file string) {
	t.Helper()
	lines, header, err := readStatsDump(file)
	if err != nil {
		t.Fatal(err)
	}
	if header["fileFormat"] != 3.0 || !strings.HasPrefix(fmt.Sprint(header["userAgent"]), "parley/") {
		t.Errorf("the header is %v", header)
	}
	if lines[0].method != "create" {
		t.Errorf("it begins with %s", lines[0].method)
	}
	seen, states, types := map[string]int{}, []string{}, map[string]bool{}
	for _, l := range lines {
		seen[l.method]++
		if l.time < 1.7e12 || l.time > 1e13 || l.connection != "PC_1" {
			t.Fatalf("%s of %s is at %f", l.method, l.connection, l.time)
		}
		switch v := l.value.(type) {
		case string:
			if l.method == "onconnectionstatechange" {
				states = append(states, v)
			}
		case map[string]any:
			if l.method == "getStats" {
				for _, o := range v {
					if o, ok := o.(map[string]any); ok {
						types[o["type"].(string)] = true
					}
				}
			} else if l.method == "setRemoteDescription" && !strings.HasPrefix(v["sdp"].(string), "v=0\r\n") {
				t.Errorf("the remote description is %v", v)
			}
		}
	}
	for _, method := range []string{"create", "createOffer", "createOfferOnSuccess", "setLocalDescription", "setLocalDescriptionOnSuccess", "setRemoteDescription",
		"onicecandidate", "addIceCandidate", "createDataChannel", "ontrack", "addTrack", "getStats", "close",
		"oniceconnectionstatechange", "onsignalingstatechange"} {
		if seen[method] == 0 {
			t.Errorf("there is no %s", method)
		}
	}
	if seen["getStats"] < 2 {
		t.Errorf("statistics are in it %d times", seen["getStats"])
	}
	if !strings.Contains(strings.Join(states, " "), "connecting connected") {
		t.Errorf("the states are %v", states)
	}
	for _, kind := range []string{"inbound-rtp", "outbound-rtp", "candidate-pair", "transport", "codec", "data-channel", "peer-connection"} {
		if !types[kind] {
			t.Errorf("there are no statistics of %s", kind)
		}
	}
}

type dumpLine struct {
	method, connection string
	value              any
	time               float64
}

func readStatsDump(file string) ([]dumpLine, map[string]any, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	if !scanner.Scan() || scanner.Text() != "RTCStatsDump" {
		return nil, nil, fmt.Errorf("the first line is %q", scanner.Text())
	}
	var header map[string]any
	if !scanner.Scan() {
		return nil, nil, errors.New("there is no second line")
	}
	if err := json.Unmarshal(scanner.Bytes(), &header); err != nil {
		return nil, nil, err
	}
	var lines []dumpLine
	now := 0.0
	for scanner.Scan() {
		var parts []any
		if err := json.Unmarshal(scanner.Bytes(), &parts); err != nil {
			return nil, nil, err
		}
		if len(parts) != 4 {
			return nil, nil, fmt.Errorf("a line has %d parts: %s", len(parts), scanner.Text())
		}
		now += parts[3].(float64)
		lines = append(lines, dumpLine{parts[0].(string), parts[1].(string), parts[2], now})
	}
	return lines, header, scanner.Err()
}
