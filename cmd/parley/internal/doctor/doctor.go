// Package doctor finds out why calls from this machine connect or do not.
package doctor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/peer"
	"parley/peer/netcheck"
	"parley/signal"
)

// Options are the choices of Run.
type Options struct {
	Server     string             // URL of the signaling server
	As         string             // own name there
	Peer       string             // name to call, "" for no call
	Timeout    time.Duration      // of the call, 0 for none
	ICEServers []webrtc.ICEServer // used beside those that the signaling server hands out
	Endpoint   bool               // Server and Peer are the URL of WHIP or WHEP, which has no login
	Program    bool               // Server is a program, whose connections are not known
	Call       peer.Config        // of the call: its media and network settings, but no ICE servers

	// SignIn connects to the signaling server and logs in.
	SignIn func(context.Context) (Conn, error)
	// Report receives the findings, one after the other.
	Report func(Finding)
}

// Conn is a connection to the signaling server.
type Conn interface {
	TLS() string                        // version of TLS, "" without
	Node() string                       // which of several servers this is, "" if it does not say
	ICEServers() []webrtc.ICEServer     // handed out by the server
	Signaler(peer string) peer.Signaler // sends to a peer
	Receive(context.Context) (signal.Message, error)
	Deliver(*peer.Call, signal.Message) // passes a received message to the call
	Close()
}

// Finding is the result of one check.
type Finding struct {
	Check  string
	Result string // OK, Note or Bad
	Text   string // safe to print
	Fields []event.Field
}

// Results of a check.
const (
	OK   = "ok"
	Note = "note" // good to know
	Bad  = "bad"
)

// doctor is one run.
type doctor struct {
	Options
	checked *netcheck.Report // nil before checkServers
}

func (d *doctor) report(check, result, text string, more ...event.Field) {
	d.Report(Finding{check, result, text, more})
}

// Run checks everything, as far as possible, and returns the first thing that prevents a call.
func Run(ctx context.Context, o Options) error {
	d := &doctor{Options: o}
	d.checkNetwork()
	conn, err := d.checkSignaling(ctx)
	if err == nil {
		defer conn.Close()
	}
	if i := exit.Interruption(ctx); i != nil {
		return i
	}
	servers := o.ICEServers
	if err == nil {
		servers = append(servers[:len(servers):len(servers)], conn.ICEServers()...)
	}
	serversErr := d.checkServers(ctx, servers)
	if i := exit.Interruption(ctx); i != nil {
		return i
	}
	switch {
	case err != nil:
		return err
	case o.Peer != "":
		return d.checkCall(ctx, conn, servers)
	}
	return serversErr
}

// checkNetwork reports the addresses of this machine.
func (d *doctor) checkNetwork() {
	interfaces, err := net.Interfaces()
	if err != nil {
		d.report("network", Bad, "the network interfaces cannot be listed: "+err.Error())
		return
	}
	outside := 0
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil || i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 || len(addresses) == 0 {
			continue
		}
		var list []string
		for _, a := range addresses {
			list = append(list, a.String())
			if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				outside++
			}
		}
		d.report("network", OK, i.Name+" has "+strings.Join(list, ", "), event.Field{Key: "interface", Value: i.Name}, event.Field{Key: "addresses", Value: list})
	}
	if outside == 0 {
		d.report("network", Bad, "this machine has no address but its own loopback: only calls on this machine connect; is the network up")
	}
}

// checkSignaling connects to the signaling server and logs in.
func (d *doctor) checkSignaling(ctx context.Context) (Conn, error) {
	begin := time.Now()
	conn, err := d.SignIn(ctx)
	if err != nil {
		d.report("signaling", Bad, sanitize.Text(err.Error()), event.Fields("server", d.Server)...)
		return nil, err
	}
	how, fields := "without encryption", event.Fields("server", d.Server)
	switch {
	case d.Program:
		how = "by a program, transport unknown"
	case conn.TLS() != "":
		how = "over " + conn.TLS()
	}
	if !d.Program {
		fields = append(fields, event.Field{Key: "tls", Value: conn.TLS()})
	}
	if proxy := d.proxy(); proxy != "" {
		how += ", through the proxy " + proxy
	}
	if conn.Node() != "" {
		how += ", node " + sanitize.Text(conn.Node())
		fields = append(fields, event.Field{Key: "node", Value: conn.Node()})
	}
	ms := time.Since(begin).Milliseconds()
	login := ", signed in as " + sanitize.Text(d.As)
	if d.Endpoint {
		login = ""
	}
	d.report("signaling", OK, fmt.Sprintf("%s reached %s%s, in %d ms", sanitize.Text(d.Server), how, login, ms),
		append(fields, event.Field{Key: "ms", Value: ms})...)
	return conn, nil
}

