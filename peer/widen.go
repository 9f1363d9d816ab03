package peer

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
)

// wideAttribute says in a description which protocol the channels have that this
// side widens. Who does not know it ignores it (RFC 8866 §5.13).
const wideAttribute = "x-parley-wide"

// A wide association takes milliseconds. The opener gives it up after
// widePatience; the other side, which the opener has told that it works, later.
const (
	widePatience     = 10 * time.Second
	widePatienceLast = 20 * time.Second
)

// A wideMessage is a text message by which the ends of a channel agree, before
// anything else goes by it. The opener says where it waits, the other side
// answers with the same or with nothing, and the opener says whether it works.
type wideMessage struct {
	Port   uint16           `json:"port,omitempty"`   // UDP, on 127.0.0.1
	SHA256 string           `json:"sha256,omitempty"` // of the certificate shown there
	Hosts  []netip.AddrPort `json:"hosts,omitempty"`  // our sockets of the call
	On     bool             `json:"on,omitempty"`     // the channel goes on there
}

// maxWideMessage is the size of one at most, in bytes.
const maxWideMessage = 8 << 10

// Widen moves a channel to an SCTP association of its own with packets of 8 KiB,
// if the other end is a process of this machine: packets that never leave it may
// be as long, and what a packet costs is the limit there. Pion takes 1,191 bytes
// for all that a call does. Elsewhere, with others than parleys, where UDP ports
// are given, and through a relay, it does nothing.
//
// Both ends call it if the protocol of the channel is Config.Wide, before they send or receive anything else by the channel,
// which they have taken; it waits for the other, no longer than ctx. The
// error is ErrCutOff, or another one of the channel or of ctx: a path that does not work leaves the channel as it was.
func (c *Channel) Widen(ctx context.Context) error {
	if p := c.Protocol(); p == "" || p != c.conn.wideOurs || p != c.conn.wideTheirs.Load() || !c.reliable() {
		return nil
	}
	if c.byPeer {
		return c.widenAsAsked(ctx)
	}
	return c.askToWiden(ctx)
}

// wide is what this side announces: nothing where another socket is not wanted.
func (c *Config) wide() string {
	if c.Net != nil || c.Impairment != nil || c.Mux != nil || c.RelayOnly || c.MinPort != 0 || c.MaxPort != 0 {
		return ""
	}
	return c.Wide
}

// widening announces in a description of ours which protocol is widened.
func widening(text, protocol string) string {
	before, after, found := strings.Cut(text, "\r\nm=")
	if !found || protocol == "" {
		return text
	}
	return before + "\r\na=" + wideAttribute + ":" + protocol + "\r\nm=" + after
}

func (c *Channel) reliable() bool {
	return c.dc.Ordered() && c.dc.MaxRetransmits() == nil && c.dc.MaxPacketLifeTime() == nil && !c.dc.Negotiated()
}

// askToWiden is Widen at the opener.
func (c *Channel) askToWiden(ctx context.Context) error {
	way, ours := c.newWide()
	defer func() { way.closeUnless(c.switched(way)) }()
	if err := c.sayWide(ctx, ours); err != nil {
		return err
	}
	theirs, err := c.hearWide(ctx)
	if err != nil || theirs.Port == 0 {
		return err
	}
	if way == nil || !way.sees(theirs) {
		return c.sayWide(ctx, wideMessage{})
	}
	connecting, stop := context.WithTimeout(ctx, widePatience)
	defer stop()
	if err := way.connect(connecting, theirs, true); err != nil {
		c.conn.logs.log.Debug("no wide association", "error", err)
		return c.sayWide(ctx, wideMessage{})
	}
	if err := c.sayWide(ctx, wideMessage{On: true}); err != nil {
		return err
	}
	return c.switchTo(way)
}

// widenAsAsked is Widen at the other side.
func (c *Channel) widenAsAsked(ctx context.Context) error {
	theirs, err := c.hearWide(ctx)
	if err != nil {
		return err
	}
	var way *wide
	var ours wideMessage
	if theirs.Port != 0 {
		way, ours = c.newWide()
	}
	defer func() { way.closeUnless(c.switched(way)) }()
	if way != nil && !way.sees(theirs) {
		ours = wideMessage{}
	}
	if err := c.sayWide(ctx, ours); err != nil || ours.Port == 0 {
		return err
	}
	connecting, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- way.connect(connecting, theirs, false) }()
	verdict, err := c.hearWide(ctx)
	if err != nil || !verdict.On {
		stop()
		<-done
		return err
	}
	patience := time.AfterFunc(widePatienceLast, stop)
	defer patience.Stop()
	if err := <-done; err != nil {
		return fmt.Errorf("the wide association failed after the other side took it for good: %w", err)
	}
	return c.switchTo(way)
}

