// Package deployment runs a cluster of signaling servers on this machine, with NATS servers and a
// load balancer, each in a process of its own.
package deployment

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// Options configure a Deployment.
type Options struct {
	// Dir keeps logs and the data of the NATS servers.
	Dir string
	// Parley and NATSServer are the paths of the binaries; see BuildNATSServer. NATSServer is not
	// used without NATS.
	Parley, NATSServer string
	// Nodes is the number of signaling servers. At least one is needed for a balancer.
	Nodes int
	// NATS is the number of NATS servers: 0 for one signaling server without, or 1, or 3 or more.
	NATS int
	// Embedded starts a NATS server in the process of the only signaling server, if NATS is 0.
	Embedded bool
	// Balancer starts haproxy in front of the nodes.
	Balancer bool
	// Listen is HOST:PORT of the balancer. Default: a free port of 127.0.0.1.
	Listen string
	// Args are further arguments of each parley serve.
	Args []string
}

// Deployment is a running cluster.
type Deployment struct {
	// URL is that of the balancer, http://HOST:PORT, or of the first node without one, and Server
	// that of its signaling.
	URL, Server string
	// Nodes are the signaling servers.
	Nodes []*Node
	// NATS are the NATS servers.
	NATS []*NATSServer
	// Balancer is nil without one.
	Balancer *Process
}

// Node is a signaling server.
type Node struct {
	*Process
	// URL is that of the pages, http://HOST:PORT, Server that of signaling, and Admin that of
	// /readyz and /metrics.
	URL, Server, Admin string
}

// NATSServer is a NATS server.
type NATSServer struct {
	*Process
	// URL is that for clients, and Monitor that of /varz and /jsz.
	URL, Monitor string
}

// startTimeout bounds the start of a process.
const startTimeout = 40 * time.Second

// BuildNATSServer builds the NATS server in dir and returns the path of the binary.
func BuildNATSServer(dir string) (path string, err error) {
	path = filepath.Join(dir, "nats-server")
	cmd := exec.Command("go", "build", "-o", path, "github.com/nats-io/nats-server/v2")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build of nats-server: %w\n%s", err, out)
	}
	return path, nil
}

// Start starts all processes and waits until the nodes are ready. The caller ends them with Close.
func Start(ctx context.Context, o Options) (*Deployment, error) {
	d := &Deployment{}
	err := d.startNATS(ctx, o)
	if err == nil {
		err = d.startNodes(ctx, o)
	}
	if err == nil && o.Balancer {
		err = d.startBalancer(ctx, o)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	d.Server = signalingURL(d.URL)
	return d, nil
}

// Close ends all processes at once.
func (d *Deployment) Close() {
	for _, p := range d.Processes() {
		p.Kill()
	}
}

// Processes returns all processes, the balancer first and the NATS servers last.
func (d *Deployment) Processes() (all []*Process) {
	if d.Balancer != nil {
		all = append(all, d.Balancer)
	}
	for _, n := range d.Nodes {
		all = append(all, n.Process)
	}
	for _, n := range d.NATS {
		all = append(all, n.Process)
	}
	return all
}

func (d *Deployment) startNATS(ctx context.Context, o Options) error {
	clients, err := freePorts(3 * o.NATS)
	if err != nil {
		return err
	}
	routes, monitors := clients[o.NATS:2*o.NATS], clients[2*o.NATS:]
	var others []string
	for _, r := range routes {
		others = append(others, "nats-route://"+r)
	}
	for i := range o.NATS {
		name := fmt.Sprint("nats", i+1)
		args := []string{"--name", name, "--addr", host(clients[i]), "--port", port(clients[i]), "--http_port", port(monitors[i]),
			"--jetstream", "--store_dir", filepath.Join(o.Dir, name)}
		if o.NATS > 1 {
			args = append(args, "--cluster_name", "parley", "--cluster", "nats-route://"+routes[i], "--routes", strings.Join(others, ","))
		}
		s := &NATSServer{NewProcess(name, filepath.Join(o.Dir, name+".log"), o.NATSServer, args...), "nats://" + clients[i], "http://" + monitors[i]}
		d.NATS = append(d.NATS, s)
		if err := s.Start(); err != nil {
			return err
		}
	}
	for _, s := range d.NATS {
		if err := s.await(ctx, s.Monitor+"/healthz", func(status int, _ string) bool { return status == http.StatusOK }); err != nil {
			return err
		}
	}
	return nil
}

func (d *Deployment) startNodes(ctx context.Context, o Options) error {
	ports, err := freePorts(2*o.Nodes + 1)
	if err != nil {
		return err
	}
	var urls []string
	if o.Embedded {
		urls = append(urls, "embedded:"+ports[2*o.Nodes])
	}
	for _, s := range d.NATS {
		urls = append(urls, s.URL)
	}
	for i := range o.Nodes {
		listen, admin := ports[i], ports[o.Nodes+i]
		args := []string{"serve", "--listen", listen, "--admin", admin, "--trusted-proxy", "127.0.0.1", "--client-ip-header", "X-Forwarded-For"}
		if len(urls) > 0 {
			args = append(args, "--nats", strings.Join(urls, ","))
		}
		name := fmt.Sprint("node", i+1)
		n := &Node{NewProcess(name, filepath.Join(o.Dir, name+".log"), o.Parley, append(args, o.Args...)...), "http://" + listen, "ws://" + listen, "http://" + admin}
		d.Nodes = append(d.Nodes, n)
		if err := n.Start(); err != nil {
			return err
		}
	}
	for _, n := range d.Nodes {
		if err := n.Ready(ctx); err != nil {
			return err
		}
	}
	if len(d.Nodes) > 0 {
		d.URL = d.Nodes[0].URL
	}
	return nil
}

func signalingURL(page string) string { return "ws" + strings.TrimPrefix(page, "http") }

// Ready waits until the node takes logins.
func (n *Node) Ready(ctx context.Context) error {
	return n.await(ctx, n.Admin+"/readyz", func(status int, text string) bool { return status == http.StatusOK && strings.HasPrefix(text, "ready") })
}

// Metric returns the sum of the values of a metric, or the value of one with labels in braces.
func (n *Node) Metric(ctx context.Context, name string) (sum float64, err error) {
	_, text, err := get(ctx, n.Admin+"/metrics")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		label, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if l, _, _ := strings.Cut(label, "{"); l == name || label == name {
			var v float64
			if _, err := fmt.Sscan(value, &v); err != nil {
				return 0, fmt.Errorf("metric %s of %s: %w", name, n.Name, err)
			}
			sum += v
		}
	}
	return sum, nil
}

