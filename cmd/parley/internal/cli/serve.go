package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/crypto/acme/autocert"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/serve"
	"parley/cmd/parley/internal/stdio"
	"parley/signal/server"
)

func serveCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:  "serve",
		Usage: "run the signaling server and its pages",
		Description: `Serves the pages over HTTP and the signaling of both dialects over WebSocket, on
the same addresses. Open http://localhost:9090/ in a browser.

   parley serve
   parley serve --listen :9090 --listen :8000 --listen 127.0.0.1:80
   parley serve --tls-self-signed     # for the camera of a phone
   parley serve --greeting            # as the original server greets

On the open internet, with a certificate, a relay for those behind firewalls and
tokens for those who may come in:
   parley serve --acme call.example.org --turn :3478 --auth-jwt public.pem
   parley serve --listen :443 --tls-cert fullchain.pem --tls-key key.pem

OBS, FFmpeg and players over HTTP, see parley help server:
   parley serve --whip --whep

Behind a proxy that adds X-Forwarded-For, with what watches it on another port:
   parley serve --origin https://call.example.org \
      --trusted-proxy 10.0.0.0/8 --client-ip-header X-Forwarded-For \
      --admin 127.0.0.1:9091 --log json

Under systemd, sockets that it passes replace the default of --listen, and it is
notified when the server is ready, alive and stopping; see parley help install.

SIGTERM drains: /readyz fails, clients are disconnected within --drain, and connect to
the server that runs then. A second signal ends at once, as does Ctrl-C.

URL parameters of the page: ?as=NAME signs in, &call=NAME calls, &answer=1
answers by itself. Without a click the page does that only where --page-auto
permits it.`,
		Flags: slices.Concat([]cli.Flag{
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
		}, tlsFlags(), loginFlags(), turnFlags(), limitFlags(), operationFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			r, err := readOutput(cmd, std)
			if err != nil {
				return err
			}
			defer r.Report.CloseInto(&err)
			options, err := serveOptions(cmd, std)
			if err != nil {
				return err
			}
			options.Report = func(e serve.Event) { reportServe(r.Report, e) }
			if err := serve.Run(ctx, options); err != nil || exit.Terminated(ctx) {
				return err
			}
			return exit.Interruption(ctx)
		},
	}
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

