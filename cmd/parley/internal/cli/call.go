package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/processors"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/show"
	"parley/cmd/parley/internal/stdio"
	"parley/signal"
)

func callCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "call",
		Usage:     "log in and call NAME, or publish to or play from a URL",
		ArgsUsage: "NAME|URL",
		Description: `Calls NAME and stays in the call until somebody hangs up, --duration is over or
all expectations hold. It receives whatever NAME sends; it sends what --video,
--audio and --say name.

   parley call tab --video test --audio test
   parley call tab --say ping --expect text=pong --timeout 10s
   parley call tab --record %p.webm --duration 30s
   parley call tab --video film.mkv --audio film.mkv
   parley call tab --audio 'exec:espeak-ng --stdout "The build is broken."'
   parley call tab --input ndjson <<< '{"id":1,"command":"say","text":"hi"}'
   parley call tab --expect video.size=640x480 --expect video.frames>=30 -q

A URL in place of NAME publishes by WHIP or plays by WHEP, see parley help whip:
   parley call whip://localhost:9090/whip/cam --video test --audio test
   parley call wheps://live.example.org/whep/cam --record %t.webm --play

Without any server, each of the two pastes the line that the other one shows:
   parley call --manual --video test      # with: parley answer --manual

Other signaling systems are reached by a program, see parley help adapters:
   parley call bob --signaling 'exec:./mqtt.py broker.example.org'

In the relay dialect the hello-world page's names are the default:
   parley call --dialect relay --server ws://localhost:8000 --say 'hello!'`,
		Flags:        slices.Concat(config.MediaOutFlags(), config.WaitFlags(), config.CallFlags(45*time.Second), config.WHIPFlags(), config.SignalingFlags(""), config.ManualFlags(), config.SecurityFlags(), config.InputFlags(), config.CaptureFlags(), config.MonitoringFlags(), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			s, r, err := readOptions(cmd, std)
			if err != nil {
				return err
			}
			defer r.Report.CloseInto(&err)
			if err := readManual(cmd, s, true); err != nil {
				return err
			}
			defaultName := ""
			if s.Dialect == signal.DialectRelay {
				defaultName = "Saruman"
			}
			name, err := readTarget(cmd, s, defaultName)
			if err != nil {
				return err
			}
			if s.Name == "" {
				s.Name = ownName(s.Dialect, "Gandalf", "caller-"+randomHex(3))
			}
			leave, err := show.Open(s, r)
			if err != nil {
				return err
			}
			defer leave()
			t, err := openTelemetry(cmd, s, r)
			if err != nil {
				return err
			}
			defer t.Close()
			defer processors.Adapt()()
			return session.Call(ctx, s, r, name)
		},
	}
}

// ownName is the default of --as: the hello-world page's partner in the relay
// dialect.
func ownName(d signal.Dialect, relay, otherwise string) string {
	if d == signal.DialectRelay {
		return relay
	}
	return otherwise
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}
