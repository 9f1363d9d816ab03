package main

import (
	"os"

	"parley/peer"
	"parley/peer/datachannel"
	"parley/peer/peertest/ends"
)

// runEnd makes one call after the other, as stdin says.
func runEnd() error {
	e := ends.NewEnd(os.Stdout)
	e.Configure = func(m ends.Message) peer.Config {
		return peer.Config{
			Caller: m.Offers, Impolite: m.Offers, Channels: []datachannel.Options{{Label: "channel1"}},
			OnEvent: func(event peer.Event) {
				if _, ok := event.(peer.ChannelOpened); ok {
					_ = e.Say(ends.Message{Do: "open"}) // a lost line is noticed by who waits for it
				}
			},
		}
	}
	return e.Run(os.Stdin)
}
