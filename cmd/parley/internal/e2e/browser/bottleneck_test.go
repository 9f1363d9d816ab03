package browser

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/turnserver"
	"parley/signal/turnserver/coturntest"
	"parley/signal/web/webtest"
)

// bottleneck is a bad stretch of network before a TURN server: what goes to the server waits for
// its turn at a rate, in a queue that holds 300 ms, and some of it is lost. What comes back is not
// touched.
type bottleneck struct {
	t      *testing.T
	in     *net.UDPConn
	server *net.UDPAddr
	work   sync.WaitGroup

	mu      sync.Mutex // guards what follows
	rate    int        // bit/s, 0 for any
	loss    float64
	random  *rand.Rand
	free    time.Time // when the line is free again
	ways    map[netip.AddrPort]*net.UDPConn
	offered int // bytes that came since the last look
	looked  time.Time
}

const queueTime = 300 * time.Millisecond

func newBottleneck(t *testing.T, server string) *bottleneck {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp4", server)
	if err != nil {
		t.Fatal(err)
	}
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: to.IP})
	if err != nil {
		t.Fatal(err)
	}
	b := &bottleneck{t: t, in: in, server: to, random: rand.New(rand.NewPCG(1, 2)), ways: map[netip.AddrPort]*net.UDPConn{}}
	b.work.Go(b.forward)
	t.Cleanup(func() {
		_ = in.Close()
		b.mu.Lock()
		for _, w := range b.ways {
			_ = w.Close()
		}
		b.mu.Unlock()
		b.work.Wait()
	})
	return b
}

func (b *bottleneck) address() string { return b.in.LocalAddr().String() }

// become changes what the line is like.
func (b *bottleneck) become(rate int, loss float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate, b.loss, b.offered, b.looked = rate, loss, 0, time.Now()
}

// waiting is a packet that waits for its turn.
type waiting struct {
	packet []byte
	way    *net.UDPConn
	due    time.Time
}

// forward is the way to the server.
func (b *bottleneck) forward() {
	queue := make(chan waiting, 1000)
	defer close(queue)
	b.work.Go(func() {
		for p := range queue { // one by one: a line does not change the order
			time.Sleep(time.Until(p.due))
			_, _ = p.way.Write(p.packet)
		}
	})
	buf := make([]byte, 2000)
	for {
		n, from, err := b.in.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		way, wait, lost := b.admit(n, from)
		if way == nil || lost {
			continue
		}
		queue <- waiting{append([]byte(nil), buf[:n]...), way, time.Now().Add(wait)}
	}
}

// admit decides what happens to a packet.
func (b *bottleneck) admit(n int, from netip.AddrPort) (way *net.UDPConn, wait time.Duration, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.offered += n
	if way = b.ways[from]; way == nil {
		var err error
		if way, err = net.DialUDP("udp4", nil, b.server); err != nil {
			return nil, 0, true
		}
		b.ways[from] = way
		b.work.Go(func() { b.back(way, from) })
	}
	now := time.Now()
	if b.loss > 0 && b.random.Float64() < b.loss {
		return way, 0, true
	}
	if b.rate == 0 {
		return way, 0, false
	}
	if b.free.Before(now) {
		b.free = now
	}
	if wait = b.free.Sub(now); wait > queueTime {
		return way, 0, true
	}
	b.free = b.free.Add(time.Duration(n*8) * time.Second / time.Duration(b.rate))
	return way, wait, false
}

// back is the way from the server.
func (b *bottleneck) back(way *net.UDPConn, to netip.AddrPort) {
	buf := make([]byte, 2000)
	for {
		n, err := way.Read(buf)
		if err != nil {
			return
		}
		_, _ = b.in.WriteToUDPAddrPort(buf[:n], to)
	}
}

// offers is what came for the server, in bit/s, since the last look.
func (b *bottleneck) offers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	rate := int(float64(b.offered*8) / time.Since(b.looked).Seconds())
	b.offered, b.looked = 0, time.Now()
	return rate
}

// until looks every second until what comes is right, and returns how long that took.
func (b *bottleneck) until(what string, right func(rate int) bool) time.Duration {
	b.t.Helper()
	b.offers()
	start := time.Now()
	var seen []string
	for time.Since(start) < 90*time.Second {
		time.Sleep(time.Second) // a rate is one over a time
		rate := b.offers()
		seen = append(seen, fmt.Sprint(rate/1000))
		if right(rate) {
			took := time.Since(start)
			b.t.Logf("%s after %v: %s kbit/s", what, took.Round(time.Second), strings.Join(seen, " "))
			return took
		}
	}
	b.t.Fatalf("not %s: %s kbit/s", what, strings.Join(seen, " "))
	return 0
}

