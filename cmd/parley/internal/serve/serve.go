// Package serve runs a signaling server with its pages, certificate, TURN server and administration
// address.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"parley/cmd/parley/internal/admin"
	"parley/cmd/parley/internal/exit"
	"parley/signal"
	"parley/signal/server"
	"parley/signal/web"
	whipserver "parley/signal/whip/server"
)

// Options are the choices of a server. Errors name them as the flags of `parley serve`.
type Options struct {
	Listen         []string      // addresses of pages and signaling, HOST:PORT; at least one without Sockets
	PageAuto       *bool         // whether pages may act without a click; nil: only without proxy, on loopback addresses
	Greeting       bool          // send the plain-text greeting of the original server
	Origin         string        // URL at which a proxy or DNS name reaches this server, "" for none
	AllowOrigins   []string      // see server.Options
	TrustedProxies []string      // addresses or CIDRs of proxies that set ClientIPHeader
	ClientIPHeader string        // header with the address of a client, "" for none
	Resume         time.Duration // see server.Options
	Limits         server.Limits
	Drain          time.Duration // time in which clients are disconnected when a drain begins; 0: no drain
	Sockets        Sockets       // listeners used before addresses are listened on; those of "listen" beside Listen

	TLS        TLSOptions
	Login      LoginOptions
	ICEServers []string // for clients: URL, or URL,USER,SECRET
	TURN       TURNOptions
	Admin      AdminOptions
	Cluster    ClusterOptions
	WHIP, WHEP bool // HTTP clients may publish to users, and play from them

	Version string       // of this build, for the metrics
	Logger  *slog.Logger // nil for none

	// Report receives events, from one goroutine at a time.
	Report func(Event)
}

// Event is Listening, AdminListening, TURNListening, NATSListening, Draining or Warning.
type Event any

// Listening reports an address on which pages and signaling are served.
type Listening struct {
	Address     string
	Page        string   // URL for this machine, or for the host of the certificate
	Signaling   string   // URL, as Page
	NetworkURLs []string // of the page for other machines in the network, only with a self-signed certificate
	Fingerprint string   // SHA-256 of a self-signed certificate, else ""
}

// AdminListening reports the address of health, metrics and profiles.
type AdminListening struct{ Address, URL string }

// TURNListening reports the TURN server.
type TURNListening struct {
	URLs   []string // all ICE servers of clients
	Port   uint16
	Relays []string // addresses of allocations
}

// Draining reports that clients are being disconnected within Window.
type Draining struct{ Window time.Duration }

// Warning is a sentence about a risk of the options.
type Warning struct{ Text string }

// service is what Run runs.
type service struct {
	Options
	signaling  server.Options
	adminNames []string      // host names of the administration address
	secure     *certificates // nil: no TLS
	turn       *turnServer   // nil: none
	ice        iceServers
	cluster    *clusterNode        // nil: none
	gateway    *whipserver.Gateway // nil: none
	sockets    []io.Closer         // opened by open
}

// task is a part of the service that runs until its context is done.
type task func(context.Context) error

