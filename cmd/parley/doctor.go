package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/peer/netcheck"
)

func doctorCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "tell in words why a call would connect or not",
		ArgsUsage: "[NAME]",
		Description: `Looks at this machine's addresses, at the signaling server, at the STUN and TURN
servers that it hands out or --ice-server names, and at the NAT in between. With
NAME it calls NAME, sending nothing but receiving, and tells which candidate
pairs were tried and what became of each.

   parley doctor
   parley doctor --server wss://call.example.org bob
   parley doctor --ice-server stun:stun.example.org --ice-policy relay bob

What is found goes to stdout, a line each: ok, note (good to know) or bad. The
exit code is 0 if nothing stands in the way, 10 or 11 if the signaling server does,
12 if NAME is absent, and 40 if there is no connection, or no ICE server answers.`,
		Flags: slices.Concat(config.SignalingFlags(""), config.NetworkFlags(),
			[]cli.Flag{config.Duration("timeout", 20*time.Second, "give the call up after `D`")}, config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			s, err := readSettings(cmd, std)
			if err != nil {
				return err
			}
			defer s.report.CloseInto(&err)
			name := ""
			if cmd.Args().Present() {
				if name, err = config.Peer(cmd, ""); err != nil {
					return err
				}
			}
			if s.name == "" {
				s.name = "doctor-" + randomHex(3)
			}
			return (&doctor{settings: s}).run(ctx, name)
		},
	}
}

// doctor is one examination.
type doctor struct {
	*settings
	checked *netcheck.Report // nil before servers
}

// How a finding is.
const (
	fine = "ok"
	note = "note"
	bad  = "bad"
)

// tell tells one finding: a line on stdout.
func (d *doctor) tell(check, result, text string, more ...event.Field) {
	fields := append(event.Fields("check", check, "result", result, "text", text), more...)
	d.report.Report(event.Event{Name: "check", Fields: fields, Output: fmt.Sprintf("%-5s %-10s %s", result, check, text)})
}

// run examines everything, as far as it gets, and returns the first thing that
// stands in the way of a call.
func (d *doctor) run(ctx context.Context, name string) error {
	d.network()
	release, err := d.openShared()
	if err != nil {
		return err
	}
	defer release()
	l := &line{settings: d.settings}
	signaling := d.signaling(ctx, l)
	if signaling == nil {
		defer l.close()
	}
	if i := exit.Interruption(ctx); i != nil {
		return i
	}
	servers := d.servers(ctx, l, signaling == nil)
	if i := exit.Interruption(ctx); i != nil {
		return i
	}
	switch {
	case signaling != nil:
		return signaling
	case name != "":
		return d.try(ctx, l, name)
	}
	return servers
}

// network tells the addresses of this machine.
func (d *doctor) network() {
	interfaces, err := net.Interfaces()
	if err != nil {
		d.tell("network", bad, "the network interfaces cannot be listed: "+err.Error())
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
		d.tell("network", fine, i.Name+" has "+strings.Join(list, ", "), event.Field{Key: "interface", Value: i.Name}, event.Field{Key: "addresses", Value: list})
	}
	if outside == 0 {
		d.tell("network", bad, "this machine has no address but its own loopback: only calls on this machine connect; is the network up")
	}
}

// signaling reaches the server and signs in.
func (d *doctor) signaling(ctx context.Context, l *line) error {
	begin := time.Now()
	if err := l.signIn(ctx); err != nil {
		d.tell("signaling", bad, sanitize.Text(err.Error()), event.Field{Key: "server", Value: d.server})
		return err
	}
	c := l.client.Connection()
	how := "without encryption"
	if c.TLS != "" {
		how = "over " + c.TLS
	}
	if proxy := d.proxy(); proxy != "" {
		how += ", through the proxy " + proxy
	}
	d.tell("signaling", fine, fmt.Sprintf("%s reached %s, signed in as %s, in %d ms", sanitize.Text(d.server), how, sanitize.Text(d.settings.name), time.Since(begin).Milliseconds()),
		event.Field{Key: "server", Value: d.server}, event.Field{Key: "tls", Value: c.TLS}, event.Field{Key: "ms", Value: time.Since(begin).Milliseconds()})
	return nil
}

