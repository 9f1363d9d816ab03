package filetransfer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// playSender plays a script of messages to a receiver: a string is sent as text,
// bytes as data, nil closes. It returns the receiver's error and the code that it sent.
func playSender(t testing.TB, into string, script ...any) (code string, err error) {
	t.Helper()
	folder, err := OpenFolder(into, false)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	a, b := pair(maxChunk)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	heard := make(chan string, 1)
	accepted := make(chan struct{})
	go func() {
		last := ""
		defer func() { heard <- last }()
		for {
			data, _, err := a.Receive(ctx)
			if err != nil {
				return
			}
			m, err := parseMessage(data)
			if err != nil {
				last = err.Error()
				return
			}
			switch m.Type {
			case "accept":
				close(accepted)
			case "error", "refuse":
				last = m.Code
			}
		}
	}()
	over := make(chan struct{})
	go func() {
		for i, m := range script {
			var err error
			switch m := m.(type) {
			case string:
				if strings.Contains(m, `"file"`) && strings.Contains(m, `"type":"file"`) && i > 0 {
					select {
					case <-accepted:
					case <-over:
						return
					}
				}
				err = a.Write(ctx, []byte(m), true)
			case []byte:
				err = a.Write(ctx, m, false)
			case nil:
				a.gone.close()
			}
			if err != nil {
				return
			}
		}
	}()
	receiving, stop := context.WithTimeout(ctx, time.Minute) // a receiver that waits for more has not noticed
	defer stop()
	_, err = Receive(receiving, b, folder, ReceiveOptions{})
	close(over)
	b.gone.close()
	return <-heard, err
}

func offerOf(name string, size int) []any {
	return []any{fmt.Sprintf(`{"type":"offer","version":1,"id":"x","entries":1,"bytes":%d}`, size),
		fmt.Sprintf(`{"type":"entry","name":%q,"size":%d,"data":0}`, name, size)}
}

const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestInvalidNames(t *testing.T) {
	for _, name := range []string{
		"../up", "a/../../up", "/etc/parley-was-here", "", ".", "..", "a//b", "a/", "./a", "a\x00b", "a\nb", "\x1b[31m", "bad\xff",
		"x.parley-part", "X.PARLEY-PART", strings.Repeat("n", 256), strings.Repeat("d/", 200) + "f", strings.Repeat("long/", 1000),
	} {
		t.Run(truncate(fmt.Sprintf("%q", name), 30), func(t *testing.T) {
			outer := t.TempDir()
			into := filepath.Join(outer, "into")
			script := append(offerOf("PLACE", 0), `{"type":"file","file":0,"offset":0}`, `{"type":"end","file":0,"sha256":"`+emptySum+`"}`, `{"type":"bye"}`)
			encoded := fmt.Sprintf("%q", name)
			if name == "bad\xff" {
				encoded = "\"bad\xff\"" // Go's JSON takes it as U+FFFD, which is a name like any other
			} else if strings.ContainsAny(name, "\x00\n\x1b") {
				encoded = strings.NewReplacer("\x00", `\u0000`, "\n", `\n`, "\x1b", `\u001b`).Replace(`"` + name + `"`)
			}
			script[1] = strings.Replace(script[1].(string), `"PLACE"`, encoded, 1)
			sentCode, err := playSender(t, into, script...)
			if name == "bad\xff" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var refused *RefusedError
			if !errors.As(err, &refused) || refused.Code != RefusedName || sentCode != RefusedName {
				t.Errorf("receiver: %v; sent code %q", err, sentCode)
			}
			if got := names(t, into); len(got) != 0 {
				t.Errorf("it made %v", got)
			}
			if got := names(t, outer); len(got) != 1 {
				t.Errorf("it made %v outside", got)
			}
		})
	}
}

