//go:build !quick

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/stdio"
)

// TestProbeLoad: a few calls at once, each verified; what is measured is in the report.
func TestProbeLoad(t *testing.T) {
	server := patientServer(t)
	runningHere(t, "echo", "--server", server)
	var out, said bytes.Buffer
	args := []string{"parley", "probe", "--server", server, "-q", "--load", "3", "--ramp", "20/s", "--duration", "500ms",
		"--require", "setup.ms:p95>=0", "--require", "audio.loss<=100", "--require", "rtt.ms:p50>=0", "echo"}
	if code := cli.Run(context.Background(), stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &said}, args); code != exit.OK {
		t.Errorf("exit code %d: %s%s", code, out.String(), said.String())
	}
	for _, want := range []string{"3 calls", "\nsetup.ms             3 ", "\nlate.ms ", "sends audio and video back", "3 passed"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// TestProbeLoadFails: a threshold that does not hold, and a peer that does not send back what it
// should, are failures.
func TestProbeLoadFails(t *testing.T) {
	server := patientServer(t)
	runningHere(t, "echo", "--server", server)
	slow := probeIt(t, server, "--load", "2", "--ramp", "20/s", "--duration", "100ms", "--require", "setup.ms:p95<0", "echo")
	if slow.code != exit.Expectation || len(slow.Results) != 2 || len(slow.bad()) > 0 {
		t.Errorf("a threshold: exit code %d, %v", slow.code, slow.bad())
	}
	brokenEcho(t, server, fault{silent: true})
	silent := probeIt(t, server, "--load", "2", "--ramp", "20/s", "--duration", "100ms", "--peer-type", "echo", "--timeout", "5s", "broken")
	want, code := "fail", exit.Expectation
	if silent.Load.Overloaded { // which a machine that is busy with other tests may be
		want, code = "error", exit.Failure
	}
	if silent.code != code || silent.verdict["peer-1"] != want || silent.verdict["peer-2"] != want {
		t.Errorf("silence: exit code %d, overloaded %v, %v", silent.code, silent.Load.Overloaded, silent.bad())
	}
	if absent := probeIt(t, server, "--load", "2", "nobody"); absent.code != exit.Absent {
		t.Errorf("nobody: exit code %d", absent.code)
	}
}

// TestProbeLoadVerifies: what is verified is reported, and is what the peer can show.
func TestProbeLoadVerifies(t *testing.T) {
	server := patientServer(t)
	runningHere(t, "answer", "--as", "bob", "--server", server, "--video", "test")
	var out, said bytes.Buffer
	args := []string{"parley", "probe", "--server", server, "--format", "json", "-q", "--load", "2", "--ramp", "20/s", "--duration", "100ms", "bob"}
	code := cli.Run(context.Background(), stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &said}, args)
	var report struct{ Load struct{ Verified []string } }
	if err := json.Unmarshal(out.Bytes(), &report); err != nil || code != exit.OK {
		t.Fatalf("exit code %d, %v: %s", code, err, said.String())
	}
	if got := strings.Join(report.Load.Verified, ", "); got != scenario.Needs()["video-in"] {
		t.Errorf("verified: %q", got)
	}
}

func TestReadLoadRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--load", "0", "echo"}, {"--load", "1001", "echo"}, {"--ramp", "5/s", "echo"}, {"--duration", "5s", "echo"}, {"--load", "2", "--ramp", "5", "echo"},
		{"--load", "2", "--ramp", "0/s", "echo"}, {"--load", "2", "--duration", "-1s", "echo"}, {"--load", "2", "echo", "connects"}, {"--load", "2", "--suite", "all", "echo"},
	} {
		var out, said bytes.Buffer
		if code := cli.Run(context.Background(), stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &said}, append([]string{"parley", "probe"}, args...)); code != exit.Usage {
			t.Errorf("%v: exit code %d: %s", args, code, said.String())
		}
	}
}
