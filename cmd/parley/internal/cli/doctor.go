package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/doctor"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/signaling"
	"parley/cmd/parley/internal/stdio"
	"parley/peer"
	"parley/signal"
	"parley/signal/whip/client"
)

func doctorCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "report why a call connects or does not",
		ArgsUsage: "[NAME|URL]",
		Description: `Checks the addresses of this machine, the signaling server, the STUN and TURN servers
that it hands out or --ice-server names, and the NAT. With NAME it also calls NAME,
receives media and sends none, and reports the result of each candidate pair.

   parley doctor
   parley doctor --server wss://call.example.org bob
   parley doctor --ice-server stun:stun.example.org --ice-policy relay bob
   parley doctor wheps://live.example.org/whep/cam
   parley doctor --health http://127.0.0.1:9091   # is that server ready?

Each finding is a line on stdout: ok, note (good to know) or bad. The exit code is 0 if
nothing prevents a call, 10 or 11 if the signaling server does, 12 if NAME is absent,
and 40 if there is no connection, or no ICE server answers.`,
		Flags: slices.Concat(config.SignalingFlags(""), config.NetworkFlags(), config.WHIPFlags(),
			[]cli.Flag{
				config.String("health", "", "check only that a server is ready, by the `URL` of its --admin; for health checks of containers"),
				config.Duration("timeout", 20*time.Second, "end the call after `D` without a connection"),
			}, config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			s, r, err := readOptions(cmd, std)
			if err != nil {
				return err
			}
			defer r.Report.CloseInto(&err)
			report := func(f doctor.Finding) {
				r.Report.Report(event.Event{Name: "check", Fields: append(event.Fields("check", f.Check, "result", f.Result, "text", f.Text), f.Fields...),
					Output: fmt.Sprintf("%-5s %-10s %s", f.Result, f.Check, f.Text)})
			}
			if url := cmd.String("health"); url != "" {
				if cmd.Args().Present() {
					return exit.Usagef("--health calls nobody: give it without NAME")
				}
				return doctor.CheckHealth(ctx, url, report)
			}
			name := ""
			if cmd.Args().Present() {
				if name, err = readDoctorTarget(cmd, s); err != nil {
					return err
				}
			}
			media, err := doctorMedia(s)
			if err != nil {
				return err
			}
			if s.Name == "" {
				s.Name = "doctor-" + randomHex(3)
			}
			if err := r.Open(s.ResourcesOptions()); err != nil {
				return err
			}
			defer r.Close()
			emulator := r.NewEmulator(s.Network)
			if emulator != nil {
				defer emulator.Close()
			}
			return doctor.Run(ctx, doctor.Options{
				Server: s.Server, As: s.Name, Peer: name, Timeout: s.Timeout, ICEServers: s.ICEServers, Endpoint: s.Endpoint != nil, Program: s.Program != "",
				Call: peer.Config{
					NoRenegotiation: s.Endpoint != nil, Media: media,
					ICE: peer.ICEConfig{TLS: s.TLS, RelayOnly: s.RelayOnly, Loopback: resources.OffersLoopback(s.Server), MinPort: s.MinPort, MaxPort: s.MaxPort,
						UDPMux: r.UDPMux, TCPMux: r.TCPMux, AdvertiseIPs: s.AdvertiseIPs, Interfaces: s.Interfaces, GatherAfterAnswer: s.GatherAfter},
					Netem: emulator, KeyLog: r.KeyLog, Logger: r.Logger,
				},
				SignIn: func(ctx context.Context) (doctor.Conn, error) {
					var have client.Capabilities
					var err error
					if s.Endpoint != nil {
						if have, err = askEndpoint(ctx, s); err != nil {
							return nil, err
						}
					}
					l, err := signaling.SignIn(ctx, session.SignalingOptions(s, r))
					return doctorConn{l, have}, err
				},
				Report: report,
			})
		},
	}
}

// readDoctorTarget reads the operand: a URL, which is noted in the options, or a name. A whip URL
// needs no source.
func readDoctorTarget(cmd *cli.Command, s *session.Options) (name string, err error) {
	scheme, _, _ := strings.Cut(strings.ToLower(cmd.Args().First()), ":")
	if s.WHIP, err = config.ReadWHIP(cmd, cmd.Args().First(), scheme == "whip" || scheme == "whips"); err != nil {
		return "", err
	}
	if s.Endpoint == nil || cmd.Args().Len() > 1 {
		return config.Peer(cmd, "")
	}
	s.Server = s.Endpoint.URL.String()
	return s.WHIP.URL, nil
}

// doctorMedia returns the media of the call: nothing is sent, but a whip URL is offered a track of
// each kind.
func doctorMedia(s *session.Options) (peer.MediaConfig, error) {
	if !s.Publishes() {
		return peer.MediaConfig{Receive: []webrtc.RTPCodecType{webrtc.RTPCodecTypeAudio, webrtc.RTPCodecTypeVideo}}, nil
	}
	media := peer.MediaConfig{SendOnly: true}
	for kind, mime := range map[string]string{"audio": webrtc.MimeTypeOpus, "video": webrtc.MimeTypeVP8} {
		t, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: mime}, kind, "doctor")
		if err != nil {
			return media, err
		}
		media.Tracks = append(media.Tracks, t)
	}
	return media, nil
}

// askEndpoint asks a URL for its capabilities, to see whether the server is reached.
func askEndpoint(ctx context.Context, s *session.Options) (client.Capabilities, error) {
	c := client.New(*s.Endpoint, client.Options{Token: s.Token, Header: s.Header, TLS: s.TLS})
	defer c.Close()
	return c.Options(ctx)
}

// doctorConn implements doctor.Conn.
type doctorConn struct {
	conn     *signaling.Conn
	endpoint client.Capabilities // of a URL
}

func (c doctorConn) TLS() string                        { return cmp.Or(c.endpoint.TLS, c.conn.Connection().TLS) }
func (c doctorConn) Node() string                       { return c.conn.Connection().Node }
func (c doctorConn) ICEServers() []webrtc.ICEServer     { return c.conn.HandedOut() }
func (c doctorConn) Signaler(name string) peer.Signaler { return c.conn.To(name) }
func (c doctorConn) Close()                             { c.conn.Close() }

func (c doctorConn) Receive(ctx context.Context) (signal.Message, error) { return c.conn.Receive(ctx) }

func (c doctorConn) Deliver(call *peer.Call, m signal.Message) {
	signaling.Deliver(call, m)
}
