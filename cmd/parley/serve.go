package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
	"golang.org/x/sync/errgroup"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/signal/server"
	"parley/signal/web"
)

func serveCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "serve",
		Usage:     "run the signaling server and its pages",
		ArgsUsage: " ",
		Description: `Serves the pages over HTTP and the signaling of both dialects over WebSocket, on
the same addresses. Open http://localhost:9090/ in a browser.

   parley serve
   parley serve --listen :9090 --listen :8000 --listen 127.0.0.1:80
   parley serve --tls-self-signed         # for the camera of a phone in this network
   parley serve --greeting                # as the original server greets

On the open internet, with a certificate, a relay for those behind firewalls and
tokens for those who may come in:
   parley serve --acme call.example.org --turn :3478 --auth-jwt public.pem
   parley serve --listen :443 --tls-cert fullchain.pem --tls-key key.pem

Behind a proxy that adds X-Forwarded-For, with what watches it on another port:
   parley serve --origin https://call.example.org --trusted-proxy 10.0.0.0/8 \
      --client-ip-header X-Forwarded-For --admin 127.0.0.1:9091 --log json

SIGTERM drains: /readyz turns, clients are sent away over the time of --drain, and
come back to whoever serves then. A second signal ends at once, as does Ctrl-C.

URL parameters of the page: ?as=NAME signs in, &call=NAME calls, &answer=1
answers by itself. Without a click the page does that only where --page-auto
permits it.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringSliceFlag{Name: "listen", Value: []string{":9090"}, Usage: "`ADDRESS` to listen on; repeatable (default with --acme: :443)", Sources: variable("listen")},
			boolFlag("greeting", "send the original server's plain-text greeting first; breaks clients that expect JSON"),
			stringFlag("origin", "", "`URL` that this server is reached at, such as https://call.example.org, if it is behind a proxy or has another name than this machine and its certificate: pages from there may connect"),
			listFlag("allow-origin", "origin of pages elsewhere that may use this server; repeatable"),
			&cli.BoolFlag{Name: "page-auto", HideDefault: true, Sources: cli.EnvVars("PARLEY_SERVE_PAGE_AUTO"),
				Usage: "let the page do without a click what its address asks for: ?call=, &answer=1, &say=, &files=1; never if a link from another site led to it, and only over HTTPS or on localhost; " +
					"default: only while every --listen is a loopback address and there is no proxy (--origin, --trusted-proxy)"},
			durationFlag("resume", 20*time.Second, "how long clients of ours may take to come back after a network loss; 0 for not at all"),
		}, certificateFlags(), loginFlags(), turnFlags(), limitFlags(), operationFlags(), outputFlags()),
		OnUsageError: usageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			s := &settings{}
			if err := s.readOutput(cmd, std); err != nil {
				return err
			}
			defer s.report.CloseInto(&err)
			srv, err := readServer(ctx, cmd, std, s)
			if err != nil {
				return err
			}
			return srv.run(ctx)
		},
	}
}

// operationFlags are for whoever runs the server.
func operationFlags() []cli.Flag {
	return inCategory("OPERATION", []cli.Flag{
		stringFlag("admin", "", "`ADDRESS`, such as 127.0.0.1:9091, for /livez, /readyz, /metrics and /debug/pprof/: not for the public"),
		listFlag("admin-host", "`NAME` by which --admin may be requested beside its address and localhost, such as parley.internal; repeatable"),
		stringFlag("log", "text", "text, json or off: what happens, on stderr; without names, tokens and messages. More with --verbose"),
		durationFlag("drain", 30*time.Second, "after SIGTERM, the time to send clients away in"),
		listFlag("trusted-proxy", "address or `CIDR` of proxies whose --client-ip-header is believed; repeatable"),
		stringFlag("client-ip-header", "", "the one `HEADER` in which trusted proxies name the client: X-Forwarded-For, Forwarded, or one with a single address, such as X-Real-IP"),
	})
}

// parleyServer is everything that `parley serve` runs: signaling, pages, TURN and administration.
type parleyServer struct {
	report     *event.Reporter
	logger     *slog.Logger
	addresses  []string
	options    server.Options
	drain      time.Duration
	admin      string
	adminHosts []string
	secure     *certificates // nil: no TLS
	turn       *turnSettings // nil: no relay
	ice        iceOffer
}

// readServer reads the flags of serve.
func readServer(ctx context.Context, cmd *cli.Command, std stdio.Streams, s *settings) (*parleyServer, error) {
	srv := &parleyServer{
		report: s.report, addresses: cmd.StringSlice("listen"), drain: cmd.Duration("drain"),
		options: server.Options{
			Greeting: cmd.Bool("greeting"), AllowOrigins: cmd.StringSlice("allow-origin"),
			Resume: zeroMeansUnlimited(cmd.Duration("resume")),
		},
	}
	for _, read := range []func(*cli.Command) error{
		func(cmd *cli.Command) (err error) { srv.logger, err = readLog(cmd, std); return err },
		srv.readAdmin, srv.readOrigins, srv.readLimits, srv.readProxies,
		func(cmd *cli.Command) error { return srv.readLogin(ctx, cmd) }, srv.readCertificate, srv.readTurn,
	} {
		if err := read(cmd); err != nil {
			return nil, err
		}
	}
	srv.options.Logger = srv.logger
	srv.options.Pages = web.Handler(srv.pageAuto(cmd))
	if srv.secure != nil && srv.secure.fingerprint == "" {
		srv.options.Pages = strictTransport(srv.options.Pages)
	}
	srv.options.ICEServers = srv.ice.servers
	if srv.ice.credentials != nil {
		srv.options.ICEServersFor = srv.ice.credentials.TTL
	}
	return srv, nil
}

// pageAuto returns the permission of the pages by --page-auto. Behind a proxy a loopback address
// says nothing about who reaches the server.
func (srv *parleyServer) pageAuto(cmd *cli.Command) web.Auto {
	behindProxy := cmd.String("origin") != "" || len(cmd.StringSlice("trusted-proxy")) > 0
	switch {
	case cmd.Bool("page-auto"):
		return web.AutoAnyHost
	case cmd.IsSet("page-auto") || behindProxy || !allLoopback(srv.addresses...):
		return web.AutoNever
	default:
		return web.AutoLoopback
	}
}

// readAdmin reads --admin and --admin-host.
func (srv *parleyServer) readAdmin(cmd *cli.Command) error {
	srv.admin = cmd.String("admin")
	for _, host := range cmd.StringSlice("admin-host") {
		name := strings.TrimSuffix(host, ".")
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isHostRune(r) }) {
			return exit.Usagef("invalid --admin-host %q: want a host name without port, such as parley.internal", sanitize.Text(host))
		}
		srv.adminHosts = append(srv.adminHosts, name)
	}
	if srv.admin == "" {
		return refuseWithout(cmd, "admin", "admin-host")
	}
	return nil
}

// isHostRune reports whether r may be in a host name.
func isHostRune(r rune) bool {
	return r == '-' || r == '.' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// strictTransport adds the header by which browsers use TLS only from then on (RFC 6797), for a year. A
// certificate of our own gets none: browsers would no longer let users accept it. Neither does localhost,
// where other servers of the user have no TLS.
func strictTransport(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, _ := strings.Cut(r.Host, ":"); r.TLS != nil && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

func (srv *parleyServer) readOrigins(cmd *cli.Command) error {
	for _, p := range srv.options.AllowOrigins {
		if err := server.CheckOriginPattern(p); err != nil {
			return exit.Usagef("--allow-origin: %v", err)
		}
	}
	if origin := strings.TrimSuffix(cmd.String("origin"), "/"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+u.Host {
			return exit.Usagef("invalid --origin %q: want the form https://HOST or https://HOST:PORT", sanitize.Text(cmd.String("origin")))
		}
		srv.options.AllowOrigins = append(srv.options.AllowOrigins, origin)
	}
	srv.options.IsOwnName = srv.isOwnName
	if srv.drain < 0 {
		return exit.Usagef("--drain %s: it is no less than 0", srv.drain)
	}
	return nil
}

// isOwnName reports whether host is a name of this machine or in the certificate. Others can be pointed at this machine by their
// owners.
func (srv *parleyServer) isOwnName(host string) bool {
	return slices.Contains(machineNames(), host) || srv.secure != nil && srv.secure.covers != nil && srv.secure.covers(host)
}

// service is a part of the server that runs until its context is done.
type service func(context.Context) error

// run opens all sockets, and serves until ctx is done.
func (srv *parleyServer) run(ctx context.Context) error {
	signaling := server.New(&srv.options)
	var sockets closers
	services, err := srv.open(ctx, &sockets, signaling)
	if err != nil {
		return errors.Join(err, sockets.close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, running := errgroup.WithContext(running)
	for _, run := range services {
		group.Go(func() error { return run(running) })
	}
	group.Go(func() error {
		defer stop()
		select {
		case <-running.Done():
			return nil // a service failed
		case <-ctx.Done():
			return srv.leave(ctx, signaling)
		}
	})
	if err := group.Wait(); err != nil || exit.Terminated(ctx) {
		return err
	}
	return exit.Interruption(ctx)
}

// open opens what is served on, so that a taken port is known before anybody is served.
func (srv *parleyServer) open(ctx context.Context, sockets *closers, signaling *server.Server) ([]service, error) {
	listeners, err := sockets.listen(ctx, "--listen", srv.addresses...)
	if err != nil {
		return nil, err
	}
	secured := slices.Clone(listeners)
	if srv.secure != nil {
		secured = srv.secure.listeners(listeners)
	}
	services := []service{func(ctx context.Context) error { return signaling.Run(ctx, secured...) }}
	for _, open := range []func(context.Context, *closers, *server.Server) ([]service, error){srv.openTurn, srv.openAdmin, srv.openChallenges} {
		more, err := open(ctx, sockets, signaling)
		if err != nil {
			return nil, err
		}
		services = append(services, more...)
	}
	for _, l := range listeners {
		srv.tellListening(l.Addr())
	}
	return services, nil
}

// leave ends the signaling as its signal asks: SIGTERM drains, and the relay goes on meanwhile; others end it at once.
func (srv *parleyServer) leave(ctx context.Context, signaling *server.Server) error {
	if !exit.Terminated(ctx) || srv.drain == 0 {
		return nil
	}
	srv.report.Infof("draining: clients are sent away within %s; a second signal ends at once", srv.drain)
	srv.logger.Info("draining", slog.Duration("window", srv.drain))
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), srv.drain+drainGrace)
	defer cancel()
	if err := signaling.Drain(limit, srv.drain); err != nil {
		srv.logger.Warn("some clients did not go by themselves", slog.String("error", err.Error()))
	}
	return nil
}

// drainGrace is what clients that were sent away get to say goodbye.
const drainGrace = 5 * time.Second

func (srv *parleyServer) tellListening(a net.Addr) {
	page, signaling := srv.urls(a)
	fields := event.Fields("address", a.String(), "url", page)
	say := fmt.Sprintf("signaling on %s, page on %s", signaling, page)
	if srv.secure != nil && srv.secure.fingerprint != "" {
		phones := srv.phoneURLs(a)
		fields = append(fields, event.Field{Key: "urls", Value: phones}, event.Field{Key: "fingerprint", Value: srv.secure.fingerprint})
		for _, url := range phones {
			say += fmt.Sprintf("\non a phone in this network: %s", url)
		}
		say += fmt.Sprintf("\nthe browser will warn, for the certificate is our own, made just now; its SHA-256 is\n  %s", srv.secure.fingerprint)
	}
	srv.report.Report(event.Event{Name: "listening", Fields: fields, Message: say})
}
