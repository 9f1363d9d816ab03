// Package flags parses the flags of parley serve to the options of the server.
package flags

import (
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/crypto/acme/autocert"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/serve"
)

// All returns the flags, but those of config.OutputFlags.
func All() []cli.Flag {
	return slices.Concat([]cli.Flag{
		&cli.StringSliceFlag{Name: "listen", Value: []string{":9090"}, Usage: "`ADDRESS` to listen on; repeatable (default with --acme: :443)", Sources: config.Variable("listen")},
		config.Bool("greeting", "send the original server's plain-text greeting first; breaks clients that expect JSON"),
		config.String("origin", "", "`URL` that this server is reached at, such as https://call.example.org, if it is behind a proxy or has another name than this machine and its certificate: pages from there may connect"),
		config.Strings("allow-origin", "`ORIGIN` of pages elsewhere that may use this server; repeatable"),
		&cli.BoolFlag{Name: "page-auto", HideDefault: true, Sources: cli.EnvVars("PARLEY_SERVE_PAGE_AUTO"),
			Usage: "let the page do without a click what its address asks for: ?call=, &answer=1, &say=, &files=1; never if a link from another site led to it, and only over HTTPS or on localhost; " +
				"default: only while every --listen is a loopback address and there is no proxy (--origin, --trusted-proxy)"},
		config.Bool("whip", "let HTTP clients such as OBS publish: a POST to /whip/NAME calls NAME (RFC 9725)"),
		config.Bool("whep", "let HTTP clients such as players play: a POST to /whep/NAME calls NAME, who sends"),
		config.Duration("resume", 20*time.Second, "time `D` in which clients of ours may come back after a network loss; 0 for not at all"),
	}, tlsFlags(), loginFlags(), turnFlags(), limitFlags(), operationFlags())
}

// tlsFlags are the flags of serve.TLSOptions.
func tlsFlags() []cli.Flag {
	return config.Category("TLS", []cli.Flag{
		config.String("tls-cert", "", "`FILE` with the certificate chain (PEM); loaded again when it changes"),
		config.String("tls-key", "", "`FILE` with its key (PEM)"),
		config.Bool("tls-self-signed", "make a certificate for this run: browsers warn, then allow camera and microphone"),
		config.String("acme", "", "get a certificate for `HOST` from Let's Encrypt, whose terms you accept thereby; needs port 443 or 80"),
		config.String("acme-cache", "", "`DIR` for its certificates and account key (default: parley/acme in the user's cache folder)"),
		config.String("acme-email", "", "`ADDRESS` that the authority may write to"),
		config.String("acme-http", ":80", "`ADDRESS` of challenges over HTTP; other requests are redirected to HTTPS; empty for none"),
		config.String("acme-directory", autocert.DefaultACMEDirectory, "`URL` of the authority"),
	})
}

// loginFlags are the flags of serve.LoginOptions.
func loginFlags() []cli.Flag {
	return config.Category("LOGIN", []cli.Flag{
		config.String("auth-jwt", "", "`KEYFILE` with the public keys (PEM, JWK, JWK Set) or the secret that verify tokens, read again when it changes, or the https URL of a JWK Set; sub is the name, exp is required. Without --auth-jwt and --auth-webhook, everybody may log in"),
		config.String("auth-jwt-audience", "", "`AUD` that a token must have"),
		config.String("auth-jwt-issuer", "", "`ISS` that a token must have"),
		config.String("auth-webhook", "", "`URL` to ask about each login; no answer within 5s is a no"),
		config.Strings("auth-webhook-header", "`'NAME: VALUE'` for requests to it, or @FILE with one on each line, which keeps secrets out of the command line; repeatable"),
	})
}