// Symbolic links in the folder do not lead outside.
func TestSymbolicLinks(t *testing.T) {
	outer := t.TempDir()
	into, secret := filepath.Join(outer, "into"), filepath.Join(outer, "secret")
	for _, dir := range []string{into, secret} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(secret, "key"), []byte("1234"))
	for link, target := range map[string]string{"out": "../secret", "abs": secret, "key": "../secret/key", "part.parley-part": "../secret/key"} {
		if err := os.Symlink(target, filepath.Join(into, link)); err != nil {
			t.Fatal(err)
		}
	}
	end := `{"type":"end","file":0,"sha256":"` + emptySum + `"}`
	for _, name := range []string{"out/f", "abs/f", "key", "part", "out", "out/key"} {
		_, err := playSender(t, into, append(offerOf(name, 0), `{"type":"file","file":0,"offset":0}`, end)...)
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if got := names(t, secret); len(got) != 1 || string(read(t, filepath.Join(secret, "key"))) != "1234" {
		t.Errorf("outside: %v", got)
	}
	if got := names(t, into); len(got) != 4 {
		t.Errorf("inside: %v", got)
	}
}

func TestInvalidSender(t *testing.T) {
	file, end := `{"type":"file","file":0,"offset":0}`, `{"type":"end","file":0,"sha256":"`+emptySum+`"}`
	with := func(size int, more ...any) []any { return append(offerOf("f", size), more...) }
	for name, c := range map[string]struct {
		script []any
		code   string
		kept   int // bytes of the part
	}{
		"more":              {with(10, file, []byte("0123456789a")), FailedSize, 0},
		"more after":        {with(10, file, []byte("0123456789"), []byte("a")), FailedSize, 10},
		"zeros more":        {with(10, file, []byte("01234"), `{"type":"zeros","bytes":6}`), FailedSize, 5},
		"fewer":             {with(10, file, []byte("012345678"), end), FailedSize, 9},
		"hash":              {with(10, file, []byte("0123456789"), end), FailedHash, 0},
		"no hash":           {with(0, file, `{"type":"end","file":0,"sha256":"00"}`), FailedProtocol, 0},
		"offset":            {with(10, `{"type":"file","file":0,"offset":5}`), FailedProtocol, 0},
		"negative":          {with(10, `{"type":"file","file":0,"offset":-5}`), FailedProtocol, 0},
		"no such file":      {with(10, `{"type":"file","file":1,"offset":0}`), FailedProtocol, 0},
		"duplicate name":    {with(10, file, `{"type":"file","file":0,"offset":0}`), FailedProtocol, 0},
		"early bye":         {with(10, `{"type":"file","file":0,"offset":0}`, `{"type":"bye"}`), FailedSize, 0},
		"gone":              {with(10, file, []byte("01234"), nil), "", 5},
		"data first":        {[]any{[]byte("data")}, FailedProtocol, 0},
		"no offer":          {[]any{`{"type":"file","file":0}`}, FailedProtocol, 0},
		"no JSON":           {[]any{`hello`}, FailedProtocol, 0},
		"other version":     {[]any{`{"type":"offer","version":2,"entries":1,"bytes":1}`}, RefusedVersion, 0},
		"too many":          {[]any{`{"type":"offer","version":1,"entries":1000000,"bytes":1}`}, RefusedLimit, 0},
		"too large":         {[]any{`{"type":"offer","version":1,"entries":1,"bytes":9007199254740992}`}, FailedProtocol, 0},
		"larger than said":  {[]any{`{"type":"offer","version":1,"entries":1,"bytes":1}`, `{"type":"entry","name":"f","size":2}`}, FailedSize, 0},
		"smaller than said": {[]any{`{"type":"offer","version":1,"entries":1,"bytes":3}`, `{"type":"entry","name":"f","size":2}`}, FailedSize, 0},
		"file and folder": {[]any{`{"type":"offer","version":1,"entries":2,"bytes":0}`, `{"type":"entry","name":"f","size":0}`,
			`{"type":"entry","name":"f/g","size":0}`}, RefusedName, 0},
		"no space": {[]any{`{"type":"offer","version":1,"entries":1,"bytes":9007199254740991}`,
			`{"type":"entry","name":"f","size":9007199254740991}`}, RefusedSpace, 0},
		"long control": {[]any{`{"type":"offer","reason":"` + strings.Repeat("x", maxControl) + `"}`}, FailedProtocol, 0},
	} {
		t.Run(name, func(t *testing.T) {
			into := t.TempDir()
			sentCode, err := playSender(t, into, c.script...)
			if err == nil || errors.Is(err, context.DeadlineExceeded) || sentCode != c.code {
				t.Errorf("receiver: %v; sent code %q, want %q", err, sentCode, c.code)
			}
			if c.code == "" && !errors.Is(err, ErrBroken) {
				t.Error(err)
			}
			got := names(t, into)
			if c.kept == 0 && len(got) != 0 || c.kept > 0 && (len(got) != 1 || len(read(t, filepath.Join(into, "f.parley-part"))) != c.kept) {
				t.Errorf("there is %v, want %d bytes kept", got, c.kept)
			}
		})
	}
}

