package peer_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/pion/webrtc/v4"
	pionmedia "github.com/pion/webrtc/v4/pkg/media"

	"parley/peer"
	"parley/peer/datachannel"
)

// wire is a Signaler that delivers to a call in the same process. Others send a message of their
// own protocol, and deliver what they receive in the same way.
type wire struct{ to func() *peer.Call }

func (w wire) Offer(_ context.Context, d peer.SessionDescription) error {
	w.to().DeliverOffer(d)
	return nil
}

func (w wire) Answer(_ context.Context, d peer.SessionDescription) error {
	w.to().DeliverAnswer(d)
	return nil
}

func (w wire) Candidate(_ context.Context, c webrtc.ICECandidateInit) error {
	w.to().DeliverCandidate(c)
	return nil
}

func (w wire) Leave(context.Context) error {
	w.to().DeliverLeave()
	return nil
}

// connect makes two calls that are connected by wires.
func connect(caller, answerer peer.Config) (from, to *peer.Call) {
	var err error
	caller.Caller = true
	caller.ICE.Loopback, answerer.ICE.Loopback = true, true
	caller.Signaler = wire{func() *peer.Call { return to }}
	answerer.Signaler = wire{func() *peer.Call { return from }}
	if from, err = peer.New(caller); err != nil {
		log.Fatal(err)
	}
	if to, err = peer.New(answerer); err != nil {
		log.Fatal(err)
	}
	return from, to
}

// A caller opens a data channel, says a line and hangs up when the answer has come.
func ExampleCall() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var alice, bob *peer.Call
	alice, bob = connect(
		peer.Config{
			Channels: []datachannel.Options{{Label: "chat"}},
			OnEvent: func(e peer.Event) {
				switch e := e.(type) {
				case peer.ChannelOpened:
					alice.Say("hello bob")
				case peer.MessageReceived:
					fmt.Printf("bob: %s\n", e.Data)
					alice.Hangup()
				}
			},
		},
		peer.Config{
			OnEvent: func(e peer.Event) {
				if e, ok := e.(peer.MessageReceived); ok {
					fmt.Printf("alice: %s\n", e.Data)
					bob.Say("hello alice")
				}
			},
		})
	ended := make(chan error)
	go func() {
		end, err := bob.Run(ctx)
		fmt.Println("peer left:", end == peer.PeerLeft)
		ended <- err
	}()
	if _, err := alice.Run(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-ended)
	// Output:
	// alice: hello bob
	// bob: hello alice
	// peer left: true
	// <nil>
}

// A call sends a track, here with samples of silence. The answerer reads its packets.
func ExampleCall_track() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus}, "audio", "alice")
	if err != nil {
		log.Fatal(err)
	}
	received := make(chan *webrtc.TrackRemote, 1)
	alice, bob := connect(
		peer.Config{Media: peer.MediaConfig{Tracks: []webrtc.TrackLocal{track}}},
		peer.Config{
			Media: peer.MediaConfig{Receive: []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio}},
			OnEvent: func(e peer.Event) {
				if e, ok := e.(peer.TrackReceived); ok {
					received <- e.Track
				}
			},
		})
	ended := make(chan error, 2)
	for _, call := range []*peer.Call{alice, bob} {
		go func() {
			_, err := call.Run(ctx)
			ended <- err
		}()
	}
	silence := pionmedia.Sample{Data: []byte{0xf8, 0xff, 0xfe}, Duration: 20 * time.Millisecond}
	ticker := time.NewTicker(silence.Duration)
	defer ticker.Stop()
	for remote := (*webrtc.TrackRemote)(nil); remote == nil; {
		select {
		case remote = <-received:
			packet, _, err := remote.ReadRTP()
			fmt.Println(remote.Codec().MimeType, len(packet.Payload), err)
		case <-ticker.C:
			if err := track.WriteSample(silence); err != nil {
				log.Fatal(err)
			}
		}
	}
	alice.Hangup()
	fmt.Println(<-ended, <-ended)
	// Output:
	// audio/opus 3 <nil>
	// <nil> <nil>
}
