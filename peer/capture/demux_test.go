package capture

import (
	"bytes"
	"io"
	"net/netip"
	"testing"

	"github.com/pion/stun/v4"
)

// TestUfragsOfNoCheck: what is no connectivity check contains no username fragment.
func TestUfragsOfNoCheck(t *testing.T) {
	for _, data := range [][]byte{nil, {0}, make([]byte, 20), append([]byte{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 40)...)} {
		if all := ufragsIn(data); len(all) > 0 && all[0] != "" {
			t.Errorf("%x: got username fragments %q, want none", data, all)
		}
	}
}

// bindingRequest is a connectivity check.
func bindingRequest(t *testing.T, username string) []byte {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(username))
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// TestDemux: packets go to the capture of the call whose check came from the same address.
func TestDemux(t *testing.T) {
	for name, c := range map[string]struct {
		ufrag, username string
		stream          bool
		wrap            func([]byte) []byte
		want            int
	}{
		"datagram":              {"ours", "ours:theirs", false, bytes.Clone, 2},
		"sent":                  {"ours", "theirs:ours", false, bytes.Clone, 2},
		"of another call":       {"ours", "others:theirs", false, bytes.Clone, 0},
		"segment":               {"ours", "ours:theirs", true, framed, 2},
		"segment after length":  {"ours", "ours:theirs", true, bytes.Clone, 2},
		"no ufrag is known":     {"", ":theirs", false, bytes.Clone, 0},
		"no ufrag in the check": {"", "", false, bytes.Clone, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			p, d := NewPcapng(&file), NewDemux()
			d.Add(c.ufrag, p)
			write := d.Datagram
			if c.stream {
				write = d.Segment
			}
			write(false, localAddr, remoteAddr, c.wrap(bindingRequest(t, c.username)))
			write(false, localAddr, remoteAddr, []byte("media"))
			write(false, localAddr, netip.MustParseAddrPort("203.0.113.9:9"), []byte("media"))
			d.Remove(p)
			write(false, localAddr, remoteAddr, c.wrap(bindingRequest(t, c.username)))
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			if got := len(packetsOf(t, file.Bytes())); got != c.want {
				t.Errorf("got %d packets, want %d", got, c.want)
			}
		})
	}
}

// TestDemuxRemotesAreBounded: a peer that checks from ever new addresses does not fill the memory.
func TestDemuxRemotesAreBounded(t *testing.T) {
	d := NewDemux()
	d.Add("ours", NewPcapng(io.Discard))
	check := bindingRequest(t, "ours:theirs")
	for i := range 20_000 {
		d.Datagram(false, localAddr, netip.AddrPortFrom(remoteAddr.Addr(), uint16(i)), check)
	}
	if len(d.remotes) > maxRemotes {
		t.Errorf("got %d remote addresses, want at most %d", len(d.remotes), maxRemotes)
	}
}