// The sender rejects invalid messages of a receiver.
func TestInvalidReceiver(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "f"), random(8, 5000))
	for name, script := range map[string][]any{
		"done before":   {`{"type":"accept"}`, `{"type":"done","file":0}`},
		"have too much": {`{"type":"have","file":0,"bytes":5001,"sha256":"` + emptySum + `"}`},
		"have twice":    {`{"type":"have","file":0,"bytes":1,"sha256":"` + emptySum + `"}`, `{"type":"have","file":0,"bytes":1,"sha256":"` + emptySum + `"}`},
		"have nothing":  {`{"type":"have","file":7,"bytes":1,"sha256":"` + emptySum + `"}`},
		"accept twice":  {`{"type":"accept"}`, `{"type":"accept"}`},
		"data":          {[]byte("data")},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := Collect([]string{path}, nil)
			if err != nil {
				t.Fatal(err)
			}
			a, b := pair(10)
			go func() {
				for _, m := range script { // all before anything is read: nothing was done yet
					switch m := m.(type) {
					case string:
						_ = b.Write(t.Context(), []byte(m), true)
					case []byte:
						_ = b.Write(t.Context(), m, false)
					}
				}
				b.drain(t.Context())
			}()
			err = Send(t.Context(), a, list, SendOptions{})
			a.gone.close()
			var f *FailedError
			if !errors.As(err, &f) || f.Code != FailedProtocol || f.ByPeer {
				t.Error(err)
			}
		})
	}
}

// drain reads until the channel closes.
func (e *end) drain(ctx context.Context) {
	for {
		if _, _, err := e.Receive(ctx); err != nil {
			return
		}
	}
}

// Whatever is received, nothing is created outside the folder, and Receive returns.
func FuzzReceive(f *testing.F) {
	f.Add("f", int64(3), []byte("abc"), `{"type":"end","file":0,"sha256":"`+emptySum+`"}`)
	f.Add("../f", int64(0), []byte(""), `{"type":"zeros","bytes":3}`)
	f.Add("a/b", int64(9), []byte("abc"), `{"type":"file","file":0,"offset":0}`)
	f.Fuzz(func(t *testing.T, name string, size int64, data []byte, text string) {
		outer := t.TempDir()
		into := filepath.Join(outer, "into")
		_, _ = playSender(t, into, fmt.Sprintf(`{"type":"offer","version":1,"id":"x","entries":1,"bytes":%d}`, size),
			fmt.Sprintf(`{"type":"entry","name":%q,"size":%d,"data":0}`, name, size),
			`{"type":"file","file":0,"offset":0}`, data, text, data, nil)
		if got := names(t, outer); len(got) != 1 {
			t.Errorf("%q made %v outside", name, got)
		}
	})
}
