package config

import (
	"context"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v3"
	"go.uber.org/goleak"

	"parley/cmd/parley/internal/certtest"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Size units without an i are powers of 1000, those with one powers of 1024.
func TestSize(t *testing.T) {
	for in, want := range map[string]int64{
		"1": 1, "500000": 500_000, "500 B": 500, "500k": 500_000, "500K": 500_000, "500kB": 500_000, "500M": 500_000_000,
		"500MB": 500_000_000, "2G": 2_000_000_000, "1.5T": 1_500_000_000_000,
		"1Ki": 1 << 10, "500Mi": 500 << 20, "500MiB": 500 << 20, "500mib": 500 << 20, "2GiB": 2 << 30, "0.5TiB": 1 << 39,
	} {
		if got, err := Size(in); got != want || err != nil {
			t.Errorf("%q: got %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "0.5", "-1", "M", "iB", "1i", "1iB", "1MM", "1BM", "1KiM", "1P", "lots", "NaN", "Inf", "0x10", "1e3", "10000T"} {
		if got, err := Size(in); err == nil {
			t.Errorf("%q: got %d, want an error", in, got)
		}
	}
}

// options are all options of a command.
type options struct {
	signaling Signaling
	network   Network
	out       MediaOut
	in        MediaIn
	call      Call
	output    Output
	capture   Capture
	commands  bool
	security  Security
}

// parse reads a command line that has all flags.
func parse(args ...string) (o options, err error) {
	c := &cli.Command{OnUsageError: UsageError,
		DisableSliceFlagSeparator: true, // as of all commands
		Flags:                     slices.Concat(SignalingFlags("me"), MediaOutFlags(), WaitFlags(), CallFlags(time.Minute), OutputFlags(), CaptureFlags(), InputFlags(), SecurityFlags(), AnswerFlags(false)),
		Action: func(_ context.Context, cmd *cli.Command) (err error) {
			for _, read := range []func() error{
				func() error { o.signaling, err = ReadSignaling(cmd); return err },
				func() error { o.network, err = ReadNetwork(cmd); return err },
				func() error { o.out, err = ReadMediaOut(cmd); return err },
				func() error { o.in, err = ReadMediaIn(cmd); return err },
				func() error { o.call, err = ReadCall(cmd, map[string]event.Kind{"connected": event.Flag}); return err },
				func() error { o.output, err = ReadOutput(cmd); return err },
				func() error { o.commands, err = ReadInput(cmd, o.out); return err },
				func() error { o.security, err = ReadSecurity(cmd); return err },
				func() error { _, err = ReadChannels(cmd); return err },
			} {
				if err := read(); err != nil {
					return err
				}
			}
			o.capture = ReadCapture(cmd)
			return nil
		},
	}
	return o, c.Run(context.Background(), append([]string{"parley"}, args...))
}

func TestDefaults(t *testing.T) {
	o, err := parse()
	if err != nil {
		t.Fatal(err)
	}
	if o.signaling.Server != "ws://localhost:9090" || o.signaling.Name != "me" || o.signaling.Dialect != "call" {
		t.Errorf("signaling: %+v", o.signaling)
	}
	if want := (MediaOut{}); o.out != want {
		t.Errorf("media out: got %+v, want %+v", o.out, want)
	}
	if want := (MediaIn{}); o.in != want {
		t.Errorf("media in: got %+v, want %+v", o.in, want)
	}
	if c := o.call; c.Timeout != time.Minute || c.RetryTaken || c.Linger != 500*time.Millisecond || c.StatsInterval != time.Second || len(c.Say)+len(c.Checks) > 0 {
		t.Errorf("call: %+v", c)
	}
	if o.output != (Output{}) || o.capture != (Capture{}) || o.security != (Security{}) || o.commands {
		t.Errorf("got %+v %+v %+v %t", o.output, o.capture, o.security, o.commands)
	}
}

func TestValues(t *testing.T) {
	o, err := parse("--dialect", "relay", "--ice-policy", "relay", "--ice-server", "turn:h,u,s,with,commas", "--udp-ports", "5000:5010", "--tcp-port", "7",
		"--advertise-ip", "198.51.100.7", "--impair", "loss=5%", "--video", "test", "--audio", "none", "--video-size", "640x480@12.5", "--video-codec", "VP9",
		"--record", "x.webm", "--record-split", "2G", "--audio-out", "1", "--expect", "connected", "--timeout", "3s", "--max-calls", "4",
		"--output", "ndjson", "-q", "-v", "--pcap", "p", "--input", "ndjson", "--expect-code", "ask", "--say", "a,b", "--say", "c")
	if err != nil {
		t.Fatal(err)
	}
	n := o.network
	if !n.RelayOnly || n.MinPort != 5000 || n.MaxPort != 5010 || n.TCPPort != 7 || n.Impair == nil || len(n.AdvertiseIPs) != 1 {
		t.Errorf("network: %+v", n)
	}
	if s := n.ICEServers; len(s) != 1 || s[0].Username != "u" || s[0].Credential != "s,with,commas" {
		t.Errorf("ICE servers: %+v", s)
	}
	if want := (MediaOut{Video: "test", Encoding: "video/VP9", Width: 640, Height: 480, FrameRate: 12.5}); o.out != want {
		t.Errorf("media out: got %+v, want %+v", o.out, want)
	}
	if want := (MediaIn{Record: "x.webm", SegmentBytes: 2e9, AudioOut: "1", Play: true}); o.in != want {
		t.Errorf("media in: got %+v, want %+v", o.in, want)
	}
	if c := o.call; len(c.Checks) != 1 || c.Timeout != 3*time.Second || !c.RetryTaken || c.MaxCalls != 4 {
		t.Errorf("call: %+v", c)
	}
	if want := (Output{NDJSON: true, Quiet: true, Verbose: true}); o.output != want {
		t.Errorf("output: got %+v, want %+v", o.output, want)
	}
	if s := o.call.Say; !slices.Equal(s, []string{"a,b", "c"}) {
		t.Errorf("--say: got %q", s)
	}
	if o.capture.PcapPath != "p" || !o.commands || o.security.ExpectCode != AskCode {
		t.Errorf("got %+v %t %+v", o.capture, o.commands, o.security)
	}
}

func TestInvalidValues(t *testing.T) {
	for _, args := range []string{
		"--dialect x", "--ice-policy x", "--ice-server http:h", "--ice-server turn:h", "--udp-ports 1", "--udp-ports 9:8", "--udp-ports 0:1", "--udp-ports 1:70000",
		"--tcp-port -1", "--tcp-port 65536", "--advertise-ip h", "--advertise-ip 0.0.0.0", "--advertise-ip fe80::1%eth0", "--impair x", "--interface [",
		"--video-size 640", "--video-size 0x1", "--video-size 1x1@0", "--video-size 1x1@NaN", "--video-codec x", "--record-split 1", "--record-split 0M", "--record-split 10ms",
		"--expect x", "--expect connected=1", "--max-calls -1", "--wait -1s", "--timeout -1s", "--duration -1ms", "--linger -1h", "--output x", "--input x", "--input ndjson --audio -", "--expect-code x",
		"--max-retransmits -2", "--max-retransmits 65536", "--max-lifetime 1us", "--negotiated 65535", "--header x", "--token a --token-file b",
	} {
		_, err := parse(strings.Fields(args)...)
		if exit.CodeOf(err) != exit.Usage {
			t.Errorf("%s: got %v with exit code %d, want %d", args, err, exit.CodeOf(err), exit.Usage)
		}
	}
	for _, args := range []string{"--ca missing", "--token-file missing", "--header @missing", "--ice-server @missing"} {
		if _, err := parse(strings.Fields(args)...); exit.CodeOf(err) != exit.Device {
			t.Errorf("%s: got %v, want exit code %d", args, err, exit.Device)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, bad := range []string{"nonsense", ": value", "a b: s3cret", "X-A: s3cret\x00", "X-A: s3\ncret"} {
		if _, err := Headers("header", []string{bad}); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	header, err := Headers("header", []string{"Authorization: Basic a:b", "x-a:1", "X-A: 2"})
	if err != nil || header.Get("Authorization") != "Basic a:b" || len(header.Values("X-A")) != 2 {
		t.Errorf("got %v, %v", header, err)
	}
	file := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(file, []byte("X: "+strings.Repeat("x", maxSecretFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Headers("header", []string{"@" + file}); err == nil || !strings.Contains(err.Error(), "more than 65536 bytes") {
		t.Errorf("a huge file: got %v", err)
	}
}

// TestCAIsTrustedBesideTheSystem: --ca adds certificates, and those of the system stay trusted.
func TestCAIsTrustedBesideTheSystem(t *testing.T) {
	certificate, _, err := certtest.New("parley.example", 1)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := x509.SystemCertPool()
	if err != nil || want.Equal(x509.NewCertPool()) {
		t.Fatalf("this system has no certificates: install ca-certificates (%v)", err)
	}
	want.AppendCertsFromPEM(certificate)
	o, err := parse("--ca", path)
	if err != nil {
		t.Fatal(err)
	}
	if !o.signaling.TLS.RootCAs.Equal(want) {
		t.Error("the trusted certificates are not those of the system and of --ca")
	}
}

// TestMonitoring checks where metrics and traces may go.
func TestMonitoring(t *testing.T) {
	read := func(args ...string) (m Monitoring, err error) {
		c := &cli.Command{OnUsageError: UsageError, Flags: MonitoringFlags(), Action: func(_ context.Context, cmd *cli.Command) (err error) {
			m, err = ReadMonitoring(cmd)
			return err
		}, ExitErrHandler: func(context.Context, *cli.Command, error) {}}
		err = c.Run(context.Background(), append([]string{"parley"}, args...))
		return m, err
	}
	for value, want := range map[string]string{"http://localhost:4318": "http://localhost:4318/v1/traces", "https://otlp.example/": "https://otlp.example/v1/traces",
		"https://otlp.example/otlp/v1/traces": "https://otlp.example/otlp/v1/traces", "http://[::1]:4318": "http://[::1]:4318/v1/traces"} {
		if m, err := read("--otlp", value, "--metrics", ":9101"); err != nil || m.OTLP.String() != want || m.Metrics != ":9101" {
			t.Errorf("%s: got %v, %v", value, m, err)
		}
	}
	if m, err := read(); err != nil || m != (Monitoring{}) {
		t.Errorf("got %v, %v", m, err)
	}
	for _, args := range [][]string{
		{"--otlp", "localhost:4318"}, {"--otlp", "grpc://localhost:4317"}, {"--otlp", "http://"}, {"--otlp", "http://h/?a=b"}, {"--otlp", "http://user:secret@h/"}, {"--otlp", "http://h/\x1b"},
		{"--metrics", "9101"}, {"--metrics", "127.0.0.1"}, {"--metrics", "127.0.0.1:"}, {"--metrics", "127.0.0.1:http"}, {"--metrics", "127.0.0.1:65536"}, {"--metrics", "127.0.0.1:+1"}, {"--metrics", "\x1b[31m"},
	} {
		if m, err := read(args...); exit.CodeOf(err) != exit.Usage || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: got %v, %v", args, m, err)
		}
	}
}
