package browser

import (
	"bufio"
	"bytes"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// inBulk is the size of what a test carries, in bytes: large with make bulk.
func inBulk(small, large int64) int64 {
	if os.Getenv("PARLEY_BULK") == "full" {
		return large
	}
	return small
}

// bulkPatience is how long as much may take on a busy machine.
const bulkPatience = 15 * time.Minute

// mostMemory is what a process may have at once, whatever it carries, in KiB.
const mostMemory = 100 << 10

// watchMemory looks at a process until it ends; then the function that it
// returns, which waits for that, reports whether it had too much memory.
func watchMemory(t *testing.T, p *e2etest.Process) (check func()) {
	t.Helper()
	most, done := 0, make(chan struct{})
	go func() {
		defer close(done)
		look := time.NewTicker(20 * time.Millisecond) // its peak so far is in each
		defer look.Stop()
		for {
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid)); err == nil {
				most = max(most, peakOf(text))
			}
			select {
			case <-p.Exited:
				return
			case <-look.C:
			}
		}
	}()
	return func() {
		t.Helper()
		select {
		case <-done:
		case <-time.After(bulkPatience):
			t.Fatalf("it does not end; it said\n%s%s", p.Out, p.Err)
		}
		t.Logf("at most %d MiB of memory", most>>10)
		if most > mostMemory || most == 0 && runtime.GOOS == "linux" {
			t.Errorf("it had %d KiB of memory at once; %d are the most", most, mostMemory)
		}
	}
}

// peakOf is VmHWM in /proc/PID/status: the most resident memory so far, in KiB.
func peakOf(status []byte) (kib int) {
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "VmHWM: %d kB", &kib); err == nil {
			return kib
		}
	}
	return 0
}

// piping runs parley pipe with stdin and stdout of the test.
func piping(t *testing.T, in io.Reader, out io.Writer, args ...string) *e2etest.Process {
	t.Helper()
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"pipe"}, args...)...)
	cmd.Stdin, cmd.Stdout = in, out
	return e2etest.Launch(t, cmd, args)
}

// fixedNoise is so many bytes that cannot be compressed, the same each time.
func fixedNoise(size int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), size) }

// counted is a hash with the number of bytes that it has seen.
type counted struct {
	hash.Hash32
	n int64
}

func newCounted() *counted { return &counted{Hash32: fnv.New32a()} }

func (c *counted) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.Hash32.Write(p)
}

func (c *counted) String() string { return fmt.Sprintf("%d bytes, FNV-1a %08x", c.n, c.Sum32()) }

// Both ends of a pipe keep their memory, however much goes through it.
func TestPipeInBulk(t *testing.T) {
	size := inBulk(64<<20, 1<<30)
	_, server := e2etest.Serve(t)
	sent, came := newCounted(), newCounted()
	bob := piping(t, strings.NewReader(""), came, "--as", "bob", "--server", server)
	smallBob := watchMemory(t, bob)
	bob.Says(t, "waiting for calls")
	alice := piping(t, io.TeeReader(fixedNoise(size), sent), io.Discard, "bob", "--server", server)
	watchMemory(t, alice)()
	smallBob()
	alice.Ends(t, 0)
	bob.Ends(t, 0)
	if came.n != size || came.String() != sent.String() {
		t.Errorf("%s came, %s were sent", came, sent)
	}
}

// And so do both ends of a transfer.
func TestSendInBulk(t *testing.T) {
	size := inBulk(64<<20, 1<<30)
	_, server := e2etest.Serve(t)
	path, into := filepath.Join(t.TempDir(), "big"), t.TempDir()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, fixedNoise(size)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	bob := e2etest.Start(t, "receive", "--server", server, "--as", "bob", "--yes", "--into", into, "--once")
	smallBob := watchMemory(t, bob)
	bob.Says(t, "waiting for calls")
	alice := e2etest.Start(t, "send", path, "bob", "--server", server)
	watchMemory(t, alice)()
	smallBob()
	alice.Ends(t, 0)
	bob.Ends(t, 0)
	if got, want := e2etest.SumOf(t, filepath.Join(into, "big")), e2etest.SumOf(t, path); got != want {
		t.Errorf("what came has the SHA-256 %s, what was sent %s", got, want)
	}
}

// bulkPage makes a page take what comes by a data channel, its own or another, to
// its end, and then send as much as requested: pieces of jsBytes, and an empty
// message.
const bulkPage = `(() => { const take = channel => {
	let hash = 0x811c9dc5, bytes = 0;
	channel.binaryType = 'arraybuffer';
	channel.bufferedAmountLowThreshold = 1 << 20;
	const low = () => new Promise(r => channel.addEventListener('bufferedamountlow', r, {once: true}));
	const answer = async () => {
		const piece = %s;
		for (let left = %d; left > 0; left -= piece.length) {
			if (channel.bufferedAmount > 4 << 20) await low();
			channel.send(left < piece.length ? piece.subarray(0, left) : piece);
		}
		channel.send(new ArrayBuffer(0));
	};
	channel.onmessage = ({data}) => {
		if (data.byteLength === 0) {
			window.came = bytes + ' bytes, FNV-1a ' + (hash >>> 0).toString(16).padStart(8, '0');
			answer();
			return;
		}
		const part = new Uint8Array(data);
		for (let i = 0; i < part.length; i++) hash = Math.imul(hash ^ part[i], 16777619);
		bytes += part.length;
	};
};
take(channel);
pc.ondatachannel = e => take(e.channel); })()`

// A page that knows nothing of parley is the other end of a pipe: it takes as
// much as there is, and sends as much.
func TestPipeInBulkWithATab(t *testing.T) {
	size := inBulk(8<<20, 1<<30)
	e2etest.InBrowsers(t, func(t *testing.T, b *webtest.Browser) {
		_, server := e2etest.Serve(t)
		tab := b.Open(e2etest.OriginalPages(t) + "/text.html?as=page&server=" + server)
		tab.Wait(`document.title === 'ready'`)
		if err := tab.Eval(fmt.Sprintf(bulkPage, fmt.Sprintf(jsBytes, 1<<16), size), nil); err != nil {
			t.Fatal(err)
		}
		sent, came, want := newCounted(), newCounted(), newCounted()
		alice := piping(t, io.TeeReader(fixedNoise(size), sent), came, "page", "--as", "alice", "--server", server)
		watchMemory(t, alice)()
		alice.Ends(t, 0)
		for piece := goBytes(1 << 16); want.n < size; {
			_, _ = want.Write(piece[:min(size-want.n, int64(len(piece)))]) // never fails
		}
		if came.String() != want.String() {
			t.Errorf("%s came from the page, %s were sent", came, want)
		}
		var page string
		if err := tab.Eval(`window.came`, &page); err != nil || page != sent.String() {
			t.Errorf("%s came to the page, %s were sent: %v", page, sent, err)
		}
		tab.Close()
	})
}
