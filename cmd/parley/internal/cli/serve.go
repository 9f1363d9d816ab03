package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/serve"
	"parley/cmd/parley/internal/serve/flags"
	"parley/cmd/parley/internal/stdio"
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
		Flags:        append(flags.All(), config.OutputFlags()...),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			r, err := readOutput(cmd, std)
			if err != nil {
				return err
			}
			defer r.Report.CloseInto(&err)
			options, err := flags.Read(cmd, std.Err)
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