// CollectGarbage makes the node collect its garbage.
func (n *Node) CollectGarbage(ctx context.Context) error {
	status, _, err := get(ctx, n.Admin+"/debug/pprof/heap?gc=1")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("garbage collection of %s: status %d", n.Name, status)
	}
	return err
}

// Value reads the JSON document at a path of the monitor, such as /varz.
func (s *NATSServer) Value(ctx context.Context, path string, into any) error {
	status, text, err := get(ctx, s.Monitor+path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s%s: status %d", s.Monitor, path, status)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(text), into)
}

// configuration is the configuration of haproxy.
//
//go:embed haproxy.cfg
var configuration string

func (d *Deployment) startBalancer(ctx context.Context, o Options) error {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			return fmt.Errorf("haproxy: %w; install it: apt-get install haproxy", err)
		}
	}
	listen := o.Listen
	if listen == "" {
		ports, err := freePorts(1)
		if err != nil {
			return err
		}
		listen = ports[0]
	}
	type server struct{ Name, Address, AdminPort string }
	data := struct {
		Listen string
		Nodes  []server
	}{Listen: listen}
	for _, n := range d.Nodes {
		data.Nodes = append(data.Nodes, server{n.Name, strings.TrimPrefix(n.URL, "http://"), port(strings.TrimPrefix(n.Admin, "http://"))})
	}
	t, err := template.New("haproxy.cfg").Parse(configuration)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, data); err != nil {
		return err
	}
	config := filepath.Join(o.Dir, "haproxy.cfg")
	if err := os.WriteFile(config, text.Bytes(), 0o600); err != nil {
		return err
	}
	d.Balancer, d.URL = NewProcess("haproxy", filepath.Join(o.Dir, "haproxy.log"), path, "-db", "-f", config), "http://"+listen
	if err := d.Balancer.Start(); err != nil {
		return err
	}
	return d.Balancer.await(ctx, d.URL+"/", func(status int, _ string) bool { return status == http.StatusOK })
}

// await waits until a URL answers as wanted. Other processes have no event to wait for.
func (p *Process) await(ctx context.Context, url string, good func(status int, text string) bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		status, text, err := get(ctx, url)
		switch {
		case err == nil && good(status, text):
			return nil
		case !p.Running():
			return fmt.Errorf("%s has ended:\n%s", p.Name, p.LastOutput())
		case ctx.Err() != nil:
			return fmt.Errorf("%s is not ready within %s: %s: status %d %s, %w\n%s", p.Name, startTimeout, url, status, text, err, p.LastOutput())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// get returns the response to a GET request, of at most 4 MiB.
func get(ctx context.Context, url string) (status int, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return resp.StatusCode, string(body), err
}

// freePorts returns addresses of the loopback interface that nobody listens on, below the ports
// that the system gives away, so that they stay free while a process is started again.
func freePorts(count int) (addresses []string, err error) {
	const first, last = 10000, 30000
	start := os.Getpid() * 131 % (last - first)
	var listeners []net.Listener
	defer func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	for i := 0; len(addresses) < count; i++ {
		if i == last-first {
			return nil, errors.New("no port is free")
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+(start+i)%(last-first)))
		if err != nil {
			continue
		}
		listeners = append(listeners, l)
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

func host(address string) string { h, _, _ := net.SplitHostPort(address); return h }
func port(address string) string { _, p, _ := net.SplitHostPort(address); return p }
