package ends

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"parley/peer"
	"parley/peer/datachannel"
)

// TestMain is an end if it is run as one.
func TestMain(m *testing.M) {
	if os.Getenv("PARLEY_TEST_END") != "" {
		if err := runEnd(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// runEnd is an end that reports a channel that opens, sends a message, and reports one that comes.
func runEnd() error {
	e := NewEnd(os.Stdout)
	var channel atomic.Pointer[datachannel.Channel]
	e.Configure = func(m Message) peer.Config {
		return peer.Config{
			Caller: m.Offers, Impolite: m.Offers, Channels: []datachannel.Options{{Label: "a"}}, ICE: peer.ICEConfig{Loopback: true},
			OnEvent: func(event peer.Event) {
				switch event := event.(type) {
				case peer.ChannelOpened:
					channel.Store(event.Channel)
					_ = e.Say(Message{Do: "open"}) // the reader notices a lost line
				case peer.MessageReceived:
					_ = e.Say(Message{Do: "received", Bytes: int64(len(event.Data))})
				}
			},
		}
	}
	e.Send = func(ctx context.Context, m Message) {
		if err := channel.Load().Write(ctx, make([]byte, m.Size), false); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return e.Run(os.Stdin)
}

// TestPair: two ends call each other twice, and carry a message, through Rewrite.
func TestPair(t *testing.T) {
	t.Setenv("PARLEY_TEST_END", "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start([]string{self}, []string{self})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	var carried strings.Builder
	p.Rewrite = func(_ int, line string) (string, error) {
		carried.WriteString(line)
		return line, nil
	}
	for range 2 {
		if took, err := p.Connect(1, time.Minute); err != nil || took <= 0 {
			t.Fatalf("took %v: %v", took, err)
		}
	}
	for _, want := range []string{`"do":"offer"`, `"do":"answer"`, `"do":"candidate"`} {
		if !strings.Contains(carried.String(), want) {
			t.Errorf("no line has %s", want)
		}
	}
	if err := p.Write(0, Message{Do: "send", Size: 1000}); err != nil {
		t.Fatal(err)
	}
	if m, err := p.Until("received", 1, time.Minute); err != nil || m.Bytes != 1000 {
		t.Errorf("received %+v: %v", m, err)
	}
}

// TestProcessesThatEnd: an end that is not there, or ends, is an error.
func TestProcessesThatEnd(t *testing.T) {
	t.Setenv("PARLEY_TEST_END", "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start([]string{self}, []string{self + ".missing"}); err == nil {
		t.Error("a program that is not there was started")
	}
	p, err := Start([]string{self}, []string{self})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Write(1, Message{Do: "bye"}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Connect(1, time.Minute); err == nil {
		t.Error("a call with an end that has ended connected")
	}
}
