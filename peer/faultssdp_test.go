package peer

import (
	"strings"
	"testing"

	"parley/peer/internal/jsep"

	"github.com/pion/webrtc/v4"
)

// withOffer makes a call, of which both can talk, and returns the offer that it
// began with.
func withOffer(t *testing.T) (a, b *side, offer string) {
	t.Helper()
	offers := make(chan string, 1)
	a, b = pair(t, func(caller, _ *Config) {
		caller.Media.Receive = []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo}
		caller.Signaler.(*wire).filter = func(kind, s string) (string, bool) {
			if kind == "offer" {
				select {
				case offers <- s:
				default: // a later one
				}
			}
			return s, true
		}
	})
	b.call.Say("hello")
	a.awaitText("hello")
	b.awaitConnected()
	return a, b, <-offers
}

// mutant is a change of an offer, and what a new call says to it: "" if it is
// taken.
type mutant struct {
	change func(string) string
	want   string
}

func replacing(old, with string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, with, 1) }
}

func without(prefix string) func(string) string {
	return func(s string) string {
		var kept []string
		for line := range strings.Lines(s) {
			if !strings.HasPrefix(line, prefix) {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "")
	}
}

func mutants() map[string]mutant {
	many := func(line string, n int) string { return strings.Repeat(line+"\r\n", n) }
	after := func(line string) func(string) string { return replacing("a=mid:a1\r\n", "a=mid:a1\r\n"+line) }
	return map[string]mutant{
		"27_empty":                    {func(string) string { return "" }, "media sections"},
		"27_whitespace":               {func(string) string { return " \r\n\r\n" }, "SDP"},
		"27_binary":                   {func(string) string { return "\x00\xff\x01" }, "SDP"},
		"27_line_feeds_only":          {func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }, ""},
		"27_carriage_returns_only":    {func(s string) string { return strings.ReplaceAll(s, "\r\n", "\r") }, "carriage return"},
		"27_no_last_line_end":         {func(s string) string { return strings.TrimRight(s, "\r\n") }, ""},
		"27_a_long_line":              {replacing("s=-", "s="+strings.Repeat("x", 1<<20)), "at most"},
		"29_no_version":               {without("v="), "SDP"},
		"29_no_origin":                {without("o="), "SDP"},
		"29_two_versions":             {replacing("v=0\r\n", "v=0\r\nv=0\r\n"), "SDP"},
		"30_no_sections":              {func(s string) string { return s[:strings.Index(s, "m=")] }, "media sections"},
		"30_a_thousand_sections":      {func(s string) string { return s + many("m=audio 9 UDP/TLS/RTP/SAVPF 0", 1000) }, "media sections"},
		"31_a_mid_twice":              {replacing("a=mid:v1", "a=mid:a1"), "mid"},
		"31_a_long_mid":               {replacing("a=mid:v1", "a=mid:12345678901234567"), "mid"},
		"32_no_password":              {without("a=ice-pwd"), "ICE credentials"},
		"33_no_fingerprint":           {without("a=fingerprint"), "fingerprint"},
		"33_malformed_fingerprint":    {replacing("a=fingerprint:sha-256 ", "a=fingerprint:sha-256"), "fingerprint"},
		"34_no_setup":                 {without("a=setup"), ""},
		"34_unknown_setup":            {func(s string) string { return strings.ReplaceAll(s, "setup:actpass", "setup:holdconn") }, ""},
		"35_no_rtcp_mux":              {without("a=rtcp-mux"), ""},
		"36_no_rtpmap":                {without("a=rtpmap:111"), ""},
		"36_payload_type_out_of_8bit": {replacing("RTP/SAVPF 111", "RTP/SAVPF 300 111"), "payload type"},
		"36_payload_type_twice":       {replacing("RTP/SAVPF 111", "RTP/SAVPF 111 111"), ""},
		"36_payload_type_of_RTCP":     {after("a=rtpmap:72 opus/48000/2\r\n"), ""},
		"36_no_clock_rate":            {replacing("opus/48000/2", "opus/0/2"), ""},
		"36_many_channels":            {replacing("opus/48000/2", "opus/48000/255"), ""},
		"37_nonsense_parameters":      {after("a=fmtp:111 profile-level-id=zz;;==;\xff\r\n"), ""},
		"38_extension_0":              {after("a=extmap:0 urn:x\r\n"), "extmap"},
		"38_extension_256":            {after("a=extmap:256 urn:x\r\n"), "extmap"},
		"38_an_extension_twice":       {after("a=extmap:1 urn:x\r\na=extmap:1 urn:y\r\n"), ""},
		"39_simulcast_nonsense":       {after("a=simulcast:send ;;~,,\r\na=rid: \r\na=rid:1 sideways\r\n"), ""},
		"39_a_hundred_rids":           {after(many("a=rid:r send", 100)), ""},
		"40_ssrc_too_large":           {after("a=ssrc:4294967296 cname:x\r\n"), ""},
		"40_group_of_absent_ssrcs":    {after("a=ssrc-group:FID 1 2\r\n"), ""},
		"41_max_message_size_0":       {replacing("a=max-message-size:", "a=max-message-size:0\r\na=x:"), ""},
		"41_max_message_size_below_0": {replacing("a=max-message-size:", "a=max-message-size:-1\r\na=x:"), ""},
		"41_max_message_size_2_64":    {replacing("a=max-message-size:", "a=max-message-size:18446744073709551616\r\na=x:"), ""},
		"41_sctp_port_0":              {replacing("a=sctp-port:5000", "a=sctp-port:0"), ""},
		"42_odd_candidates": {after("a=candidate:\r\na=candidate:1 1 udp 0 192.0.2.1 0 typ host\r\na=candidate:1 1 udp 1 " +
			strings.Repeat("x", 300) + ".local 9 typ host\r\na=candidate:1 1 udp 1 192.0.2.1 70000 typ host\r\na=candidate:x 1 quic 1 fe80::1%eth0 9\r\n"), ""},
		"43_sdes_crypto": {after("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + strings.Repeat("A", 40) + "\r\n"), ""},
		"43_sdes_crypto_alone": {func(s string) string {
			s = without("a=fingerprint")(without("a=setup")(s))
			return strings.ReplaceAll(s, "a=mid:a1\r\n", "a=mid:a1\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+strings.Repeat("A", 40)+"\r\n")
		}, "fingerprint"},
		"43_profile_without_DTLS": {func(s string) string { return strings.ReplaceAll(s, "UDP/TLS/RTP/SAVPF", "RTP/AVP") }, ""},
		"44_plan_b":               {after("a=ssrc:1 msid:a a\r\na=ssrc:2 msid:b b\r\na=ssrc:3 msid:c c\r\n"), "Plan B"},
	}
}

func sdpFaults() map[string]func(*testing.T) {
	faults := map[string]func(*testing.T){
		"28_cut_at_every_byte": cutAtEveryByte,
		// The type of a message is the signaling's; what is in it may be of another.
		"45_an_answer_that_is_an_offer": func(t *testing.T) {
			_, _, offer := withOffer(t)
			a, _ := pair(t, func(_, answerer *Config) {
				answerer.Signaler.(*wire).filter = func(kind, s string) (string, bool) { return s, false }
			})
			a.call.DeliverAnswer(SessionDescription{SDP: offer})
			a.failsAt(Negotiation, "actpass")
		},
	}
	for name, m := range mutants() {
		faults[name] = func(t *testing.T) { offered(t, m) }
	}
	return faults
}

// offered makes the offer to a new call, which takes it or says in one sentence
// why not, and to one that is up. That goes on, and can be negotiated anew.
func offered(t *testing.T, m mutant) {
	a, b, good := withOffer(t)
	bad := m.change(good)
	if bad == good {
		t.Fatal("nothing was changed")
	}
	offeredAnew(t, bad, m.want)
	b.call.DeliverOffer(SessionDescription{SDP: bad})
	a.call.DeliverAnswer(SessionDescription{SDP: bad})
	if m.want != "" {
		if w := await(b, func(Warned) bool { return true }); !strings.Contains(w.Text, m.want) {
			t.Errorf("in a call that is up it says %q, want %q", w.Text, m.want)
		}
		a.forget()
		a.call.RestartICE()
		await(a, func(PairSelected) bool { return true })
	}
	a.call.Say("still here")
	b.awaitText("still here")
}

func offeredAnew(t *testing.T, bad, want string) {
	t.Helper()
	answers := make(chan string, 1)
	s := newSide(t, "terminal", Config{Signaler: &wire{filter: func(kind, text string) (string, bool) {
		if kind == "answer" {
			answers <- text
		}
		return text, false
	}}}).start()
	s.call.DeliverOffer(SessionDescription{SDP: bad})
	if want != "" {
		s.failsAt(Negotiation, want)
		return
	}
	select {
	case text := <-answers:
		if strings.Contains(text, "a=crypto") || !strings.Contains(text, "a=fingerprint") {
			t.Errorf("the answer has keys in the clear, or none at all:\n%s", text)
		}
		s.call.Hangup()
		s.awaitEnd()
	case <-s.ended:
		t.Errorf("ended with %v, want an answer", s.err)
	}
}

func cutAtEveryByte(t *testing.T) {
	a, b, offer := withOffer(t)
	for i := range len(offer) {
		d, err := jsep.Parse(offer[:i])
		if err == nil && len(d.Sections) == 0 {
			t.Fatalf("%d bytes are a description without sections", i)
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || err.Error() == "") {
			t.Fatalf("%d bytes: %q", i, err)
		}
		if i%50 == 0 && err != nil {
			b.call.DeliverOffer(SessionDescription{SDP: offer[:i]})
		}
	}
	a.call.Say("still here")
	b.awaitText("still here")
}
