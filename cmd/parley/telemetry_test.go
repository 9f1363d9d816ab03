//go:build !quick

package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
)

// TestTraceOfACall checks the spans of a real call at the caller and at the peer that answers.
func TestTraceOfACall(t *testing.T) {
	requests := make(chan []byte, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- body
	}))
	defer receiver.Close()
	server := patientServer(t)
	runningHere(t, "echo", "--server", server, "--otlp", receiver.URL)
	var out, said bytes.Buffer
	code := cli.Run(context.Background(), stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &said}, []string{"parley", "call", "--server", server, "--otlp", receiver.URL,
		"--video", "test", "--say", "hello", "--expect", "text=hello", "--expect", "video.frames>=1", "--linger", "0", "echo"})
	if code != exit.OK {
		t.Fatalf("exit code %d: %s", code, said.String())
	}
	want := map[string][]string{ // by direction
		"out": {"data.first_message", "dtls.handshake", "ice.checks", "ice.gathering", "media.first_frame", "signaling.answer", "signaling.login", "signaling.offer"},
		"in":  {"data.first_message", "dtls.handshake", "ice.checks", "ice.gathering", "media.first_frame", "signaling.answer", "signaling.offer"},
	}
	names, direction := map[string][]string{}, map[string]string{} // by trace
	for len(want) > 0 {
		request := &collector.ExportTraceServiceRequest{}
		if err := proto.Unmarshal(<-requests, request); err != nil {
			t.Fatal(err)
		}
		for _, s := range request.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans() {
			id := string(s.GetTraceId())
			if s.GetName() != "call" {
				names[id] = append(names[id], s.GetName())
				continue
			}
			for _, a := range s.GetAttributes() {
				if a.GetKey() == "parley.call.direction" {
					direction[id] = a.GetValue().GetStringValue()
				}
			}
		}
		for id, d := range direction {
			if slices.Sort(names[id]); len(names[id]) >= len(want[d]) {
				if !slices.Equal(names[id], want[d]) {
					t.Errorf("%s: got spans %q, want %q", d, names[id], want[d])
				}
				delete(want, d)
				delete(direction, id)
			}
		}
	}
}
