package server_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"

	"parley/signal/client"
	"parley/signal/server"
)

func ExampleServer() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- server.New(nil).Run(ctx, listener) }()

	c, err := client.Dial(ctx, listener.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("login:", c.Login(ctx, "alice"))
	_ = c.Close()

	cancel()
	fmt.Println("served:", <-served)
	// Output:
	// login: <nil>
	// served: <nil>
}

// A server is a handler, so it can be part of an existing web server, beside its pages.
func ExampleServer_ServeHTTP() {
	signaling := server.New(nil)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /about", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "our pages") })
	mux.Handle("/signaling", signaling)
	web := httptest.NewServer(mux)
	defer web.Close()
	defer signaling.Close()

	ctx := context.Background()
	c, err := client.Dial(ctx, "ws"+strings.TrimPrefix(web.URL, "http")+"/signaling", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println("login:", c.Login(ctx, "alice"))
	// Output: login: <nil>
}
