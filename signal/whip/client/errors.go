package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"parley/signal"
	"parley/signal/whip"
)

// Kind is why a request failed.
type Kind int

// The kinds of errors.
const (
	Unreachable  Kind = iota + 1 // no response, TLS, or a status of 5xx
	Unauthorized                 // 401 or 403
	Absent                       // 404, 409 or 410: nobody publishes there, or somebody else does
	Refused                      // another status of 4xx
	Unusable                     // a response that is not as the standard wants it
)

// An Error is the error of a request. It can be printed.
type Error struct {
	Kind       Kind
	Method     string
	URL        string        // without its query
	Status     int           // 0 without a response
	Message    string        // of the server, printable; "" for none
	RetryAfter time.Duration // when the server says that the request may be repeated, negative if it does not
	Err        error         // nil if the status says all
}

func (e *Error) Error() string {
	text := e.Method + " " + e.URL + ": "
	switch {
	case e.Err != nil:
		return text + e.Err.Error()
	case e.Message != "":
		return fmt.Sprintf("%s%d %s: %s", text, e.Status, http.StatusText(e.Status), e.Message)
	}
	return strings.TrimSpace(fmt.Sprintf("%s%d %s", text, e.Status, http.StatusText(e.Status)))
}

func (e *Error) Unwrap() error { return e.Err }

// Unsupported reports whether the server does not do what was requested, and will not later.
func (e *Error) Unsupported() bool {
	switch e.Status {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// retryable reports whether an offer may be accepted later.
func (e *Error) retryable() bool {
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	case http.StatusConflict:
		return e.RetryAfter >= 0
	}
	return false
}

// Bounds of the time before an offer is repeated.
const (
	defaultPause = 2 * time.Second // without Retry-After
	minPause     = 250 * time.Millisecond
)

// pause returns the time before the offer is repeated.
func (e *Error) pause() time.Duration {
	if e.RetryAfter < 0 {
		return defaultPause
	}
	return max(minPause, e.RetryAfter)
}

// tokenError is the error of a token that cannot be read.
type tokenError struct{ err error }

func (e *tokenError) Error() string { return e.err.Error() }

// failure returns the error of a request without a response.
func failure(ctx context.Context, method string, to *url.URL, err error, limit time.Duration) *Error {
	e := &Error{Kind: Unreachable, Method: method, URL: display(to), RetryAfter: -1}
	var transport *url.Error
	if errors.As(err, &transport) {
		err = transport.Err // which does not repeat the URL with its query
	}
	text := signal.Printable(err.Error())
	switch {
	case errors.As(err, new(*tokenError)):
		e.Kind, e.Err = Unauthorized, fmt.Errorf("failed to read the token: %w", err)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		e.Err = fmt.Errorf("the server does not answer within %s: %w", limit, context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		e.Err = context.Canceled
	case strings.Contains(text, "headers exceeded"), strings.Contains(text, "header list too large"):
		e.Kind, e.Err = Unusable, fmt.Errorf("invalid response: its header fields have more than %d bytes", whip.MaxHeader)
	default:
		e.Err = fmt.Errorf("failed to reach the server: %s", text)
	}
	return e
}

// refused returns the error for the status of a response.
func (r *response) refused() *Error {
	e := r.newError()
	e.Message = whip.ReadProblem(r.header.Get("Content-Type"), r.body)
	e.RetryAfter = -1
	if after, ok := whip.ParseRetryAfter(r.header, time.Now()); ok {
		e.RetryAfter = after
	}
	switch s := r.status; {
	case s >= 500:
		e.Kind = Unreachable
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		e.Kind = Unauthorized
	case s == http.StatusNotFound, s == http.StatusConflict, s == http.StatusGone:
		e.Kind = Absent
	case s >= 400:
		e.Kind = Refused
	case s >= 300:
		e.Kind, e.Err = Unusable, fmt.Errorf("answers with %d, want 307 for a redirect (RFC 9725 section 4.5)", s)
	default:
		e.Kind, e.Err = Unusable, fmt.Errorf("answers with %d, want 201 Created (RFC 9725 section 4.2)", s)
	}
	return e
}

// unusable returns the error for a response that is not as it should be.
func (r *response) unusable(err error) *Error {
	e := r.newError()
	e.Kind, e.Err = Unusable, err
	return e
}

func (r *response) newError() *Error {
	return &Error{Method: r.method, URL: display(r.url), Status: r.status, RetryAfter: -1}
}
