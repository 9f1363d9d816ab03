package relay

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// probeFor is a Target with good credentials.
func probeFor(url string) Target {
	user, password := Credentials{Secret: secret}.Make("alice")
	return Target{URL: url, Username: user, Password: password}
}

func TestProbe(t *testing.T) {
	r := start(t, Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for _, url := range []string{"stun:" + r.udp, "turn:" + r.udp, "turn:" + r.tcp + "?transport=tcp"} {
		f := Probe(context.Background(), probeFor(url), nil)
		if f.Err != nil {
			t.Errorf("%s: %v", url, f.Err)
			continue
		}
		if f.Mapped != f.Local || !f.Mapped.IsValid() || f.RTT <= 0 {
			t.Errorf("%s: seen at %v, being at %v, in %v", url, f.Mapped, f.Local, f.RTT)
		}
		if f.Turn != strings.HasPrefix(url, "turn") || f.Relayed.IsValid() != f.Turn {
			t.Errorf("%s: relay %v", url, f.Relayed)
		}
	}
	n := Probe(context.Background(), probeFor("turn:"+r.udp), nil).NAT
	if n == nil || !n.None || n.PerPort == nil || *n.PerPort || n.OpenPorts == nil || !*n.OpenPorts {
		t.Errorf("without a NAT: %+v", n)
	}
}

func TestProbeSaysWhyNot(t *testing.T) {
	r := start(t, Options{})
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	wrong := probeFor("turn:" + r.udp)
	wrong.Password = "guessed"
	for _, c := range []struct {
		target Target
		want   string
	}{
		{wrong, "it refuses our user and secret"},
		{probeFor("stun:" + silent.LocalAddr().String()), "no answer; it is down, or a firewall drops UDP to it"},
		{probeFor("turn:" + closed.Addr().String() + "?transport=tcp"), "it refuses the connection"},
		{probeFor("turns:" + r.tcp + "?transport=tcp"), "it hangs up"},
		{probeFor("turn:nobody.invalid"), "there is no such host"},
		{probeFor("http://example.org"), "cannot be read"},
	} {
		f := Probe(context.Background(), c.target, &ProbeOptions{Timeout: 2 * time.Second})
		if f.Err == nil || !strings.Contains(f.Err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.target.URL, f.Err, c.want)
		}
	}
}

func TestProbeEndsWithItsContext(t *testing.T) {
	silent, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan Finding)
	go func() {
		done <- Probe(ctx, probeFor("stun:"+silent.LocalAddr().String()), &ProbeOptions{Timeout: time.Hour})
	}()
	if _, _, err := silent.ReadFrom(make([]byte, 1500)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if f := <-done; f.Err == nil {
		t.Errorf("found %+v", f)
	}
}
