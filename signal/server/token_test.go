package server_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"parley/signal"
	"parley/signal/server"
	"parley/signal/signaltest"
)

// TestToken brings the token in each of the ways, and finds it in no log.
func TestToken(t *testing.T) {
	var log lockedBuffer
	auth := &fakeAuth{}
	url := signaltest.Start(t, &server.Options{Auth: auth, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	protocol := func(token string) http.Header {
		return http.Header{"Sec-Websocket-Protocol": {"parley, parley.token." + b64([]byte(token))}}
	}
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"bearer " + token}} }
	for name, tc := range map[string]struct {
		query, login string
		header       http.Header
		want         string
	}{
		"in the login":                  {"", `,"token":"open"`, nil, "open"},
		"in the query":                  {"/?token=open", "", nil, "open"},
		"in the header":                 {"", "", bearer("open"), "open"},
		"in the subprotocol":            {"", "", protocol("open"), "open"},
		"the login before all":          {"/?token=q", `,"token":"open"`, protocol("p"), "open"},
		"the subprotocol before others": {"/?token=q", "", both(protocol("open"), bearer("h")), "open"},
		"the header before the query":   {"/?token=q", "", bearer("open"), "open"},
		"basic is no token":             {"", "", http.Header{"Authorization": {"Basic open"}}, ""},
		"too long":                      {"", "", bearer(strings.Repeat("x", 8<<10+1)), ""},
		"wrong":                         {"/?token=sesame", "", nil, "sesame"},
	} {
		t.Run(name, func(t *testing.T) {
			ws, resp, err := websocket.DefaultDialer.Dial(url+tc.query, tc.header)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			if got := resp.Header.Get("Sec-Websocket-Protocol"); got != "" && got != "parley" || got == "" && tc.header["Sec-Websocket-Protocol"] != nil {
				t.Errorf("agreed to %q", got)
			}
			if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"type":"login","name":"n`+b64([]byte(name))+`"`+tc.login+`}`)); err != nil {
				t.Fatal(err)
			}
			_ = ws.SetReadDeadline(time.Now().Add(patience))
			want := `{"type":"login","success":true}`
			if tc.want != "open" {
				want = `{"type":"login","success":false,"code":"unauthorized","message":"not with that token"}`
			}
			if err := means(ws, want); err != nil {
				t.Error(err)
			}
			if tc.want != "open" {
				if err := closedWith(ws, 4401); err != nil {
					t.Error(err)
				}
			}
			auth.mu.Lock()
			defer auth.mu.Unlock()
			if got := auth.asked[len(auth.asked)-1]; got.Token != tc.want || got.Address.String() != "127.0.0.1" || got.Dialect != signal.DialectCall {
				t.Errorf("the auth was asked %+v", got)
			}
		})
	}
	for _, word := range []string{"open", "sesame", b64([]byte("open"))} {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log holds %q:\n%s", word, log.String())
		}
	}
	if !strings.Contains(log.String(), "signed in") {
		t.Error("the log holds nothing")
	}
}

func both(a, b http.Header) http.Header {
	all := a.Clone()
	for k, v := range b {
		all[k] = v
	}
	return all
}
