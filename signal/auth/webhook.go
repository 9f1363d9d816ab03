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

// WebhookOptions are the choices of NewWebhook. The zero value works.
type WebhookOptions struct {
	// Client sends the requests. Default: one that follows no redirect and uses no proxy but the environment's.
	Client *http.Client
	// Timeout bounds one decision. Default: 5 seconds.
	Timeout time.Duration
	// Header goes with each request: a secret that tells the other side who asks. Default: none.
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
)

// NewWebhook returns a Webhook that asks the service at rawURL: a POST of {"name","token","address","dialect"}, to be answered with 200 and
// {"allow":bool}, and further "reason" for a refusal, or "name", "iceServers" and "expiresIn" for a grant: the session ends
// after so many milliseconds unless it is renewed, which asks again. What is no such answer in time refuses.
func NewWebhook(rawURL string, options *WebhookOptions) (*Webhook, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the webhook %.200q is no URL like https://host/path", rawURL)
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
func (h *Webhook) Authorize(ctx context.Context, l signal.LoginRequest) (signal.Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, h.options.Timeout)
	defer cancel()
	question, err := json.Marshal(map[string]string{
		"name": l.Name, "token": l.Token, "address": l.Address.String(), "dialect": string(l.Dialect),
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
	req.Header.Set("Content-Type", "application/json")
	resp, err := h.options.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("it answered %.100q", resp.Status)
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

// decision reads the answer of a webhook. Member names match to the letter, and of a repeated member
// the last counts, which decoding into a struct would not do.
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
		return signal.Identity{}, errors.New("the webhook's answer is no object with allow: true or false")
	}
	identity := signal.Identity{ICEServers: iceServers(members["iceServers"])}
	if value := members["expiresIn"]; len(value) > 0 {
		var ms int64
		if json.Unmarshal(value, &ms) != nil || ms <= 0 {
			return signal.Identity{}, fmt.Errorf("invalid expiresIn %.20q from the webhook: want a positive number of milliseconds", value)
		}
		identity.Expires = time.Now().Add(time.Duration(min(ms, maxExpiresIn)) * time.Millisecond)
	}
	if name := members["name"]; len(name) > 0 && name[0] == '"' {
		identity.Name = stringOf(name)
		if err := signal.CheckName(identity.Name); err != nil {
			return signal.Identity{}, fmt.Errorf("the webhook gives a name that cannot be one: %w", err)
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

// iceServers returns the valid servers of a JSON array of {urls, username, credential}, where urls is
// a string or an array of strings.
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