// Run checks the options, opens all sockets and serves until ctx is done, and after SIGTERM until
// the clients are drained. It returns nil then. Errors of options have the exit codes Usage and
// Device.
func Run(ctx context.Context, options Options) (err error) {
	defer func() {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) { // before the server had begun
			err = nil
		}
	}()
	s, err := newService(ctx, options)
	if err != nil {
		return err
	}
	if err := s.startCluster(ctx); err != nil {
		return err
	}
	signaling := server.New(&s.signaling)
	s.openGateway(signaling)
	tasks, err := s.open(ctx, signaling)
	if err != nil {
		for _, c := range s.sockets {
			err = errors.Join(err, c.Close())
		}
		return errors.Join(err, s.cluster.close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, running := errgroup.WithContext(running)
	for _, run := range tasks {
		group.Go(func() error { return run(running) })
	}
	group.Go(func() error { return s.watchdog(running, signaling) })
	s.notify("READY=1\nSTATUS=serving")
	group.Go(func() error {
		defer stop()
		select {
		case <-running.Done(): // a task failed
		case <-ctx.Done():
			s.notifyStopping(s.Drain + 2*drainGrace)
			s.drain(ctx, signaling)
		}
		return nil
	})
	return errors.Join(group.Wait(), s.cluster.close())
}

func (s *service) warnf(format string, a ...any) { s.Report(Warning{fmt.Sprintf(format, a...)}) }

// newService checks the options.
func newService(ctx context.Context, options Options) (*service, error) {
	s := &service{Options: options}
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Report == nil {
		s.Report = func(Event) {}
	}
	s.signaling = server.Options{
		Pages: web.Handler(s.pageAuto()), Greeting: s.Greeting, AllowOrigins: slices.Clone(s.AllowOrigins), ClientIPHeader: s.ClientIPHeader,
		IsOwnName: s.isOwnName, Resume: s.Resume, Limits: s.Limits, Logger: s.Logger,
	}
	if s.Drain < 0 {
		return nil, exit.Usagef("invalid --drain %s: want 0 or more", s.Drain)
	}
	login := func() error { return s.checkLogin(ctx) }
	for _, check := range []func() error{s.checkAdmin, s.checkOrigins, s.checkProxies, login, s.loadCertificate, s.checkICE, s.checkCluster} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if s.secure != nil && s.secure.fingerprint == "" {
		s.signaling.Pages = strictTransport(s.signaling.Pages)
	}
	s.signaling.ICEServers = s.ice.forClient
	if s.ice.credentials != nil {
		s.signaling.ICEServersFor = s.ice.credentials.TTL
	}
	return s, nil
}

// pageAuto returns the permission of the pages. Behind a proxy a loopback address says nothing
// about who reaches the server.
func (s *service) pageAuto() web.Auto {
	switch {
	case s.PageAuto != nil && *s.PageAuto:
		return web.AutoAnyHost
	case s.PageAuto != nil || s.Origin != "" || len(s.TrustedProxies) > 0 || !isLoopback(slices.Concat(s.Listen, s.Sockets.addresses("listen"))...):
		return web.AutoNever
	default:
		return web.AutoLoopback
	}
}

// checkOrigins checks and sets the origins of pages that may connect.
func (s *service) checkOrigins() error {
	for _, p := range s.AllowOrigins {
		if err := server.CheckOriginPattern(p); err != nil {
			return exit.Usagef("--allow-origin: %v", err)
		}
	}
	origin := strings.TrimSuffix(s.Origin, "/")
	if origin == "" {
		return nil
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+u.Host {
		return exit.Usagef("invalid --origin %q: want the form https://HOST or https://HOST:PORT", signal.PrintableURL(s.Origin))
	}
	s.signaling.AllowOrigins = append(s.signaling.AllowOrigins, origin)
	return nil
}

// isOwnName reports whether host is a name of this machine or of its certificate. Other names can
// be pointed at this machine by their owners.
func (s *service) isOwnName(host string) bool {
	return slices.Contains(machineNames(), host) || s.secure != nil && s.secure.covers != nil && s.secure.covers(host)
}

// strictTransport adds the header by which browsers use only TLS for a year (RFC 6797). The
// header is not set for self-signed certificates, which browsers would no longer let users accept,
// and not sent for localhost, where other servers of the user have no TLS.
func strictTransport(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host, _, _ := strings.Cut(r.Host, ":"); r.TLS != nil && host != "localhost" && !strings.HasSuffix(host, ".localhost") {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(w, r)
	})
}

// openGateway serves WHIP and WHEP, if that is wanted.
func (s *service) openGateway(signaling *server.Server) {
	if !s.WHIP && !s.WHEP {
		return
	}
	s.gateway = whipserver.New(signaling, whipserver.Options{Publish: s.WHIP, Play: s.WHEP, Logger: s.Logger})
	for _, prefix := range s.gateway.Prefixes() {
		signaling.HandlePrefix(prefix, s.gateway)
	}
}

// open opens all sockets before the first client is served, so that a port in use is reported
// early.
func (s *service) open(ctx context.Context, signaling *server.Server) ([]task, error) {
	var listeners []net.Listener
	for l := s.Sockets.take("listen"); l != nil; l = s.Sockets.take("listen") {
		s.sockets, listeners = append(s.sockets, l), append(listeners, l)
	}
	for _, address := range s.Listen {
		l, err := s.listen(ctx, "--listen", address)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, l)
	}
	secured := slices.Clone(listeners)
	if s.secure != nil {
		secured = s.secure.listeners(listeners)
	}
	tasks := []task{func(ctx context.Context) error { return signaling.Run(ctx, secured...) }}
	if s.gateway != nil {
		tasks = append(tasks, func(ctx context.Context) error {
			<-ctx.Done()
			s.gateway.Close() // the requests that wait for users would delay the end
			return nil
		})
	}
	admin := func(ctx context.Context) (task, error) { return s.openAdmin(ctx, signaling) }
	for _, open := range []func(context.Context) (task, error){s.openTURN, admin, s.openChallenges} {
		t, err := open(ctx)
		if err != nil {
			return nil, err
		}
		if t != nil {
			tasks = append(tasks, t)
		}
	}
	if err := s.Sockets.checkTaken(); err != nil {
		return nil, err
	}
	for _, l := range listeners {
		s.reportListening(l.Addr())
	}
	return tasks, nil
}

// listen opens a TCP listener for an option, or returns one that was passed for it.
func (s *service) listen(ctx context.Context, option, address string) (net.Listener, error) {
	if l := s.Sockets.take(option); l != nil {
		s.sockets = append(s.sockets, l)
		return l, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, admin.ListenError(option, address, err)
	}
	s.sockets = append(s.sockets, l)
	return l, nil
}

// drainGrace is the time in addition to Drain for closing handshakes.
const drainGrace = 5 * time.Second

// drain disconnects the clients over time if SIGTERM ended ctx. TURN goes on meanwhile.
func (s *service) drain(ctx context.Context, signaling *server.Server) {
	if !exit.Terminated(ctx) || s.Drain == 0 {
		return
	}
	s.Report(Draining{s.Drain})
	s.Logger.Info("draining", slog.Duration("window", s.Drain))
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Drain+drainGrace)
	defer cancel()
	if err := signaling.Drain(limit, s.Drain); err != nil {
		s.Logger.Warn("some clients did not disconnect by themselves", slog.String("error", err.Error()))
	}
}

func (s *service) reportListening(a net.Addr) {
	event := Listening{Address: a.String(), Page: "http://" + admin.LocalAddress(a) + "/", Signaling: "ws://" + admin.LocalAddress(a)}
	if s.secure != nil {
		host := s.secure.hostPort(a)
		event.Page, event.Signaling = "https://"+host+"/", "wss://"+host
		if event.Fingerprint = s.secure.fingerprint; event.Fingerprint != "" {
			event.NetworkURLs = networkURLs(a)
		}
	}
	s.Report(event)
}
