package cli

import (
	"context"
	"fmt"
	"slices"
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
)

func doctorCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "report why a call connects or does not",
		ArgsUsage: "[NAME]",
		Description: `Checks the addresses of this machine, the signaling server, the STUN and TURN servers
that it hands out or --ice-server names, and the NAT. With NAME it also calls NAME,
receives media and sends none, and reports the result of each candidate pair.

   parley doctor
   parley doctor --server wss://call.example.org bob
   parley doctor --ice-server stun:stun.example.org --ice-policy relay bob
   parley doctor --health http://127.0.0.1:9091   # is that server ready?

Each finding is a line on stdout: ok, note (good to know) or bad. The exit code is 0 if
nothing prevents a call, 10 or 11 if the signaling server does, 12 if NAME is absent,
and 40 if there is no connection, or no ICE server answers.`,
		Flags: slices.Concat(config.SignalingFlags(""), config.NetworkFlags(),
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
				if name, err = config.Peer(cmd, ""); err != nil {
					return err
				}
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
				Server: s.Server, As: s.Name, Peer: name, Timeout: s.Timeout, ICEServers: s.ICEServers,
				Call: peer.Config{
					ICE: peer.ICEConfig{TLS: s.TLS, RelayOnly: s.RelayOnly, Loopback: resources.OffersLoopback(s.Server), MinPort: s.MinPort, MaxPort: s.MaxPort,
						UDPMux: r.UDPMux, TCPMux: r.TCPMux, AdvertiseIPs: s.AdvertiseIPs, Interfaces: s.Interfaces},
					Netem: emulator, KeyLog: r.KeyLog, Logger: r.Logger,
				},
				SignIn: func(ctx context.Context) (doctor.Conn, error) {
					l, err := signaling.SignIn(ctx, session.SignalingOptions(s, r))
					return doctorConn{l}, err
				},
				Report: report,
			})
		},
	}
}

// doctorConn implements doctor.Conn.
type doctorConn struct{ conn *signaling.Conn }

func (c doctorConn) TLS() string                        { return c.conn.Connection().TLS }
func (c doctorConn) Node() string                       { return c.conn.Connection().Node }
func (c doctorConn) ICEServers() []webrtc.ICEServer     { return c.conn.HandedOut() }
func (c doctorConn) Signaler(name string) peer.Signaler { return c.conn.To(name) }
func (c doctorConn) Close()                             { c.conn.Close() }

func (c doctorConn) Receive(ctx context.Context) (signal.Message, error) { return c.conn.Receive(ctx) }

func (c doctorConn) Deliver(call *peer.Call, m signal.Message) {
	signaling.Deliver(call, m)
}