// turnFlags are --ice-server and the flags of serve.TURNOptions.
func turnFlags() []cli.Flag {
	quota := func(name string, value int, usage string) cli.Flag {
		return &cli.IntFlag{Name: name, Value: value, Usage: usage + "; 0: unlimited", Sources: config.Variable(name)}
	}
	return config.Category("STUN AND TURN", []cli.Flag{
		config.Strings("ice-server", "`URL` of a STUN or TURN server to hand to clients at login; turn:HOST,USER,SECRET, or turn:HOST for credentials made with --turn-secret; or @FILE with one on each line; repeatable"),
		config.String("turn", "", "run STUN and TURN at `ADDRESS`, such as :3478, for UDP and TCP, and TLS with a certificate; handed to clients at login"),
		config.Bool("turn-open", "let everybody use TURN; without it --turn requires --auth-jwt or --auth-webhook, except on loopback"),
		config.String("turn-secret", "", "`SECRET` that makes the credentials of clients; coturn's static-auth-secret (default: a random one). Other users of this machine can see it, so prefer --turn-secret-file"),
		config.String("turn-secret-file", "", "`FILE` with the secret of --turn-secret"),
		config.Duration("turn-ttl", 24*time.Hour, "time `D` for which credentials can begin a call; clients have fresh ones before that"),
		config.Strings("turn-external-ip", "public `IP` of this machine; repeatable, one for IPv4 and one for IPv6"),
		config.Strings("turn-allowed-peer-ip", "`CIDR` of private addresses that clients may send to through TURN, such as 192.168.0.0/16; repeatable"),
		config.String("turn-ports", "", "`MIN:MAX` of the UDP ports of allocations"),
		quota("turn-user-quota", 32, "`NUMBER` of allocations of a user"),
		quota("turn-address-quota", 128, "`NUMBER` of allocations of clients at one address (/64 for IPv6), which also limits their connections and requests"),
		quota("turn-total-quota", 2000, "`NUMBER` of allocations in all"),
	})
}

// operationFlags are the flags of administration, logs and proxies.
func operationFlags() []cli.Flag {
	return config.Category("OPERATION", []cli.Flag{
		config.String("admin", "", "`ADDRESS`, such as 127.0.0.1:9091, for /livez, /readyz, /metrics and /debug/pprof/: not for the public"),
		config.Strings("admin-host", "`NAME` by which --admin may be requested beside its address and localhost, such as parley.internal; repeatable"),
		config.String("log", "text", "`FORMAT` of the log on stderr: text, json or off; without names, tokens and messages. More with --verbose"),
		config.Duration("drain", 30*time.Second, "after SIGTERM, time `D` in which clients are disconnected"),
		config.String("nats", "", "work as one with other servers, over NATS: `URLS` of NATS servers with JetStream, separated by commas, or embedded[:HOST:PORT] for one in this process that the others can use; see parley help cluster"),
		config.String("nats-creds", "", "`FILE` with the credentials of the NATS user"),
		config.String("nats-prefix", "", "`NAME` that distinguishes this cluster from others at the same NATS servers (default: parley)"),
		config.Strings("trusted-proxy", "address or `CIDR` of proxies whose --client-ip-header is believed; repeatable"),
		config.String("client-ip-header", "", "the one `HEADER` in which trusted proxies name the client: X-Forwarded-For, Forwarded, or one with a single address, such as X-Real-IP"),
	})
}

