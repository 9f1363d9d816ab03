//go:build !quick

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEvidenceOfOnePort: where all calls share a UDP port, each has its own packets in its
// evidence, and those of both ends.
func TestEvidenceOfOnePort(t *testing.T) {
	server := patientServer(t)
	runningHere(t, "echo", "--server", server)
	socket, err := net.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	port := socket.LocalAddr().(*net.UDPAddr).Port
	_ = socket.Close()
	folder := t.TempDir()
	p := probeIt(t, server, "--parallel", "2", "--evidence", folder, "--udp-ports", fmt.Sprintf("%d:%d", port, port), "--file", "testdata/probe/red.scenario", "echo")
	var theirs []string
	for _, name := range []string{"red-one", "red-two"} {
		if p.verdict[name] != "fail" {
			t.Errorf("%s: %q, %v", name, p.verdict[name], p.bad())
		}
		readableEvidence(t, filepath.Join(folder, name))
		out, err := exec.Command("tshark", "-r", filepath.Join(folder, name, "packets.pcapng"), "-Y", fmt.Sprintf("dtls && udp.srcport != %d", port), "-T", "fields", "-e", "udp.srcport").Output()
		if err != nil {
			t.Fatal(err)
		}
		ports := strings.Fields(string(out))
		if len(ports) == 0 || slices.ContainsFunc(ports, func(p string) bool { return slices.Contains(theirs, p) }) {
			t.Errorf("%s has packets of the ports %v, the call before of %v", name, ports, theirs)
		}
		theirs = append(theirs, ports...)
		text, err := os.ReadFile(filepath.Join(folder, name, "remote-events.ndjson"))
		for _, want := range []string{`"event":"code"`, `"event":"state"`, `"event":"channel"`} {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s: the peer's events have no %s: %v\n%s", name, want, err, text)
			}
		}
	}
}
