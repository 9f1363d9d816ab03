// Package cluster calls across the nodes of a cluster, behind a load balancer.
package cluster

import (
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/signaltest/deployment"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }

// start runs three nodes and three NATS servers behind haproxy until the test ends.
func start(t *testing.T, args ...string) *deployment.Deployment {
	t.Helper()
	parley, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	natsServer, err := deployment.BuildNATSServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := deployment.Options{Dir: t.TempDir(), Parley: parley, NATSServer: natsServer, Nodes: 3, NATS: 3, Balancer: true, Args: args}
	d, err := deployment.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		if t.Failed() {
			for _, p := range d.Processes()[:4] { // of NATS there is too much
				t.Logf("%s:\n%s", p.Name, p.LastOutput())
			}
		}
	})
	return d
}

// metric returns a metric of a node.
func metric(t *testing.T, n *deployment.Node, name string) float64 {
	t.Helper()
	value, err := n.Metric(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
