package serve

import (
	"context"
	"net/http"
	"net/netip"

	"golang.org/x/net/http/httpguts"

	"parley/cmd/parley/internal/exit"
	"parley/signal/auth"
)

// LoginOptions are the choices of who may sign in. The zero value means everybody.
type LoginOptions struct {
	JWT         string // file or https URL with the keys of tokens, see auth.LoadJWT; "" for none
	JWTAudience string
	JWTIssuer   string

	Webhook       string      // URL that decides about logins, "" for none
	WebhookHeader http.Header // of requests to Webhook
}

// checkLogin loads the keys of tokens, or checks the webhook.
func (s *service) checkLogin(ctx context.Context) error {
	o := s.Login
	switch {
	case o.JWT != "" && o.Webhook != "":
		return exit.Usagef("--auth-jwt and --auth-webhook: one of them decides, not both")
	case o.Webhook == "" && len(o.WebhookHeader) > 0:
		return exit.Usagef("--auth-webhook-header is of use with --auth-webhook only")
	case o.JWT == "" && o.JWTAudience != "":
		return exit.Usagef("--auth-jwt-audience is of use with --auth-jwt only")
	case o.JWT == "" && o.JWTIssuer != "":
		return exit.Usagef("--auth-jwt-issuer is of use with --auth-jwt only")
	case o.JWT != "":
		jwt, err := auth.LoadJWT(ctx, o.JWT, &auth.JWTOptions{Audience: o.JWTAudience, Issuer: o.JWTIssuer, Logger: s.Logger})
		if err != nil {
			return exit.Errorf(exit.Device, "--auth-jwt: %w", err)
		}
		s.signaling.Auth = jwt
	case o.Webhook != "":
		hook, err := auth.NewWebhook(o.Webhook, &auth.WebhookOptions{Header: o.WebhookHeader})
		if err != nil {
			return exit.Usagef("--auth-webhook: %v", err)
		}
		s.signaling.Auth = hook
	}
	return nil
}

// checkProxies checks the trusted proxies. ClientIPHeader has no default: a header that the proxy
// does not set can be set by clients.
func (s *service) checkProxies() (err error) {
	s.signaling.TrustedProxies, err = prefixes("trusted-proxy", s.TrustedProxies)
	header := s.ClientIPHeader
	switch {
	case err != nil:
		return err
	case header == "" && len(s.TrustedProxies) > 0:
		return exit.Usagef("--trusted-proxy needs --client-ip-header: the header that the proxy sets, such as X-Forwarded-For")
	case header != "" && len(s.TrustedProxies) == 0:
		return exit.Usagef("--client-ip-header needs --trusted-proxy: the address of the proxy that sets it")
	case header != "" && !httpguts.ValidHeaderFieldName(header):
		return exit.Usagef("invalid --client-ip-header %q: want the name of a header, such as X-Forwarded-For", header)
	}
	return nil
}

// prefixes parses addresses and CIDRs.
func prefixes(option string, values []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, v := range values {
		p, err := netip.ParsePrefix(v)
		if a, addrErr := netip.ParseAddr(v); addrErr == nil && a.Zone() == "" {
			p, err = a.Unmap().Prefix(a.Unmap().BitLen())
		}
		if err != nil {
			return nil, exit.Usagef("invalid --%s %q: want an address or a CIDR, such as 10.0.0.0/8", option, v)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}