// behindABottleneck has a terminal send noisy video to a tab, through a bottleneck.
func behindABottleneck(t *testing.T, args ...string) (*webtest.Tab, *bottleneck, *e2etest.Process) {
	t.Helper()
	b := e2etest.Browsers().Chromium(t, &webtest.Options{ShowAddresses: true}) // a relay lets in only whom it knows by address
	here := coturntest.LocalAddress(t)
	// The relay is another server's, for this one's login must not hand out a way around the
	// bottleneck.
	_, _, events := e2etest.ServeEvents(t, "--turn", netip.AddrPortFrom(here, 0).String(), "--turn-open", "--turn-secret", "north",
		"--turn-allowed-peer-ip", netip.PrefixFrom(here, here.BitLen()).String())
	page, server := e2etest.Serve(t)
	line := newBottleneck(t, relayAddress(t, events))
	user, password := turnserver.Credentials{Secret: "north"}.Make("bob")
	bob := e2etest.Start(t, append([]string{"answer", "--as", "bob", "--server", server, "--output", "ndjson", "--stats-interval", "0",
		"--ice-policy", "relay", "--ice-server", "turn:" + line.address() + "," + user + "," + password}, args...)...)
	bob.Says(t, `"event":"login"`)
	tab := b.NewTab()
	tab.KeepPeers()
	tab.Go(page + "/?as=tab&call=bob")
	e2etest.Talking(tab)
	tab.WaitFrames(30)
	return tab, line, bob
}

func relayAddress(t *testing.T, events []e2etest.Event) string {
	t.Helper()
	for _, e := range events {
		if e["event"] != "turn-listening" {
			continue
		}
		for _, u := range e["urls"].([]any) {
			if rest, ok := strings.CutPrefix(u.(string), "turn:"); ok && !strings.Contains(rest, "transport=tcp") {
				address, _, _ := strings.Cut(rest, "?")
				return address
			}
		}
	}
	t.Fatalf("the server has no relay: %v", events)
	return ""
}

// incoming is what the tab reports of the video it receives.
func incoming(tab *webtest.Tab) (v struct{ frames, lost, received, nacks, again, plis, frozen float64 }) {
	for _, s := range tab.Stats() {
		if s["type"] == "inbound-rtp" && s["kind"] == "video" {
			number := func(key string) float64 { f, _ := s[key].(float64); return f }
			v.frames, v.lost, v.received = number("framesDecoded"), number("packetsLost"), number("packetsReceived")
			v.nacks, v.again, v.plis = number("nackCount"), number("retransmittedPacketsReceived"), number("pliCount")
			v.frozen = number("totalFreezesDuration")
		}
	}
	return v
}

// noise is video that takes all of a bitrate.
const noise = `exec:ffmpeg -v error -re -f lavfi -i testsrc2=size=320x240:rate=30,noise=alls=30:allf=t -pix_fmt yuv420p -f yuv4mpegpipe -`

// TestBitrateFollowsTheNetwork: down to a limit that the network gets, without standing still, and
// up again after it. A busy machine makes the video stand still now and then, too little bitrate
// control each time.
func TestBitrateFollowsTheNetwork(t *testing.T) {
	const limit, attempts = 500_000, 3
	tab, line, bob := behindABottleneck(t, "--video", noise, "--video-codec", "h264", "--video-bitrate", "1200000")
	fast := func(rate int) bool { return rate > limit*12/10 }
	var froze []standstill
	for len(froze) < attempts {
		line.become(0, 0)
		line.until("free", fast)
		longest := slowDown(t, tab, line, limit)
		if longest.froze-longest.excuse <= 500*time.Millisecond {
			break
		}
		froze = append(froze, longest)
	}
	if len(froze) == attempts {
		t.Errorf("the video froze each time: %v", froze)
	}
	var machine waits
	machine.look()
	line.become(0, 0)
	took := line.until("up again", fast)
	if excuse := machine.look(); took-excuse > 20*time.Second {
		t.Errorf("it took %v to come back, %v of which for the machine", took, excuse)
	}
	e2etest.Interrupt(t, bob)
	tab.NoErrors()
	tab.Close()
}

// slowDown limits the line for a while, and returns the longest standstill of the video in it.
func slowDown(t *testing.T, tab *webtest.Tab, line *bottleneck, limit int) standstill {
	t.Helper()
	before, standstills := incoming(tab), watchStandstills(t, tab)
	line.become(limit, 0)
	if took := line.until("down", func(rate int) bool { return rate <= limit*12/10 }); took > 10*time.Second {
		t.Errorf("it took %v to send no more than 1.2 times the limit", took)
	}
	time.Sleep(6 * time.Second) // with the limit
	longest, during := standstills.longest(), incoming(tab)
	t.Logf("the longest standstill is %v; %v packets were lost, %v came again, %v requests for a key frame",
		longest, during.lost-before.lost, during.again-before.again, during.plis-before.plis)
	return longest
}

// TestLossIsRepaired: packets that are lost are sent again, so that next to none is missing in the
// end.
func TestLossIsRepaired(t *testing.T) {
	tab, line, bob := behindABottleneck(t, "--video", "test", "--video-codec", "h264", "--video-bitrate", "600000")
	before := incoming(tab)
	line.become(0, 0.05)
	tab.Wait(fmt.Sprintf(`(async () => {
		const peer = window[Symbol.for('webtest.peers')].at(-1);
		const video = [...(await peer.getStats()).values()].find(s => s.type === 'inbound-rtp' && s.kind === 'video');
		return video.framesDecoded >= %v && video.nackCount > %v;
	})()`, before.frames+150, before.nacks))
	after := incoming(tab)
	lost, again := after.lost-before.lost, after.again-before.again
	t.Logf("%v packets, %v of them lost, %v came again, %v requests for a key frame; frozen for %v s",
		after.received-before.received, lost, again, after.plis-before.plis, after.frozen-before.frozen)
	if lost == 0 || again < lost*0.7 {
		t.Errorf("%v packets were lost, and %v came again", lost, again)
	}
	e2etest.Interrupt(t, bob)
	tab.NoErrors()
	tab.Close()
}
