package server

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
)

const (
	// subprotocol is what a client offers beside tokenPrefix, so that the server has something to agree to that is no secret.
	subprotocol = "parley"
	// tokenPrefix begins a subprotocol that carries a token: a browser can send nothing else with an upgrade.
	tokenPrefix = "parley.token."
	// maxToken bounds a token.
	maxToken = 8 << 10
)

// tokenOf returns the token that came with an upgrade: in a subprotocol, in Authorization, or in the query, in this order.
func tokenOf(r *http.Request) string {
	for _, p := range websocket.Subprotocols(r) {
		if text, ok := strings.CutPrefix(p, tokenPrefix); ok {
			token, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
			if err == nil {
				return bounded(string(token))
			}
		}
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return bounded(strings.TrimSpace(token))
	}
	return bounded(r.URL.Query().Get("token"))
}

func bounded(token string) string {
	if len(token) > maxToken {
		return ""
	}
	return token
}