// proxy returns the proxy for the signaling server that the environment names, "" for none.
func (d *doctor) proxy() string {
	u, err := url.Parse(strings.Replace(d.Server, "ws", "http", 1))
	if err != nil {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil || proxy == nil {
		return ""
	}
	return sanitize.Text(proxy.Host)
}

// checkServers checks the ICE servers, all at once.
func (d *doctor) checkServers(ctx context.Context, all []webrtc.ICEServer) error {
	var list []netcheck.Server
	for _, s := range all {
		secret, _ := s.Credential.(string)
		for _, u := range s.URLs {
			list = append(list, netcheck.Server{URL: u, Username: s.Username, Password: secret})
		}
	}
	d.checked = netcheck.CheckServers(ctx, list, &netcheck.Options{TLS: d.Call.ICE.TLS})
	if ctx.Err() != nil {
		return nil
	}
	working := 0
	for _, r := range d.checked.Servers {
		d.reportServer(r)
		if r.Err == nil {
			working++
		}
	}
	d.reportNAT()
	if len(list) > 0 && working == 0 {
		return exit.Errorf(exit.Connection, "none of the STUN and TURN servers answers as it should: calls beyond this network will not connect")
	}
	return nil
}

func (d *doctor) reportServer(r netcheck.ServerResult) {
	check := "stun"
	if r.TURN {
		check = "turn"
	}
	fields := event.Fields("url", r.URL, "protocol", r.Transport)
	if r.Err != nil {
		d.report(check, Bad, sanitize.Text(r.URL)+": "+sanitize.Text(r.Err.Error()), fields...)
		return
	}
	text := fmt.Sprintf("%s sees us at %s, in %.1f ms", sanitize.Text(r.URL), r.Mapped, milliseconds(r.RTT))
	fields = append(fields, event.Field{Key: "mapped", Value: r.Mapped.String()}, event.Field{Key: "rtt", Value: milliseconds(r.RTT)})
	if r.TURN {
		text += fmt.Sprintf(", and relays for us at %s", r.Relayed)
		fields = append(fields, event.Field{Key: "relayed", Value: r.Relayed.String()})
	}
	d.report(check, OK, text, fields...)
}

func (d *doctor) reportNAT() {
	n := d.checked.NAT()
	switch {
	case len(d.checked.Servers) == 0:
		d.report("nat", Note, "no STUN or TURN server is known, so nothing is: calls connect within this network, or with who can be reached from it; "+
			"--ice-server names one, parley serve --turn is one")
	case d.checked.UDPBlocked():
		d.report("nat", Note, "no UDP gets out of this network, TCP does: calls go through TURN over TCP, or to who takes ICE over TCP (--tcp-port)")
	case n == nil:
		d.report("nat", Bad, "no server was reached by UDP, so nothing is known of the NAT")
	default:
		d.describeNAT(n)
	}
	if len(d.checked.Servers) > 0 && !d.checked.HasRelay() {
		d.report("relay", Note, "there is no TURN server that works: where no direct path is found, there will be no call")
	}
}

// describeNAT says what a NAT means for calls (RFC 4787 has the kinds).
func (d *doctor) describeNAT(n *netcheck.NAT) {
	result, say := OK, []string{}
	known := func(b *bool) bool { return b != nil }
	fields := event.Fields("nat", n.Translated, "address", n.Mapped.Addr().String())
	switch {
	case !n.Translated:
		say = append(say, "none: others see the address that this machine has")
	case !known(n.MappingVaries):
		say = append(say, fmt.Sprintf("others see this network at %s; what kind of NAT that is a TURN server, or a second STUN server, helps to find out", n.Mapped.Addr()))
	case *n.MappingVaries:
		result = Note
		say = append(say, fmt.Sprintf("symmetric, at %s: each destination sees us at another port, which nobody can know beforehand; "+
			"direct calls connect with who can be reached from anywhere, others need a relay", n.Mapped.Addr()))
	default:
		say = append(say, fmt.Sprintf("friendly, at %s: all see us at the same port, so direct calls connect but with who is behind a symmetric one", n.Mapped.Addr()))
	}
	if known(n.MappingVaries) {
		fields = append(fields, event.Field{Key: "symmetric", Value: *n.MappingVaries})
	}
	if known(n.FiltersPorts) {
		fields = append(fields, event.Field{Key: "filters_ports", Value: *n.FiltersPorts})
		if !*n.FiltersPorts {
			say = append(say, "it lets in who we have sent to, from any port")
		} else {
			say = append(say, "it lets in nothing but answers, from the very port that we have sent to")
		}
	}
	if known(n.Hairpinning) {
		fields = append(fields, event.Field{Key: "hairpin", Value: *n.Hairpinning})
		if *n.Hairpinning {
			say = append(say, "two inside reach each other by their outside addresses")
		}
	}
	d.report("nat", result, strings.Join(say, "; "), fields...)
}