// Read returns the values of the flags of a command line. The server logs to log.
func Read(cmd *cli.Command, log io.Writer) (o serve.Options, err error) {
	o = serve.Options{
		Listen: cmd.StringSlice("listen"), Greeting: cmd.Bool("greeting"),
		Origin: cmd.String("origin"), AllowOrigins: cmd.StringSlice("allow-origin"),
		TrustedProxies: cmd.StringSlice("trusted-proxy"), ClientIPHeader: cmd.String("client-ip-header"),
		Resume: zeroMeansUnlimited(cmd.Duration("resume")), Drain: cmd.Duration("drain"),
		TLS: serve.TLSOptions{
			CertFile: cmd.String("tls-cert"), KeyFile: cmd.String("tls-key"), SelfSigned: cmd.Bool("tls-self-signed"),
			ACME: serve.ACMEOptions{
				Host: cmd.String("acme"), Cache: cmd.String("acme-cache"), Email: cmd.String("acme-email"),
				HTTP: cmd.String("acme-http"), Directory: cmd.String("acme-directory"),
			},
		},
		Login: serve.LoginOptions{
			JWT: cmd.String("auth-jwt"), JWTAudience: cmd.String("auth-jwt-audience"), JWTIssuer: cmd.String("auth-jwt-issuer"),
			Webhook: cmd.String("auth-webhook"),
		},
		TURN: serve.TURNOptions{
			Address: cmd.String("turn"), Open: cmd.Bool("turn-open"), TTL: cmd.Duration("turn-ttl"),
			ExternalIPs: cmd.StringSlice("turn-external-ip"), AllowedPeers: cmd.StringSlice("turn-allowed-peer-ip"),
		},
		Admin:   serve.AdminOptions{Address: cmd.String("admin"), Hosts: cmd.StringSlice("admin-host")},
		Cluster: serve.ClusterOptions{NATS: cmd.String("nats"), Credentials: cmd.String("nats-creds"), Prefix: cmd.String("nats-prefix")},
		WHIP:    cmd.Bool("whip"), WHEP: cmd.Bool("whep"),
		Version: config.Version(),
	}
	if o.Sockets, err = serve.PassedSockets(); err != nil {
		return o, err
	}
	if admin := o.Sockets["admin"]; len(admin) > 0 && o.Admin.Address == "" {
		o.Admin.Address = admin[0].Addr().String()
	}
	switch {
	case cmd.IsSet("listen"):
	case len(o.Sockets["listen"]) > 0:
		o.Listen = nil
	case o.TLS.ACME.Host != "":
		o.Listen = []string{":443"}
	}
	if cmd.IsSet("page-auto") {
		o.PageAuto = new(cmd.Bool("page-auto"))
	}
	for _, address := range o.Listen {
		if err := config.CheckListenAddress("--listen", address); err != nil {
			return o, err
		}
	}
	if o.Admin.Address != "" {
		if err := config.CheckListenAddress("--admin", o.Admin.Address); err != nil {
			return o, err
		}
	}
	if o.Logger, err = newLogger(cmd, log); err != nil {
		return o, err
	}
	if o.Limits, err = readLimits(cmd); err != nil {
		return o, err
	}
	if o.Login.WebhookHeader, err = config.Headers("auth-webhook-header", cmd.StringSlice("auth-webhook-header")); err != nil {
		return o, err
	}
	if o.ICEServers, err = config.Expand("ice-server", cmd.StringSlice("ice-server")); err != nil {
		return o, err
	}
	return o, readTURN(cmd, &o.TURN)
}

// readTURN reads the flags of TURN whose values need parsing.
func readTURN(cmd *cli.Command, o *serve.TURNOptions) (err error) {
	if o.Secret, err = config.Secret(cmd, "turn-secret"); err != nil {
		return err
	}
	if o.Address == "" {
		return refuseWithout(cmd, "turn", "turn-external-ip", "turn-allowed-peer-ip", "turn-ports",
			"turn-user-quota", "turn-address-quota", "turn-total-quota")
	}
	if o.Ports[0], o.Ports[1], err = config.PortRange("turn-ports", cmd.String("turn-ports")); err != nil {
		return err
	}
	for _, quota := range []struct {
		flag  string
		value *int
	}{
		{"turn-user-quota", &o.UserQuota}, {"turn-address-quota", &o.AddressQuota}, {"turn-total-quota", &o.TotalQuota},
	} {
		n := cmd.Int(quota.flag)
		if n < 0 {
			return exit.Usagef("invalid --%s %d: want a number of allocations, or 0 for unlimited", quota.flag, n)
		}
		*quota.value = zeroMeansUnlimited(n)
	}
	return nil
}

// refuseWithout returns an error if one of the flags is given without the one that they need.
func refuseWithout(cmd *cli.Command, needed string, flags ...string) error {
	for _, f := range flags {
		if cmd.IsSet(f) {
			return exit.Usagef("--%s is of use with --%s only", f, needed)
		}
	}
	return nil
}

// newLogger returns the logger of --log.
func newLogger(cmd *cli.Command, log io.Writer) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	switch {
	case cmd.Bool("verbose"):
		options.Level = slog.LevelDebug
	case cmd.Bool("quiet"):
		options.Level = slog.LevelWarn
	}
	switch v := strings.ToLower(cmd.String("log")); v {
	case "text":
		return slog.New(slog.NewTextHandler(log, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(log, options)), nil
	case "off":
		return slog.New(slog.DiscardHandler), nil
	default:
		return nil, exit.Usagef("invalid --log %q: want text, json or off", v)
	}
}
