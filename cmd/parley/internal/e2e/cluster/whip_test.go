package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// TestWHIPAcrossNodes publishes through the load balancer, which sends each request of the session
// to another node, to a user who records.
func TestWHIPAcrossNodes(t *testing.T) {
	d := start(t, "--whip")
	file := filepath.Join(t.TempDir(), "show.webm")
	studio := e2etest.Start(t, "answer", "--once", "--server", d.Server, "--as", "studio", "--record", file)
	studio.Says(t, "waiting for calls")
	caller := e2etest.Start(t, "call", "whip://"+strings.TrimPrefix(d.URL, "http://")+"/whip/studio", "--video", "test", "--audio", "test", "--duration", "3s")
	caller.Ends(t, 0)
	studio.Ends(t, 0)
	answered, passedOn := make(map[string]float64), make(map[string]float64) // requests, by method and by direction
	for _, n := range d.Nodes {
		if requests := metric(t, n, "whip_requests_total"); requests == 0 {
			t.Errorf("%s has received no request", n.Name)
		}
		for _, method := range []string{"POST", "PATCH", "DELETE"} {
			answered[method] += metric(t, n, `whip_requests_total{method="`+method+`",protocol="whip",status="2xx"}`)
		}
		for _, direction := range []string{"sent", "received"} {
			passedOn[direction] += metric(t, n, `signaling_cluster_requests_`+direction+`_total{result="success"}`)
		}
	}
	if passedOn["sent"] == 0 || passedOn["sent"] != passedOn["received"] {
		t.Errorf("requests passed on to another node: %v, want as many received as sent", passedOn)
	}
	if answered["POST"] != 1 || answered["PATCH"] == 0 || answered["DELETE"] != 1 {
		t.Errorf("requests with success: %v, want a POST, one or more PATCH and a DELETE", answered)
	}
	if info, err := os.Stat(file); err != nil || info.Size() < 10000 {
		t.Errorf("the recording: %v, %v", info, err)
	}
}
