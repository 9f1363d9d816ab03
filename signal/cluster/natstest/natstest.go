// Package natstest runs NATS servers for tests, in processes that can be paused and killed, and
// connections to them that can be cut.
package natstest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"parley/signal/cluster/natsserver"
)

// environment carries the options of a server to its process.
const environment = "PARLEY_TEST_NATS_SERVER"

// Main runs a NATS server and ends the process, if it was started for that. The TestMain of a
// package that uses Start calls it first.
func Main() {
	if err := shiftClock(os.Getenv(clockEnvironment)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	text := os.Getenv(environment)
	if text == "" {
		return
	}
	var o natsserver.Options
	err := json.Unmarshal([]byte(text), &o)
	var s *natsserver.Server
	if err == nil {
		s, err = natsserver.Start(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.URL())
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	_ = s.Close()
	os.Exit(0)
}

// Server is the process of a NATS server. The test ends it.
type Server struct {
	// URL is that for clients.
	URL     string
	t       testing.TB
	options natsserver.Options
	machine Machine
	command *exec.Cmd
	stdin   io.Closer
}

// Machine is how the machine of a server differs from this one.
type Machine struct {
	// Disk is the size of the disk with the data, in bytes. Default: that of this machine. The data
	// is lost when the server is killed.
	Disk int64
	// Clock is how far the clock is ahead.
	Clock time.Duration
}

// Start starts a server with these options; an empty Address and Dir are chosen.
func Start(t testing.TB, o natsserver.Options) *Server {
	t.Helper()
	return start(t, o, Machine{})
}

func start(t testing.TB, o natsserver.Options, m Machine) *Server {
	t.Helper()
	if o.Address == "" {
		o.Address = net.JoinHostPort("127.0.0.1", freePort(t))
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s := &Server{t: t, options: o, machine: m}
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

// Dir returns the folder of the server's data.
func (s *Server) Dir() string { return s.options.Dir }

// Restart starts the server again, after Kill, with the same address and data.
func (s *Server) Restart() {
	s.t.Helper()
	options, err := json.Marshal(s.options)
	if err != nil {
		s.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	c := exec.Command(self, "-test.run=^$")
	if s.machine.Disk > 0 {
		unshare := "-m"
		if os.Getuid() != 0 {
			unshare = "-Urm"
		}
		mount := `mount -t tmpfs -o size="$1" none "$2" && exec "$3" "-test.run=^$"`
		c = exec.Command("unshare", unshare, "sh", "-c", mount, "sh", strconv.FormatInt(s.machine.Disk, 10), s.options.Dir, self)
	}
	c.Env = append(os.Environ(), environment+"="+string(options), Clock(s.machine.Clock))
	c.Stderr = os.Stderr
	stdin, err := c.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	stdout, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.command, s.stdin = c, stdin
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		s.Kill()
		s.t.Fatalf("NATS server: no address: %v", err)
	}
	s.URL = line[:len(line)-1]
	u, err := url.Parse(s.URL)
	if err != nil {
		s.t.Fatal(err)
	}
	s.options.Address = u.Host
}

// Kill ends the server at once, as a power failure does. It does nothing if it has ended.
func (s *Server) Kill() {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Kill()
	_ = s.stdin.Close()
	_ = s.command.Wait()
	s.command = nil
}

// Pause stops the process, until Resume.
func (s *Server) Pause() { _ = s.command.Process.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (s *Server) Resume() { _ = s.command.Process.Signal(syscall.SIGCONT) }

// FillDisk leaves no space on the disk of a server that has one of its own.
func (s *Server) FillDisk() {
	s.t.Helper()
	path := filepath.Join("/proc", strconv.Itoa(s.command.Process.Pid), "root", s.options.Dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		s.t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	_ = f.Close()
	if !errors.Is(err, syscall.ENOSPC) {
		s.t.Fatalf("disk of %d bytes: %v, want that it is full", s.machine.Disk, err)
	}
}

// StartCluster starts count servers that work as one. Clients reach those whose URLs they are
// given.
func StartCluster(t testing.TB, count int) []*Server {
	t.Helper()
	return StartClusterOn(t, make([]Machine, count)...)
}

// StartClusterOn starts a server on each machine, which work as one.
func StartClusterOn(t testing.TB, machines ...Machine) []*Server {
	t.Helper()
	var routes []string
	for range machines {
		routes = append(routes, net.JoinHostPort("127.0.0.1", freePort(t)))
	}
	servers := make([]*Server, len(machines))
	var group sync.WaitGroup
	for i := range servers {
		o := natsserver.Options{Name: fmt.Sprint("nats", i), Cluster: "test", ClusterAddress: routes[i], Dir: t.TempDir(), NoAdvertise: true,
			Address: net.JoinHostPort("127.0.0.1", freePort(t))}
		for k, r := range routes {
			if k != i {
				o.Routes = append(o.Routes, "nats-route://"+r)
			}
		}
		group.Go(func() { servers[i] = start(t, o, machines[i]) })
	}
	group.Wait()
	return servers
}

// URLs returns the URLs of servers.
func URLs(servers []*Server) []string {
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.URL)
	}
	return urls
}

// freePort returns a port that nobody listens on now, below those that the system gives away, so
// that it stays free.
func freePort(t testing.TB) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 2000 {
		ports.next++
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+(os.Getpid()*97+ports.next)%10000))
		if err != nil {
			continue
		}
		_, port, _ := net.SplitHostPort(l.Addr().String())
		_ = l.Close()
		return port
	}
	t.Fatal("no port is free")
	return ""
}

var ports struct {
	sync.Mutex // guards next
	next       int
}

// Proxy passes connections on to a server, until they are cut.
type Proxy struct {
	// URL is that of the proxy for clients.
	URL      string
	target   string
	listener net.Listener
	wait     sync.WaitGroup

	mu    sync.Mutex // guards what follows
	cut   bool
	held  chan struct{} // closed when what is held may go on; nil unless held
	conns map[net.Conn]struct{}
}

// StartProxy starts a proxy for a server.
func StartProxy(t testing.TB, server *Server) *Proxy {
	t.Helper()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{URL: "nats://" + l.Addr().String(), target: u.Host, listener: l, conns: make(map[net.Conn]struct{})}
	p.wait.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Cut()
		p.Release()
		p.wait.Wait()
	})
	return p
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		server, err := net.DialTimeout("tcp", p.target, time.Second)
		if err != nil || !p.add(c, server) {
			_ = c.Close()
			if err == nil {
				_ = server.Close()
			}
			continue
		}
		p.wait.Go(func() { p.copy(server, c) })
		p.wait.Go(func() { p.copy(c, server) })
	}
}

func (p *Proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if !p.cut {
			p.conns[c] = struct{}{}
		}
	}
	return !p.cut
}

func (p *Proxy) copy(to, from net.Conn) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
		p.mu.Lock()
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		held := p.held
		p.mu.Unlock()
		if held != nil {
			<-held
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// Cut closes all connections, and every new one, until Mend.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		_ = c.Close()
	}
}

// Mend ends Cut.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
}

// Hold delays all data, until Release, as a network that loses packets does.
func (p *Proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held == nil {
		p.held = make(chan struct{})
	}
}

// Release ends Hold.
func (p *Proxy) Release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held != nil {
		close(p.held)
		p.held = nil
	}
}
