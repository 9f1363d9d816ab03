//go:build linux

package network

import (
	"context"
	"fmt"
	"os"
	ossignal "os/signal"
	"strings"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"

	"parley/signal"
	"parley/signal/client"
)

// hiddenPeer is a program that answers one call as a browser does that hides its
// addresses: its candidates are .local names, which multicast DNS resolves. It
// takes no candidates, so nobody is found but by its name.
func hiddenPeer() {
	if err := hide(os.Args[1], os.Args[2]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func hide(server, name string) error {
	ctx, stop := ossignal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	client, err := client.Dial(ctx, server, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Login(ctx, name); err != nil {
		return err
	}
	settings := webrtc.SettingEngine{}
	settings.SetICEMulticastDNSMode(ice.MulticastDNSModeQueryAndGather)
	family := webrtc.NetworkTypeUDP4
	if strings.HasPrefix(server, "ws://[") {
		family = webrtc.NetworkTypeUDP6
	}
	settings.SetNetworkTypes([]webrtc.NetworkType{family})
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return err
	}
	defer pc.GracefulClose()
	fmt.Println("hidden")
	for {
		m, err := client.Receive(ctx)
		if err != nil || m.Type == signal.Leave {
			return nil
		}
		if m.Type != signal.Offer {
			continue
		}
		if err := answerHidden(ctx, pc, client, m); err != nil {
			return err
		}
	}
}

// answerHidden answers with all candidates in the description.
func answerHidden(ctx context.Context, pc *webrtc.PeerConnection, client *client.Client, m signal.Message) error {
	var offer []string
	for line := range strings.Lines(m.SDP) {
		if !strings.HasPrefix(line, "a=candidate:") {
			offer = append(offer, line)
		}
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: strings.Join(offer, "")}); err != nil {
		return err
	}
	complete := webrtc.GatheringCompletePromise(pc)
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	if err := pc.SetLocalDescription(answer); err != nil {
		return err
	}
	<-complete
	return client.Send(ctx, signal.Message{Type: signal.Answer, Peer: m.Peer, SDP: pc.LocalDescription().SDP})
}
