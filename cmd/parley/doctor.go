package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"parley/signal/relay"
)

func doctorCommand(std stdio) *cli.Command {
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
		Flags: slices.Concat(signalingFlags(""), pathFlags(),
			[]cli.Flag{durationFlag("timeout", 20*time.Second, "give the call up after `D`")}, outputFlags()),
		OnUsageError: usageError,
		Action: func(ctx context.Context, cmd *cli.Command) error {
			s, err := readSettings(cmd, std)
			if err != nil {
				return err
			}
			name := ""
			if cmd.Args().Present() {
				if name, err = theName(cmd, ""); err != nil {
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
	found []relay.Finding
	seen  []netip.AddrPort // at which several servers see one socket of ours
}

// How a finding is.
const (
	fine = "ok"
	note = "note"
	bad  = "bad"
)

// tell tells one finding: a line on stdout.
func (d *doctor) tell(check, result, text string, more ...field) {
	fields := append([]field{{"check", check}, {"result", result}, {"text", text}}, more...)
	d.report.report(event{name: "check", fields: fields, data: fmt.Sprintf("%-5s %-10s %s", result, check, text)})
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
	if i := interruption(ctx); i != nil {
		return i
	}
	servers := d.servers(ctx, l, signaling == nil)
	if i := interruption(ctx); i != nil {
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
		d.tell("network", fine, i.Name+" has "+strings.Join(list, ", "), field{"interface", i.Name}, field{"addresses", list})
	}
	if outside == 0 {
		d.tell("network", bad, "this machine has no address but its own loopback: only calls on this machine connect; is the network up")
	}
}

// signaling reaches the server and signs in.
func (d *doctor) signaling(ctx context.Context, l *line) error {
	begin := time.Now()
	if err := l.signIn(ctx); err != nil {
		d.tell("signaling", bad, printable(err.Error()), field{"server", d.server})
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
	d.tell("signaling", fine, fmt.Sprintf("%s reached %s, signed in as %s, in %d ms", printable(d.server), how, printable(d.settings.name), time.Since(begin).Milliseconds()),
		field{"server", d.server}, field{"tls", c.TLS}, field{"ms", time.Since(begin).Milliseconds()})
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
	return printable(proxy.Host)
}

// servers tries the ICE servers, all at once.
func (d *doctor) servers(ctx context.Context, l *line, signedIn bool) error {
	all := slices.Clone(d.iceGiven)
	if signedIn {
		all = append(all, handedOut(l.client.ICEServers())...)
	}
	var targets []relay.Target
	for _, s := range all {
		secret, _ := s.Credential.(string)
		for _, u := range s.URLs {
			targets = append(targets, relay.Target{URL: u, Username: s.Username, Password: secret})
		}
	}
	d.found = make([]relay.Finding, len(targets))
	var work sync.WaitGroup
	for i, t := range targets {
		work.Go(func() { d.found[i] = relay.Probe(ctx, t, &relay.ProbeOptions{TLS: d.tls}) })
	}
	work.Go(func() { d.seen = relay.Compare(ctx, targets, nil) })
	work.Wait()
	if ctx.Err() != nil {
		return nil
	}
	working := 0
	for _, f := range d.found {
		d.tellServer(f)
		if f.Err == nil {
			working++
		}
	}
	d.tellNAT()
	if len(d.found) > 0 && working == 0 {
		return failf(exitConnection, "none of the STUN and TURN servers answers as it should: calls beyond this network will not connect")
	}
	return nil
}

func (d *doctor) tellServer(f relay.Finding) {
	check := "stun"
	if f.Turn {
		check = "turn"
	}
	fields := []field{{"url", f.URL}, {"protocol", f.Protocol}}
	if f.Err != nil {
		d.tell(check, bad, printable(f.URL)+": "+printable(f.Err.Error()), fields...)
		return
	}
	text := fmt.Sprintf("%s sees us at %s, in %.1f ms", printable(f.URL), f.Mapped, milliseconds(f.RTT))
	fields = append(fields, field{"mapped", f.Mapped.String()}, field{"rtt", milliseconds(f.RTT)})
	if f.Turn {
		text += fmt.Sprintf(", and relays for us at %s", f.Relayed)
		fields = append(fields, field{"relayed", f.Relayed.String()})
	}
	d.tell(check, fine, text, fields...)
}

// works tells if a finding that fits is good.
func (d *doctor) works(fits func(relay.Finding) bool) bool {
	return slices.ContainsFunc(d.found, func(f relay.Finding) bool { return f.Err == nil && fits(f) })
}

// udpBlocked tells if UDP was tried, to no effect, where TCP gets through.
func (d *doctor) udpBlocked() bool {
	tried := slices.ContainsFunc(d.found, func(f relay.Finding) bool { return f.Protocol == "udp" && f.Err != nil })
	return tried && !d.works(func(f relay.Finding) bool { return f.Protocol == "udp" }) && d.works(func(f relay.Finding) bool { return f.Protocol != "udp" })
}
