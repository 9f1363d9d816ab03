// Command pion is one end of a call by pion/webrtc, for make bench-media: its examples
// play-from-disk and save-to-disk, with the descriptions exchanged over a Unix socket.
//
//	pion send SOCKET FILE.ivf    sends VP8 at 30 frames per second, over and over
//	pion take SOCKET FILE.ivf    records what is received
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/intervalpli"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
	"github.com/pion/webrtc/v4/pkg/media/ivfwriter"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: pion send|take SOCKET FILE.ivf")
		os.Exit(2)
	}
	run := map[string]func(socket, file string) error{"send": send, "take": take}[os.Args[1]]
	if err := run(os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "pion:", err)
		os.Exit(1)
	}
}

// newConnection returns a connection as the examples set it up, and a channel that is closed once
// it is connected.
func newConnection() (*webrtc.PeerConnection, <-chan struct{}, error) {
	m, i := &webrtc.MediaEngine{}, &interceptor.Registry{}
	pli, err := intervalpli.NewReceiverInterceptor()
	if err := errors.Join(err, m.RegisterDefaultCodecs()); err != nil {
		return nil, nil, err
	}
	i.Add(pli)
	if err := webrtc.RegisterDefaultInterceptors(m, i); err != nil {
		return nil, nil, err
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	pc, err := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(i), webrtc.WithSettingEngine(settings)).
		NewPeerConnection(webrtc.Configuration{})
	connected := make(chan struct{})
	if err == nil {
		pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
			if s == webrtc.PeerConnectionStateConnected {
				fmt.Println("connected")
				close(connected)
			}
		})
	}
	return pc, connected, err
}

// describe sets the local description and returns it with all candidates.
func describe(pc *webrtc.PeerConnection, d webrtc.SessionDescription) (*webrtc.SessionDescription, error) {
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(d); err != nil {
		return nil, err
	}
	<-gathered
	return pc.LocalDescription(), nil
}

func send(socket, file string) error {
	pc, connected, err := newConnection()
	if err != nil {
		return err
	}
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "video", "pion")
	if err != nil {
		return err
	}
	sender, err := pc.AddTrack(track)
	if err != nil {
		return err
	}
	go func() {
		for b := make([]byte, 1500); ; {
			if _, _, err := sender.Read(b); err != nil {
				return
			}
		}
	}()
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	local, err := describe(pc, offer)
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	var answer webrtc.SessionDescription
	if err := errors.Join(json.NewEncoder(conn).Encode(local), json.NewDecoder(conn).Decode(&answer)); err != nil {
		return err
	}
	if err := pc.SetRemoteDescription(answer); err != nil {
		return err
	}
	<-connected
	tick := time.NewTicker(time.Second / 30)
	for {
		if err := play(track, file, tick); err != nil {
			return err
		}
	}
}

// play sends the frames of a file.
func play(track *webrtc.TrackLocalStaticSample, file string, tick *time.Ticker) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	reader, _, err := ivfreader.NewWith(f)
	for err == nil {
		var frame []byte
		if frame, _, err = reader.ParseNextFrame(); err == nil {
			err = track.WriteSample(media.Sample{Data: frame, Duration: time.Second / 30})
			<-tick.C
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func take(socket, file string) error {
	pc, _, err := newConnection()
	if err != nil {
		return err
	}
	writer, err := ivfwriter.New(file)
	if err != nil {
		return err
	}
	failed := make(chan error)
	pc.OnTrack(func(t *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			packet, _, err := t.ReadRTP()
			if err == nil {
				err = writer.WriteRTP(packet)
			}
			if err != nil {
				failed <- err
				return
			}
		}
	})
	var conn net.Conn
	for conn == nil {
		if conn, err = net.Dial("unix", socket); err != nil {
			time.Sleep(10 * time.Millisecond) // the other end makes it
		}
	}
	var offer webrtc.SessionDescription
	if err := json.NewDecoder(conn).Decode(&offer); err != nil {
		return err
	}
	if err := pc.SetRemoteDescription(offer); err != nil {
		return err
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	local, err := describe(pc, answer)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(conn).Encode(local); err != nil {
		return err
	}
	return <-failed
}