// proxy is the one on the way to the server, as the environment names it.
func (d *doctor) proxy() string {
	u, err := url.Parse(strings.Replace(d.server, "ws", "http", 1))
	if err != nil {
		return ""
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil || proxy == nil {
		return ""
	}
	return sanitize.Text(proxy.Host)
}

// servers tries the ICE servers, all at once.
func (d *doctor) servers(ctx context.Context, l *line, signedIn bool) error {
	all := slices.Clone(d.iceGiven)
	if signedIn {
		all = append(all, handedOut(l.client.ICEServers())...)
	}
	var list []netcheck.Server
	for _, s := range all {
		secret, _ := s.Credential.(string)
		for _, u := range s.URLs {
			list = append(list, netcheck.Server{URL: u, Username: s.Username, Password: secret})
		}
	}
	d.checked = netcheck.CheckServers(ctx, list, &netcheck.Options{TLS: d.tls})
	if ctx.Err() != nil {
		return nil
	}
	working := 0
	for _, r := range d.checked.Servers {
		d.tellServer(r)
		if r.Err == nil {
			working++
		}
	}
	d.tellNAT()
	if len(list) > 0 && working == 0 {
		return exit.Errorf(exit.Connection, "none of the STUN and TURN servers answers as it should: calls beyond this network will not connect")
	}
	return nil
}

func (d *doctor) tellServer(r netcheck.ServerResult) {
	check := "stun"
	if r.TURN {
		check = "turn"
	}
	fields := event.Fields("url", r.URL, "protocol", r.Transport)
	if r.Err != nil {
		d.tell(check, bad, sanitize.Text(r.URL)+": "+sanitize.Text(r.Err.Error()), fields...)
		return
	}
	text := fmt.Sprintf("%s sees us at %s, in %.1f ms", sanitize.Text(r.URL), r.Mapped, milliseconds(r.RTT))
	fields = append(fields, event.Field{Key: "mapped", Value: r.Mapped.String()}, event.Field{Key: "rtt", Value: milliseconds(r.RTT)})
	if r.TURN {
		text += fmt.Sprintf(", and relays for us at %s", r.Relayed)
		fields = append(fields, event.Field{Key: "relayed", Value: r.Relayed.String()})
	}
	d.tell(check, fine, text, fields...)
}

func (d *doctor) tellNAT() {
	n := d.checked.NAT()
	switch {
	case len(d.checked.Servers) == 0:
		d.tell("nat", note, "no STUN or TURN server is known, so nothing is: calls connect within this network, or with who can be reached from it; "+
			"--ice-server names one, parley serve --turn is one")
	case d.checked.UDPBlocked():
		d.tell("nat", note, "no UDP gets out of this network, TCP does: calls go through TURN over TCP, or to who takes ICE over TCP (--tcp-port)")
	case n == nil:
		d.tell("nat", bad, "no server was reached by UDP, so nothing is known of the NAT")
	default:
		d.describeNAT(n)
	}
	if len(d.checked.Servers) > 0 && !d.checked.HasRelay() {
		d.tell("relay", note, "there is no TURN server that works: where no direct path is found, there will be no call")
	}
}

// describeNAT says what a NAT means for calls (RFC 4787 has the kinds).
func (d *doctor) describeNAT(n *netcheck.NAT) {
	result, say := fine, []string{}
	known := func(b *bool) bool { return b != nil }
	fields := event.Fields("nat", n.Translated, "address", n.Mapped.Addr().String())
	switch {
	case !n.Translated:
		say = append(say, "none: others see the address that this machine has")
	case !known(n.MappingVaries):
		say = append(say, fmt.Sprintf("others see this network at %s; what kind of NAT that is a TURN server, or a second STUN server, helps to find out", n.Mapped.Addr()))
	case *n.MappingVaries:
		result = note
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
	d.tell("nat", result, strings.Join(say, "; "), fields...)
}
