package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"parley/signal/cluster"
	"parley/signal/whip"
)

// A session belongs to one node, and a load balancer may send its requests to any. The URL of the
// session has the ID of its node, to which the others pass the request on, once. That node checks
// the token, too.

// newKey returns the last part of the URL of a new session.
func (g *Gateway) newKey() string {
	if g.requester == nil {
		return rand.Text()
	}
	return g.node.ID().String() + "-" + rand.Text()
}

// elsewhere returns the node of a session, and false if that is this one.
func (g *Gateway) elsewhere(key string) (node cluster.NodeID, ok bool) {
	text, _, ok := strings.Cut(key, "-")
	if !ok || g.requester == nil {
		return node, false
	}
	node, ok = cluster.ParseNodeID(text)
	return node, ok && node != g.node.ID()
}

// forwardedRequest is the JSON value of a request that another node has received.
type forwardedRequest struct {
	Method  string      `json:"method"`
	Path    string      `json:"path"`
	Address netip.Addr  `json:"address"` // of the client
	Header  http.Header `json:"header"`
	Body    []byte      `json:"body"`
}

// forwardedResponse is the JSON value of the response to a forwardedRequest.
type forwardedResponse struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// The header fields that matter to another node.
var (
	requestFields  = [...]string{"Authorization", "Content-Type", "If-Match"}
	responseFields = [...]string{"Allow", "Content-Type", "Etag", "Retry-After", "Www-Authenticate"}
)

// copyFields copies some fields of a header.
func copyFields(to, from http.Header, names []string) {
	for _, name := range names {
		if values := from[name]; len(values) > 0 {
			to[name] = values
		}
	}
}

// forwardSlack is how long a request that was passed on may take beside the wait for the user.
const forwardSlack = 10 * time.Second

// forward passes a request on to the node of its session. The error is a *refusal, or the client is
// gone.
func (g *Gateway) forward(w http.ResponseWriter, r *http.Request, res resource, node cluster.NodeID) error {
	body, err := readBody(w, r, whip.MaxFragment)
	if err != nil {
		return err
	}
	f := forwardedRequest{r.Method, r.URL.EscapedPath(), g.signaling.ClientAddr(r), make(http.Header), body}
	copyFields(f.Header, r.Header, requestFields[:])
	request, err := json.Marshal(f)
	if err != nil {
		return refuse(http.StatusBadRequest, "the request cannot be passed on to the server of the session")
	}
	if len(request) > cluster.MaxRequest {
		return refuse(http.StatusRequestHeaderFieldsTooLarge, "the header is too long")
	}
	g.extendDeadlines(w)
	timeout := forwardSlack
	if r.Method == http.MethodPatch { // may wait for the user
		timeout += g.options.RestartTimeout + g.options.GatherTimeout
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	defer context.AfterFunc(g.ctx, cancel)()
	reply, err := g.requester.Request(ctx, node, request)
	var answer forwardedResponse
	if err == nil {
		err = json.Unmarshal(reply, &answer)
	}
	switch {
	case errors.Is(err, cluster.ErrAbsent): // the sessions of a node end with it
		if _, err := g.authenticate(r, res); err != nil {
			return err
		}
		return refuse(http.StatusNotFound, noSession)
	case r.Context().Err() != nil:
		return r.Context().Err()
	case err != nil || answer.Status < http.StatusOK || answer.Status > 599:
		g.log.Debug("the node of a WHIP or WHEP session was not reached", slog.String("node", node.String()), slog.Any("error", err))
		return &refusal{status: http.StatusServiceUnavailable, detail: "the server of the session cannot be reached now; try again later", retryAfter: retryLater}
	}
	copyFields(w.Header(), answer.Header, responseFields[:])
	w.WriteHeader(answer.Status)
	_, _ = w.Write(answer.Body)
	return nil
}

// handleForwarded handles a request that another node has received, and returns the response.
func (g *Gateway) handleForwarded(ctx context.Context, request []byte) (reply []byte) {
	w := &recorder{header: make(http.Header)}
	if r, res, ok := g.parseForwarded(ctx, request); ok {
		g.serveSession(w, r, res)
	} else {
		refuse(http.StatusNotFound, noSession).write(w)
	}
	answer := forwardedResponse{w.status, make(http.Header), w.body.Bytes()}
	copyFields(answer.Header, w.header, responseFields[:])
	reply, err := json.Marshal(answer)
	if err != nil || len(reply) > cluster.MaxRequest {
		g.log.Warn("a response to another node was dropped", slog.Int("bytes", len(reply)), slog.Any("error", err))
		return nil
	}
	return reply
}

// parseForwarded returns the request, and false if it is not for a session of this node.
func (g *Gateway) parseForwarded(ctx context.Context, request []byte) (r *http.Request, res resource, ok bool) {
	var f forwardedRequest
	if json.Unmarshal(request, &f) != nil || len(f.Body) > whip.MaxFragment {
		return nil, res, false
	}
	res, err := g.parsePath(f.Path)
	if err != nil || res.key == "" {
		return nil, res, false
	}
	if _, elsewhere := g.elsewhere(res.key); elsewhere {
		return nil, res, false
	}
	r, err = http.NewRequestWithContext(ctx, f.Method, f.Path, bytes.NewReader(f.Body))
	if err != nil {
		return nil, res, false
	}
	copyFields(r.Header, f.Header, requestFields[:])
	r.RemoteAddr = netip.AddrPortFrom(f.Address, 0).String()
	return r, res, true
}

// recorder keeps a response.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *recorder) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
