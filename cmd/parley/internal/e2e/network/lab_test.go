//go:build linux

package network

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// lab is a network of its own: hosts and routers are network namespaces, the
// cables between them veth pairs, the NATs and the faults nftables. Nothing of
// it is simulated by parley, and nothing of it is seen outside. The Internet is
// one bridge with 203.0.113.0/24 and 2001:db8::/64 (RFC 5737, RFC 3849), where
// wan, the host with the servers, has the first address of each.
type lab struct {
	t      *testing.T
	wan    *host
	cables int
}

// host is one network namespace, which lives as long as its holder.
type host struct {
	t      *testing.T
	name   string
	pid    int
	user   bool // it is in a user namespace: made without being root
	router *host
}

const (
	labServer = "ws://203.0.113.1:9090"
	labRelay  = "203.0.113.1:3478"
)

// namespaces returns how this machine makes network namespaces: without any
// right where the kernel allows it, else as root.
var namespaces = sync.OnceValues(func() (user bool, err error) {
	for _, tool := range []string{"ip", "nft", "unshare", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return false, fmt.Errorf("the network lab needs %s: install iproute2, nftables and util-linux (make deps does)", tool)
		}
	}
	why, err := exec.Command("unshare", "-Urn", "true").CombinedOutput()
	if err == nil {
		return true, nil
	}
	if err := exec.Command("unshare", "-n", "true").Run(); err == nil {
		return false, nil
	}
	return false, fmt.Errorf("this machine gives no network namespace (%s): run the tests as root, "+
		"or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1)", strings.TrimSpace(string(why)))
})

// newNetwork makes a lab with nothing in it but wan.
func newNetwork(t *testing.T) *lab {
	t.Helper()
	user, err := namespaces()
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t}
	l.wan = l.hold("wan", &host{t: t, user: user})
	// A bridge takes the lowest address of its ports, if it is given none: with another host it
	// might get a new one, and those that know the old one do not reach wan for ten seconds.
	l.wan.sh(`ip link set lo up
		ip link add net address 02:00:5e:00:53:01 type bridge
		ip addr add 203.0.113.1/24 dev net
		ip addr add 2001:db8::1/64 dev net nodad
		ip link set net up`)
	return l
}

// hold makes a namespace beside that of parent, and keeps it until the test ends.
func (l *lab) hold(name string, parent *host) *host {
	l.t.Helper()
	unshare := []string{"unshare", "-n"}
	if parent.pid == 0 && parent.user {
		unshare = []string{"unshare", "-Urn"}
	}
	cmd := parent.command(append(unshare, "sh", "-c", "echo ready; exec cat")...)
	in, err := cmd.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = in.Close() // cat ends, and its namespace with it
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		l.t.Fatalf("no namespace for %s: %q, %v", name, line, err)
	}
	return &host{t: l.t, name: name, pid: cmd.Process.Pid, user: parent.user}
}

// command is a command that runs on h.
func (h *host) command(args ...string) *exec.Cmd {
	if h.pid == 0 {
		return exec.Command(args[0], args[1:]...)
	}
	enter := []string{"-t", strconv.Itoa(h.pid), "-n"}
	if h.user {
		enter = append(enter, "-U", "--preserve-credentials")
	}
	return exec.Command("nsenter", append(append(enter, "--"), args...)...)
}

// sh runs a script on h.
func (h *host) sh(script string) {
	h.t.Helper()
	cmd := h.command("sh", "-e")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %v\n%s\n%s", h.name, err, script, out)
	}
}

// nft loads rules on h.
func (h *host) nft(rules string) {
	h.t.Helper()
	cmd := h.command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %v\n%s\n%s", h.name, err, rules, out)
	}
}

// parley runs the program under test on h.
func (h *host) parley(t *testing.T, args ...string) *e2etest.Process {
	t.Helper()
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	return e2etest.Launch(t, h.command(append([]string{path}, args...)...), append([]string{"on " + h.name}, args...))
}

// cable connects a new interface of h to a new one of other.
func (l *lab) cable(h *host, itf string, other *host) (far string) {
	l.t.Helper()
	l.cables++
	far = fmt.Sprintf("cable%d", l.cables)
	h.sh(fmt.Sprintf("ip link set lo up\nip link add %s type veth peer name %s netns %d\nip link set %s up", itf, far, other.pid, itf))
	other.sh(fmt.Sprintf("ip link set %s up", far))
	return far
}

// public adds a host to the Internet, with addresses such as 203.0.113.5/24.
func (l *lab) public(name string, addresses ...string) *host {
	l.t.Helper()
	h := l.hold(name, l.wan)
	far := l.cable(h, "eth", l.wan)
	l.wan.sh("ip link set " + far + " master net")
	for _, a := range addresses {
		h.address("add", a)
	}
	return h
}

// address adds or removes (add, del) an address of the interface of h.
func (h *host) address(verb, address string) {
	h.t.Helper()
	option := ""
	if strings.Contains(address, ":") && verb == "add" {
		option = " nodad"
	}
	h.sh("ip addr " + verb + " " + address + " dev eth" + option)
}

// serve runs the signaling server with STUN and TURN on wan.
func (l *lab) serve(args ...string) *e2etest.Process {
	l.t.Helper()
	return l.signaling(append([]string{"--turn", labRelay, "--turn-open", "--turn-allowed-peer-ip", "203.0.113.0/24"}, args...)...)
}

// signaling runs the signaling server on wan.
func (l *lab) signaling(args ...string) *e2etest.Process {
	l.t.Helper()
	p := l.wan.parley(l.t, append([]string{"serve", "--listen", strings.TrimPrefix(labServer, "ws://")}, args...)...)
	p.Says(l.t, "signaling on")
	return p
}
