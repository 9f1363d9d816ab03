package signal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// WebhookOptions are the choices of NewWebhook. The zero value works.
type WebhookOptions struct {
	// Client sends the requests. Default: one that follows no redirect and uses no proxy but the environment's.
	Client *http.Client
	// Timeout bounds one decision. Default: 5 seconds.
	Timeout time.Duration
	// Header goes with each request: a secret that tells the other side who asks. Default: none.
	Header http.Header
}

// webhook asks somebody else over HTTP.
type webhook struct {
	url     string
	options WebhookOptions
}

// maxDecision bounds the answer of a webhook.
const maxDecision = 64 << 10

// NewWebhook returns an Auth that asks the service at rawURL: a POST of {"name","token","address","dialect"}, to be answered with 200 and
// {"allow":bool}, and further "reason" for a refusal, or "name" and "iceServers" for a grant. What is no such answer in time refuses.
func NewWebhook(rawURL string, options *WebhookOptions) (Auth, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the webhook %q is no URL like https://host/path", printable(rawURL))
	}
	h := &webhook{url: u.String()}
	if options != nil {
		h.options = *options
	}
	if h.options.Timeout <= 0 {
		h.options.Timeout = 5 * time.Second
	}
	if h.options.Client == nil {
		h.options.Client = &http.Client{
			Transport:     http.DefaultTransport.(*http.Transport).Clone(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return h, nil
}

// Authorize implements Auth.
func (h *webhook) Authorize(ctx context.Context, l LoginRequest) (LoginGrant, error) {
	ctx, cancel := context.WithTimeout(ctx, h.options.Timeout)
	defer cancel()
	question, err := json.Marshal(map[string]string{
		"name": l.Name, "token": l.Token, "address": l.Address.String(), "dialect": string(l.Dialect),
	})
	if err != nil {
		return LoginGrant{}, err
	}
	answer, err := h.ask(ctx, question)
	if err != nil {
		return LoginGrant{}, fmt.Errorf("asking the webhook: %w", withoutURL(err))
	}
	return decision(answer)
}

func (h *webhook) ask(ctx context.Context, question []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	for name, values := range h.options.Header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.options.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %s", printable(resp.Status))
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxDecision+1))
	if err == nil && len(answer) > maxDecision {
		err = fmt.Errorf("its answer has more than %d bytes", maxDecision)
	}
	return answer, err
}

// withoutURL takes the address out of an error for the log, as it may hold a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func decision(answer []byte) (LoginGrant, error) {
	members := lastOf(parseObject(answer), "allow", "reason", "name", "iceServers")
	switch string(members["allow"]) {
	case "true":
	case "false":
		reason, _ := unquote(members["reason"])
		if reason == "" {
			reason = "the login was refused"
		}
		return LoginGrant{}, &Refusal{printable(reason)}
	default:
		return LoginGrant{}, errors.New("the webhook's answer is no object with allow: true or false")
	}
	grant := LoginGrant{ICEServers: iceServersOf(members["iceServers"])}
	if name, ok := unquote(members["name"]); ok {
		if err := CheckName(name); err != nil {
			return LoginGrant{}, fmt.Errorf("the webhook gives a name that cannot be one: %w", err)
		}
		grant.Name = name
	}
	return grant, nil
}
