package costs

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// raw is what pprof -raw writes, in parts.
const raw = `PeriodType: cpu nanoseconds
Period: 10000000
Samples:
samples/count cpu/nanoseconds
          3   30000000: 1 2 3 
          5   50000000: 4 3 
          1   10000000: 5 3 
          1   10000000: 6 7 
Locations
     1: 0x40 M=1 internal/runtime/syscall.Syscall6 /go/asm.s:36:0 s=28
     2: 0x41 M=1 golang.org/x/sys/unix.sendmsg /go/a.go:1:0 s=1
             parley/peer/internal/udp.(*socket).WriteToAddrPort /go/b.go:2:0 s=1
     3: 0x42 M=1 github.com/pion/sctp.(*Association).writeLoop /go/c.go:3:0 s=1
     4: 0x43 M=1 runtime.nextFreeFast /go/malloc.go:1:0 s=1(inline)
             runtime.mallocgc /go/malloc.go:2:0 s=1
     5: 0x44 M=1 sort.insertionSort /go/sort.go:1:0 s=1
     6: 0x45 M=1 runtime.futex /go/sys.s:1:0 s=1
     7: 0x46 M=1 runtime.schedule /go/proc.go:1:0 s=1
Mappings
1: 0x0/0x0/0x0   
`

func TestRead(t *testing.T) {
	all, err := read([]byte(raw))
	if want := "[memory 50 % system calls that send 30 % SCTP 10 % goroutines and timers 10 %]"; err != nil || fmt.Sprint(all) != want {
		t.Errorf("got %v, %v, want %s", all, err, want)
	}
	if _, err := read(nil); err == nil {
		t.Error("no error without samples")
	}
}

func TestNameOf(t *testing.T) {
	for want, stack := range map[string][]string{
		"system calls that receive": {"internal/runtime/syscall.Syscall6", "golang.org/x/sys/unix.recvmmsg", "net.(*rawConn).Read"},
		"goroutines and timers":     {"internal/runtime/syscall.EpollWait", "runtime.netpoll", "runtime.findRunnable"},
		"other system calls":        {"syscall.Getpid"},
		"encryption":                {"crypto/internal/fips140/aes/gcm.gcmAesEnc", "github.com/pion/dtls/v3.(*Conn).Write"},
		"RTP and RTCP":              {"runtime.mapaccess1", "github.com/pion/rtp.(*Header).Unmarshal"},
		"strings":                   {"strings.Index"},
		"unknown":                   nil,
	} {
		if got := nameOf(stack); got != want {
			t.Errorf("%v: got %q, want %q", stack, got, want)
		}
	}
}
