package server_test

import (
	"context"
	"fmt"
	"log"
	"net"

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
