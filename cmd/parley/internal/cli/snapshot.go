package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/session"
	"parley/cmd/parley/internal/stdio"
	"parley/media"
	"parley/media/decoder"
	"parley/media/pixel"
	"parley/signal"
)

func snapshotCommand(std stdio.Streams) *cli.Command {
	return &cli.Command{
		Name:      "snapshot",
		Usage:     "save one frame of NAME",
		ArgsUsage: "NAME|URL FILE",
		Description: `Calls NAME, saves one frame of what NAME sends, and hangs up. FILE ends with .png
or .jpg; - is a PNG on standard output.

   parley snapshot tab door.png
   parley snapshot tab - | imv -
   parley snapshot tab door.jpg --after 3s --timeout 10s

The exit code is 0 if there is a frame, 4 if none came in time, 12 if
NAME is not there, 20 if FILE cannot be written or nothing decodes what came.`,
		Flags: slices.Concat(config.SignalingFlags(""), config.WaitFlags(), config.WHIPFlags(), []cli.Flag{
			config.Duration("after", time.Second, "save the frame `D` after the first one: the first ones of a call are coarse"),
		}, slices.DeleteFunc(config.CallFlags(30*time.Second), func(f cli.Flag) bool {
			return slices.Contains([]string{"say", "expect", "record", "record-split", "show", "duration", "linger", "stats-interval"}, f.Names()[0])
		}), config.OutputFlags()),
		OnUsageError: config.UsageError,
		Action: func(ctx context.Context, cmd *cli.Command) (err error) {
			args := cmd.Args().Slice()
			if len(args) != 2 {
				return exit.Usagef("snapshot takes a name and a file; see %s --help", cmd.FullName())
			}
			s, r, err := readOptions(cmd, std)
			if err != nil {
				return err
			}
			defer r.Report.CloseInto(&err)
			name := args[0]
			if s.WHIP, err = config.ReadWHIP(cmd, name, false); err != nil {
				return err
			}
			if s.Endpoint != nil {
				name, s.Server = s.WHIP.URL, s.Endpoint.URL.String()
			} else if err := signal.CheckPeerName(name); err != nil {
				return exit.Usagef("invalid name %q: %v", sanitize.Text(name), err)
			}
			if s.Name == "" {
				s.Name = ownName(s.Dialect, "Gandalf", "caller-"+randomHex(3))
			}
			return snapshot(ctx, s, r, std, name, args[1], cmd.Duration("after"))
		},
	}
}

// snapshot saves one frame.
func snapshot(ctx context.Context, s *session.Options, r *resources.Resources, std stdio.Streams, name, path string, after time.Duration) error {
	if err := checkSnapshot(path); err != nil {
		return err
	}
	if path == "-" {
		r.Report.Out = io.Discard // it belongs to the image
	}
	s.PreferDecodable()
	calling, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	viewer := &snapshotViewer{after: after, stop: stop}
	r.Watcher = viewer
	if s.Timeout > 0 {
		timer := time.AfterFunc(math.MaxInt64, func() {
			stop(exit.Errorf(exit.Timeout, "%s sent no frame within %s", sanitize.Text(name), s.Timeout))
		})
		defer timer.Stop()
		s.Attach = append(s.Attach, func(c *session.Session) {
			c.Observe(session.Observer{Event: func(e event.Event) {
				if e.Name == "call" && !c.IsPeerAwaited() || e.Name == "presence" && e.Text("state") == "present" {
					// A little later than the call, which knows more of why it did not come about.
					timer.Reset(s.TimeLeft + 500*time.Millisecond)
				}
			}})
		})
	}
	err := session.Call(calling, s, r, name)
	viewer.mu.Lock()
	defer viewer.mu.Unlock()
	var cause *exit.Error
	switch {
	case viewer.frame != nil:
		return writeSnapshot(std, r, path, viewer.frame)
	case exit.Interruption(ctx) != nil:
		return exit.Interruption(ctx)
	case errors.As(context.Cause(calling), &cause):
		return cause
	case err == nil:
		return exit.Errorf(exit.Failure, "%s hung up before a frame came", sanitize.Text(name))
	}
	return err
}

// checkSnapshot finds out, before a call, what would be wrong with the file.
func checkSnapshot(path string) error {
	if path == "-" {
		return nil
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png", ".jpg", ".jpeg":
	default:
		return exit.Usagef("invalid name of a snapshot %s: want .png or .jpg at its end", sanitize.Text(path))
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return exit.Errorf(exit.Device, "%s: there is no folder %s", sanitize.Text(path), sanitize.Text(filepath.Dir(path)))
	}
	return nil
}

func writeSnapshot(std stdio.Streams, r *resources.Resources, path string, frame *image.RGBA) error {
	var b bytes.Buffer
	var err error
	if strings.HasPrefix(strings.ToLower(filepath.Ext(path)), ".jp") {
		err = jpeg.Encode(&b, frame, &jpeg.Options{Quality: 92})
	} else {
		err = png.Encode(&b, frame)
	}
	if err == nil && path == "-" {
		_, err = std.Out.Write(b.Bytes())
	} else if err == nil {
		err = os.WriteFile(path, b.Bytes(), 0o666) //nolint:gosec // as any program's output
	}
	if err != nil {
		return &exit.Error{Code: exit.Device, Err: fmt.Errorf("the image is not written: %w", err)}
	}
	r.Report.Infof("saved a frame, %s: %s", fmt.Sprintf("%dx%d", frame.Rect.Dx(), frame.Rect.Dy()), sanitize.Text(path))
	return nil
}

// snapshotViewer is a watcher that takes one frame.
type snapshotViewer struct {
	after time.Duration
	stop  context.CancelCauseFunc

	mu    sync.Mutex // protects following
	first time.Time
	frame *image.RGBA
}

func (t *snapshotViewer) Show(img image.Image) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first.IsZero() {
		t.first = time.Now()
	}
	if t.frame == nil && time.Since(t.first) >= t.after {
		t.frame = new(pixel.RGBConverter).Convert(img, 0, 0)
		t.stop(session.ErrAllHeld)
	}
}

func (t *snapshotViewer) NewDecoder(mime string) (decoder.Decoder, error) {
	d, err := mediain.NewDecoder(mime)
	if err != nil {
		t.stop(exit.Errorf(exit.Device, "no frame of %s: %w", media.CodecName(mime), err))
	}
	return d, err
}
