package filetransfer

import (
	"context"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The package imports neither WebRTC nor another package of this module, except its own disk.
func TestImports(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if path := strings.Trim(i.Path.Value, `"`); strings.HasPrefix(path, "parley/") && path != "parley/peer/filetransfer/internal/disk" || strings.Contains(path, "pion") {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}
}

// end is one end of a channel in memory: what a data channel does, with room
// for a few messages.
type end struct {
	in, out    chan sent
	gone       *gone // shared by both ends
	most       int
	breakAfter int64 // data bytes that are written before the channel breaks; 0: never
	written    int64
}

type sent struct {
	data []byte
	text bool
}

type gone struct {
	once sync.Once
	c    chan struct{}
}

func (g *gone) close() { g.once.Do(func() { close(g.c) }) }

var errGone = errors.New("closed")

// pair makes a channel.
func pair(most int) (a, b *end) {
	x, y, g := make(chan sent, 8), make(chan sent, 8), &gone{c: make(chan struct{})}
	return &end{in: x, out: y, gone: g, most: most}, &end{in: y, out: x, gone: g, most: most}
}

func (e *end) MaxMessage() int { return e.most }

func (e *end) Write(ctx context.Context, data []byte, text bool) error {
	if !text {
		if e.written += int64(len(data)); e.breakAfter > 0 && e.written > e.breakAfter {
			e.gone.close()
		}
	}
	select {
	case <-e.gone.c:
		return errGone
	default:
	}
	select {
	case e.out <- sent{slices.Clone(data), text}:
		return nil
	case <-e.gone.c:
		return errGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *end) Receive(ctx context.Context) ([]byte, bool, error) {
	select { // what came before the end is read first
	case m := <-e.in:
		return m.data, m.text, nil
	default:
	}
	select {
	case m := <-e.in:
		return m.data, m.text, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	case <-e.gone.c:
		select {
		case m := <-e.in:
			return m.data, m.text, nil
		default:
			return nil, false, io.EOF
		}
	}
}