// serveOptions returns the values of the flags of serve.
func serveOptions(cmd *cli.Command, std stdio.Streams) (o serve.Options, err error) {
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
	if o.Logger, err = serveLogger(cmd, std); err != nil {
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

// serveLogger returns the logger of --log.
func serveLogger(cmd *cli.Command, std stdio.Streams) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	switch {
	case cmd.Bool("verbose"):
		options.Level = slog.LevelDebug
	case cmd.Bool("quiet"):
		options.Level = slog.LevelWarn
	}
	switch v := strings.ToLower(cmd.String("log")); v {
	case "text":
		return slog.New(slog.NewTextHandler(std.Err, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(std.Err, options)), nil
	case "off":
		return slog.New(slog.DiscardHandler), nil
	default:
		return nil, exit.Usagef("invalid --log %q: want text, json or off", v)
	}
}

// reportServe reports an event of the server.
func reportServe(r *event.Reporter, e serve.Event) {
	switch e := e.(type) {
	case serve.Listening:
		fields := event.Fields("address", e.Address, "url", e.Page)
		message := fmt.Sprintf("signaling on %s, page on %s", e.Signaling, e.Page)
		if e.Fingerprint != "" {
			fields = append(fields, event.Fields("urls", e.NetworkURLs, "fingerprint", e.Fingerprint)...)
			for _, url := range e.NetworkURLs {
				message += "\non a phone in this network: " + url
			}
			message += "\nbrowsers warn about this self-signed certificate; its SHA-256 is\n  " + e.Fingerprint
		}
		r.Report(event.Event{Name: "listening", Fields: fields, Message: message})
	case serve.AdminListening:
		r.Report(event.Event{Name: "admin", Fields: event.Fields("address", e.Address, "url", e.URL),
			Message: "health, metrics and profiles on " + e.URL})
	case serve.TURNListening:
		r.Report(event.Event{Name: "turn-listening", Fields: event.Fields("urls", e.URLs),
			Message: fmt.Sprintf("STUN and TURN on port %d, relays at %s", e.Port, strings.Join(e.Relays, " and "))})
	case serve.NATSListening:
		r.Report(event.Event{Name: "nats-listening", Fields: event.Fields("address", e.Address, "url", e.URL), Message: "NATS on " + e.URL})
	case serve.Draining:
		r.Infof("draining: clients are disconnected within %s; a second signal ends at once", e.Window)
	case serve.Warning:
		r.Warnf("%s", e.Text)
	}
}

// limit is one bound of the server and its flag. The default stands in the flag, for --help to
// show.
type limit struct {
	flag  cli.Flag
	name  string
	apply func(*cli.Command, *server.Limits) error
}

func numberLimit(name string, value int, usage string, field func(*server.Limits) *int) limit {
	return limit{
		&cli.IntFlag{Name: name, Value: value, Usage: usage, Sources: config.Variable(name)}, name,
		func(cmd *cli.Command, l *server.Limits) error {
			n := cmd.Int(name)
			if n < 0 {
				return exit.Usagef("invalid --%s %d: want 0 or more; 0 lifts the limit", name, n)
			}
			*field(l) = zeroMeansUnlimited(n)
			return nil
		},
	}
}

func timeLimit(name string, value time.Duration, usage string, field func(*server.Limits) *time.Duration) limit {
	return limit{
		&cli.DurationFlag{Name: name, Value: value, Usage: usage, Sources: config.Variable(name)}, name,
		func(cmd *cli.Command, l *server.Limits) error {
			d := cmd.Duration(name)
			if d < 0 {
				return exit.Usagef("invalid --%s %s: want 0 or more; 0 lifts the limit", name, d)
			}
			*field(l) = zeroMeansUnlimited(d)
			return nil
		},
	}
}

func rateLimit(name, value, usage string, field func(*server.Limits) *server.Rate) limit {
	return limit{
		&cli.StringFlag{Name: name, Value: value, Usage: usage, Sources: config.Variable(name)}, name,
		func(cmd *cli.Command, l *server.Limits) error {
			r, err := rate(cmd.String(name))
			if err != nil {
				return exit.Usagef("invalid --%s %q: %v", name, cmd.String(name), err)
			}
			*field(l) = r
			return nil
		},
	}
}

// failureLimit bounds the refused logins of half an hour.
func failureLimit(name string, value int) limit {
	n := 0
	l := numberLimit(name, value, "`NUMBER` of refused logins in half an hour from one address (/64 for IPv6)",
		func(*server.Limits) *int { return &n })
	read := l.apply
	l.apply = func(cmd *cli.Command, limits *server.Limits) error {
		if err := read(cmd, limits); err != nil {
			return err
		}
		limits.LoginFailures = server.Rate{PerSecond: float64(n) / (30 * time.Minute).Seconds(), Burst: max(n, 0)}
		return nil
	}
	return l
}

// rate parses A_SECOND/AT_ONCE; 0 lifts the limit.
func rate(s string) (server.Rate, error) {
	perSecond, burst, hasBurst := strings.Cut(s, "/")
	r, err := strconv.ParseFloat(perSecond, 64)
	n := 0
	if err == nil && hasBurst {
		n, err = strconv.Atoi(burst)
	}
	if err != nil || !(r >= 0 && r <= 1e9) || hasBurst && (n <= 0 || r == 0) {
		return server.Rate{}, errors.New("want A_SECOND/AT_ONCE, such as 5/10, or 0 for no limit")
	}
	if r == 0 {
		return server.Rate{PerSecond: -1}, nil
	}
	return server.Rate{PerSecond: r, Burst: n}, nil
}

// zeroMeansUnlimited converts a limit of a flag, where 0 means unlimited, to one of an options
// struct, where 0 means the default and negative values mean unlimited.
func zeroMeansUnlimited[T int | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// limits are the bounds of the server.
func limits() []limit {
	return []limit{
		numberLimit("max-frame", 64<<10, "`BYTES` of a message", func(l *server.Limits) *int { return &l.Frame }),
		numberLimit("max-sdp", 48<<10, "`BYTES` of a session description", func(l *server.Limits) *int { return &l.SDP }),
		numberLimit("max-candidate", 2<<10, "`BYTES` of a candidate", func(l *server.Limits) *int { return &l.Candidate }),
		timeLimit("login-deadline", 10*time.Minute, "time `D` to log in after connecting", func(l *server.Limits) *time.Duration { return &l.LoginWait }),
		numberLimit("max-pending", 1<<10, "`NUMBER` of connections that have not logged in", func(l *server.Limits) *int { return &l.Pending }),
		rateLimit("offer-rate", "5/10", "offers, answers and watches of a connection for each of its calls, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Offers }),
		rateLimit("candidate-rate", "20/200", "candidates of a connection for each of its calls, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Candidates }),
		rateLimit("other-rate", "10/20", "other messages of a connection for each of its calls, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Others }),
		numberLimit("max-connections", 1<<14, "`NUMBER` of connections in all", func(l *server.Limits) *int { return &l.Connections }),
		numberLimit("max-per-address", 256, "`NUMBER` of connections, and of names, from one address (/64 for IPv6)", func(l *server.Limits) *int { return &l.PerAddress }),
		rateLimit("address-upgrade-rate", "50/500", "new connections from one address (/64 for IPv6), `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.UpgradesPerAddress }),
		rateLimit("upgrade-rate", "200/1000", "new connections in all, `A_SECOND/AT_ONCE`", func(l *server.Limits) *server.Rate { return &l.Upgrades }),
		numberLimit("max-calls", 128, "`NUMBER` of calls that a user may be in", func(l *server.Limits) *int { return &l.Calls }),
		numberLimit("max-watches", 8, "`NUMBER` of names that a user may watch, to be notified when they sign in", func(l *server.Limits) *int { return &l.Watches }),
		numberLimit("max-watches-per-address", 64, "`NUMBER` of names that all users at one address (/64 for IPv6) may watch", func(l *server.Limits) *int { return &l.WatchesPerAddress }),
		timeLimit("header-timeout", 5*time.Second, "time `D` for a request's header to come", func(l *server.Limits) *time.Duration { return &l.HeaderWait }),
		numberLimit("max-header", 16<<10, "`BYTES` of a request's header", func(l *server.Limits) *int { return &l.Header }),
		failureLimit("max-login-failures", 10),
	}
}

func limitFlags() []cli.Flag {
	flags := []cli.Flag{config.String("limits", "on", "`STATE`: on, or off: no limits but those that are given; a limit of 0 means unlimited")}
	for _, l := range limits() {
		flags = append(flags, l.flag)
	}
	return config.Category("LIMITS", flags)
}

// readLimits returns the values of the flags of limits.
func readLimits(cmd *cli.Command) (l server.Limits, err error) {
	off := false
	switch v := cmd.String("limits"); v {
	case "on":
	case "off":
		off = true
		l = server.NoLimits()
	default:
		return l, exit.Usagef("invalid --limits %q: want on or off", v)
	}
	for _, one := range limits() {
		if off && !cmd.IsSet(one.name) {
			continue
		}
		if err := one.apply(cmd, &l); err != nil {
			return l, err
		}
	}
	return l, nil
}