func (c *Channel) sayWide(ctx context.Context, m wideMessage) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	c.agreeing.Add(uint64(len(data)))
	return c.Write(ctx, data, true)
}

func (c *Channel) hearWide(ctx context.Context) (m wideMessage, err error) {
	data, text, err := c.Receive(ctx)
	if err == io.EOF {
		err = ErrCutOff
	}
	if err != nil {
		return m, err
	}
	if !text || len(data) > maxWideMessage || json.Unmarshal(data, &m) != nil {
		return m, errors.New("the other side began with what is no message of Widen, which its description announced")
	}
	return m, nil
}

// newWide opens a socket, if our end of the candidate pair in use and the other
// are of this machine; else it is nil. The caller closes it.
func (c *Channel) newWide() (*wide, wideMessage) {
	pair, err := c.conn.pc.SCTP().Transport().ICETransport().GetSelectedCandidatePair()
	if err != nil || pair == nil {
		return nil, wideMessage{}
	}
	remote := udpAddress(pair.Remote)
	if !ofThisMachine(udpAddress(pair.Local).Addr()) || !ofThisMachine(remote.Addr()) {
		return nil, wideMessage{}
	}
	way, err := newWide(c.conn, remote)
	if err != nil {
		c.conn.logs.log.Debug("no wide association", "error", err)
		return nil, wideMessage{}
	}
	return way, wideMessage{Port: way.port(), SHA256: hex.EncodeToString(way.fingerprint[:]), Hosts: c.conn.ownSockets()}
}

// sees tells if an end's own socket is what we see of it: nothing is between
// that a socket of our own would go around, such as a forwarder.
func (w *wide) sees(m wideMessage) bool { return slices.Contains(m.Hosts, w.remote) }

// hostsWanted asks the goroutine of Run for the hostSockets of a connection.
type hostsWanted struct {
	of    *connection
	hosts chan []netip.AddrPort // has room for one
}

// ownSockets waits for the hostSockets, no longer than the call takes.
func (c *connection) ownSockets() []netip.AddrPort {
	w := hostsWanted{c, make(chan []netip.AddrPort, 1)}
	c.box.post(w)
	select {
	case hosts := <-w.hosts:
		return hosts
	case <-c.box.done:
		return nil
	}
}

// hostSockets are the UDP sockets of the call on addresses of this machine. As
// with pairs, it is for the goroutine of Run alone.
func (c *connection) hostSockets() (all []netip.AddrPort) {
	const most = 64
	for _, s := range c.pionsReport() {
		local, is := s.(webrtc.ICECandidateStats)
		if !is || local.Type != webrtc.StatsTypeLocalCandidate || local.CandidateType != webrtc.ICECandidateTypeHost || local.Protocol != "udp" {
			continue
		}
		if ip, err := netip.ParseAddr(local.IP); err == nil && len(all) < most {
			all = append(all, netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(local.Port)))
		}
	}
	return all
}

// udpAddress is that of a candidate, without a zone, if it is that of a process
// itself; else the zero value.
func udpAddress(c *webrtc.ICECandidate) netip.AddrPort {
	if c == nil || c.Protocol != webrtc.ICEProtocolUDP || c.Typ != webrtc.ICECandidateTypeHost && c.Typ != webrtc.ICECandidateTypePrflx {
		return netip.AddrPort{}
	}
	ip, err := netip.ParseAddr(c.Address)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip.Unmap().WithZone(""), c.Port)
}

// ofThisMachine tells if packets to an address stay here.
func ofThisMachine(ip netip.Addr) bool {
	if !ip.IsValid() {
		return false
	}
	if ip.IsLoopback() {
		return true
	}
	ours, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range ours {
		if n, ok := a.(*net.IPNet); ok {
			if own, ok := netip.AddrFromSlice(n.IP); ok && own.Unmap() == ip {
				return true
			}
		}
	}
	return false
}
