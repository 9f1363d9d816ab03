package client_test

import (
	"context"
	"fmt"
	"log"
	"net"

	"parley/signal"
	"parley/signal/client"
	"parley/signal/server"
)

func ExampleDial() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- server.New(nil).Run(ctx, listener) }()
	defer func() { cancel(); <-served }()

	clients := make(map[string]*client.Client)
	for _, name := range []string{"alice", "bob"} {
		c, err := client.Dial(ctx, "ws://"+listener.Addr().String(), nil)
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		if err := c.Login(ctx, name); err != nil {
			log.Fatal(err)
		}
		clients[name] = c
	}

	_ = clients["alice"].Send(ctx, signal.Message{Type: signal.Offer, Peer: "bob", SDP: "v=0"})
	m, err := clients["bob"].Receive(ctx)
	fmt.Println(m.Type, "from", m.Peer, err)

	_ = clients["bob"].Send(ctx, signal.Message{Type: signal.Answer, Peer: m.Peer, SDP: "v=0"})
	m, err = clients["alice"].Receive(ctx)
	fmt.Println(m.Type, "from", m.Peer, err)

	_ = clients["bob"].Close()
	m, err = clients["alice"].Receive(ctx)
	fmt.Println(m.Type, "from", m.Peer, err)
	// Output:
	// offer from alice <nil>
	// answer from bob <nil>
	// leave from bob <nil>
}
