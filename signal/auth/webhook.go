package auth

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

	"parley/signal"
)

// WebhookOptions are the options of NewWebhook. The zero value works.
type WebhookOptions struct {
	// Client sends the requests. Default: a client that follows no redirects and uses the proxy of
	// the environment.
	Client *http.Client
	// Timeout bounds one decision. Default: 5 seconds.
	Timeout time.Duration
	// Header is added to every request, say a secret by which the service knows this server.
	// Default: none.
	Header http.Header
}

// Webhook authorizes clients by asking an HTTP service.
type Webhook struct {
	url     string
	options WebhookOptions
}

const (
	// maxDecision bounds the answer of a webhook, in bytes.
	maxDecision = 64 << 10
	// maxExpiresIn bounds the time that a webhook lets a session last, in milliseconds: a year.
	maxExpiresIn = 365 * 24 * 3_600_000
	// maxSubject bounds the subject, in bytes, as that of an ID Token (OpenID Connect Core, section
	// 2).
	maxSubject = 255
)

// NewWebhook returns a Webhook that asks the service at rawURL by a POST of
//
//	{"name":"alice","token":"...","address":"192.0.2.1","dialect":"call"}
//
// The service answers with status 200 and one of
//
//	{"allow":false,"reason":"..."}
//	{"allow":true,"name":"alice","subject":"user-17","iceServers":[...],"expiresIn":3600000}
//
// where only allow is required. A login takes the name from an earlier session with the same
// subject, which has at most 255 bytes. After expiresIn, in milliseconds and a year at most, the
// session ends unless the client renews it, which asks the service again. Any other answer, or none
// in time, refuses the login.
func NewWebhook(rawURL string, options *WebhookOptions) (*Webhook, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("invalid webhook URL %.200q: want https://host/path", signal.PrintableURL(rawURL))
	}
	h := &Webhook{url: u.String()}
	if options != nil {
		h.options = *options
	}
	if h.options.Timeout <= 0 {
		h.options.Timeout = 5 * time.Second
	}
	if h.options.Client == nil {
		h.options.Client = newClient()
	}
	return h, nil
}

// Authorize returns the decision of the service.
func (h *Webhook) Authorize(ctx context.Context, r signal.LoginRequest) (signal.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, h.options.Timeout)
	defer cancel()
	question, err := json.Marshal(map[string]string{
		"name": r.Name, "token": r.Token, "address": r.Address.String(), "dialect": string(r.Dialect),
	})
	if err != nil {
		return signal.Identity{}, err
	}
	answer, err := h.ask(ctx, question)
	if err != nil {
		return signal.Identity{}, fmt.Errorf("asking the webhook: %w", withoutURL(err))
	}
	return decision(answer)
}

func (h *Webhook) ask(ctx context.Context, question []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	for name, values := range h.options.Header {
		req.Header[name] = values
	}
	if host := h.options.Header.Get("Host"); host != "" {
		req.Host = host
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.options.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("got status %d, want 200", resp.StatusCode)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxDecision+1))
	if err == nil && len(answer) > maxDecision {
		err = fmt.Errorf("got an answer of more than %d bytes", maxDecision)
	}
	return answer, err
}

// withoutURL removes the URL from an error, because it may contain a secret.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// decision reads the answer of a webhook. Member names match to the letter, and of a repeated
// member the last counts, which decoding into a struct would not do.
func decision(answer []byte) (signal.Identity, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal(answer, &members) != nil {
		members = nil
	}
	switch string(members["allow"]) {
	case "true":
	case "false":
		reason := stringOf(members["reason"])
		if reason == "" {
			reason = "the login was refused"
		}
		return signal.Identity{}, &signal.Denied{Reason: reason}
	default:
		return signal.Identity{}, errors.New("invalid answer of the webhook: want an object with allow, true or false")
	}
	identity := signal.Identity{ICEServers: iceServers(members["iceServers"])}
	if value := members["expiresIn"]; len(value) > 0 {
		var ms int64
		if json.Unmarshal(value, &ms) != nil || ms <= 0 {
			return signal.Identity{}, fmt.Errorf("invalid expiresIn %.20q from the webhook: want a positive number of milliseconds", value)
		}
		identity.Expires = time.Now().Add(time.Duration(min(ms, maxExpiresIn)) * time.Millisecond)
	}
	if value := members["subject"]; len(value) > 0 {
		if identity.Subject = stringOf(value); identity.Subject == "" || len(identity.Subject) > maxSubject {
			return signal.Identity{}, fmt.Errorf("invalid subject %.20q from the webhook: want a string of 1 to %d bytes", value, maxSubject)
		}
	}
	if name := members["name"]; len(name) > 0 && name[0] == '"' {
		identity.Name = stringOf(name)
		if err := signal.CheckName(identity.Name); err != nil {
			return signal.Identity{}, fmt.Errorf("invalid name from the webhook: %w", err)
		}
	}
	return identity, nil
}

// stringOf returns the string of a JSON value, "" for anything else.
func stringOf(value json.RawMessage) string {
	var s string
	_ = json.Unmarshal(value, &s)
	return s
}

// iceServers returns the valid servers of a JSON array of {urls, username, credential}, where urls
// is a string or an array of strings.
func iceServers(value json.RawMessage) []signal.ICEServer {
	var elements []json.RawMessage
	_ = json.Unmarshal(value, &elements)
	var servers []signal.ICEServer
	for _, element := range elements {
		var members map[string]json.RawMessage
		if json.Unmarshal(element, &members) != nil {
			continue
		}
		s := signal.ICEServer{Username: stringOf(members["username"]), Credential: stringOf(members["credential"])}
		if json.Unmarshal(members["urls"], &s.URLs) != nil {
			s.URLs = []string{stringOf(members["urls"])}
		}
		if s.Check() == nil {
			servers = append(servers, s)
		}
	}
	return servers
}
