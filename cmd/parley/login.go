package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/stdio"
	"parley/signal/auth"
)

func loginFlags() []cli.Flag {
	return inCategory("LOGIN (open to everybody without these)", []cli.Flag{
		stringFlag("auth-jwt", "", "`KEYFILE` with the public keys (PEM, JWK, JWK Set) or the secret that verify tokens, read again when it changes, or the https URL of a JWK Set; sub is the name, exp is required"),
		stringFlag("auth-jwt-audience", "", "the aud that a token must have"),
		stringFlag("auth-jwt-issuer", "", "the iss that a token must have"),
		stringFlag("auth-webhook", "", "`URL` to ask about each login; no answer within 5s is a no"),
		listFlag("auth-webhook-header", "`'NAME: VALUE'` for requests to it, or @FILE with one on each line, which keeps secrets out of the command line; repeatable"),
	})
}

// readLogin reads who may sign in.
func (srv *parleyServer) readLogin(ctx context.Context, cmd *cli.Command) (err error) {
	key, url := cmd.String("auth-jwt"), cmd.String("auth-webhook")
	switch {
	case key != "" && url != "":
		return exit.Usagef("--auth-jwt and --auth-webhook: one of them decides, not both")
	case key != "":
		srv.options.Auth, err = auth.LoadJWT(ctx, key, &auth.JWTOptions{
			Audience: cmd.String("auth-jwt-audience"), Issuer: cmd.String("auth-jwt-issuer"), Logger: srv.logger,
		})
		if err != nil {
			return exit.Errorf(exit.Device, "--auth-jwt: %w", err)
		}
	case url != "":
		var header http.Header
		if header, err = parseHeaders("auth-webhook-header", cmd.StringSlice("auth-webhook-header")); err != nil {
			return err
		}
		srv.options.Auth, err = auth.NewWebhook(url, &auth.WebhookOptions{Header: header})
		if err != nil {
			return exit.Usagef("--auth-webhook: %v", err)
		}
	}
	if url == "" {
		if err := refuseWithout(cmd, "auth-webhook", "auth-webhook-header"); err != nil {
			return err
		}
	}
	if key == "" {
		return refuseWithout(cmd, "auth-jwt", "auth-jwt-audience", "auth-jwt-issuer")
	}
	return nil
}

// readProxies reads --trusted-proxy and --client-ip-header. There is no default for the header: if it is one that the proxy does not
// set, clients do.
func (srv *parleyServer) readProxies(cmd *cli.Command) (err error) {
	srv.options.TrustedProxies, err = prefixes("trusted-proxy", cmd.StringSlice("trusted-proxy"))
	header := cmd.String("client-ip-header")
	srv.options.ClientIPHeader = header
	switch {
	case err != nil:
		return err
	case header == "" && len(srv.options.TrustedProxies) > 0:
		return exit.Usagef("--trusted-proxy needs --client-ip-header: the header that the proxy sets, such as X-Forwarded-For")
	case header != "" && len(srv.options.TrustedProxies) == 0:
		return exit.Usagef("--client-ip-header needs --trusted-proxy: the address of the proxy that sets it")
	case strings.ContainsFunc(header, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }):
		return exit.Usagef("invalid --client-ip-header %q: want the name of a header, such as X-Forwarded-For", sanitize.Text(header))
	}
	return nil
}

// prefixes reads addresses and CIDRs.
func prefixes(flag string, values []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, v := range values {
		p, err := netip.ParsePrefix(v)
		if a, addrErr := netip.ParseAddr(v); addrErr == nil && a.Zone() == "" {
			p, err = a.Unmap().Prefix(a.Unmap().BitLen())
		}
		if err != nil {
			return nil, exit.Usagef("--%s %q: it is an address or a CIDR, such as 10.0.0.0/8", flag, sanitize.Text(v))
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

// readLog reads --log.
func readLog(cmd *cli.Command, std stdio.Streams) (*slog.Logger, error) {
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
		return nil, exit.Usagef("--log %q: it is text, json or off", sanitize.Text(v))
	}
}
