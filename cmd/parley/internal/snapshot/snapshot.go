// Package snapshot saves one frame of a call.
package snapshot

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
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/session"
	"parley/media"
	"parley/media/decoder"
	"parley/media/pixel"
)

// Options are the options of Run.
type Options struct {
	Call      *session.Options
	Resources *resources.Resources
	Peer      string
	Path      string        // of a PNG or JPEG file, or - for a PNG to Out
	Out       io.Writer     // for the path -
	After     time.Duration // of the first frame
}

// Run calls a peer, saves one frame of what it sends, and hangs up.
func Run(ctx context.Context, o Options) error {
	if err := checkPath(o.Path); err != nil {
		return err
	}
	s := o.Call
	if o.Path == "-" {
		o.Resources.Report.Out = io.Discard // it belongs to the image
	}
	s.PreferDecodable()
	calling, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	v := &viewer{after: o.After, stop: stop}
	o.Resources.Watcher = v
	if s.Timeout > 0 {
		timer := time.AfterFunc(math.MaxInt64, func() {
			stop(exit.Errorf(exit.Timeout, "%s sent no frame within %s", sanitize.Text(o.Peer), s.Timeout))
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
	err := session.Call(calling, s, o.Resources, o.Peer)
	v.mu.Lock()
	defer v.mu.Unlock()
	var cause *exit.Error
	switch {
	case v.frame != nil:
		return o.write(v.frame)
	case exit.Interruption(ctx) != nil:
		return exit.Interruption(ctx)
	case errors.As(context.Cause(calling), &cause):
		return cause
	case err == nil:
		return exit.Errorf(exit.Failure, "%s hung up before a frame came", sanitize.Text(o.Peer))
	}
	return err
}

// checkPath finds out, before a call, what would be wrong with the file.
func checkPath(path string) error {
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

func (o *Options) write(frame *image.RGBA) error {
	var b bytes.Buffer
	var err error
	if strings.HasPrefix(strings.ToLower(filepath.Ext(o.Path)), ".jp") {
		err = jpeg.Encode(&b, frame, &jpeg.Options{Quality: 92})
	} else {
		err = png.Encode(&b, frame)
	}
	if err == nil && o.Path == "-" {
		_, err = o.Out.Write(b.Bytes())
	} else if err == nil {
		err = os.WriteFile(o.Path, b.Bytes(), 0o666) //nolint:gosec // as any program's output
	}
	if err != nil {
		return &exit.Error{Code: exit.Device, Err: fmt.Errorf("the image is not written: %w", err)}
	}
	o.Resources.Report.Infof("saved a frame, %s: %s", fmt.Sprintf("%dx%d", frame.Rect.Dx(), frame.Rect.Dy()), sanitize.Text(o.Path))
	return nil
}

// viewer is a watcher that takes one frame.
type viewer struct {
	after time.Duration
	stop  context.CancelCauseFunc

	mu    sync.Mutex // protects following
	first time.Time
	frame *image.RGBA
}

func (t *viewer) Show(img image.Image) {
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

func (t *viewer) NewDecoder(mime string) (decoder.Decoder, error) {
	d, err := mediain.NewDecoder(mime)
	if err != nil {
		t.stop(exit.Errorf(exit.Device, "no frame of %s: %w", media.CodecName(mime), err))
	}
	return d, err
}
