package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"parley/peer"
	"parley/peer/datachannel"
	"parley/peer/peertest/costs"
	"parley/peer/peertest/ends"
)

// parleyEnd is one end of a call by package peer that sends and counts messages.
type parleyEnd struct {
	*ends.End
	channels int
	profile  string       // the beginning of the name of a CPU profile, "" for none
	stop     func() error // ends the profile; may be nil

	mu    sync.Mutex // guards the following
	open  []*datachannel.Channel
	bytes map[*datachannel.Channel]int64 // received
	ended int                            // channels whose last message has arrived
	first time.Time                      // message
}

// runParleyEnd carries out the lines of stdin.
func runParleyEnd(profile string) error {
	e := &parleyEnd{End: ends.NewEnd(os.Stdout), profile: profile, bytes: map[*datachannel.Channel]int64{}}
	e.Configure, e.Send = e.configure, e.send
	err := e.Run(os.Stdin)
	if e.stop != nil {
		err = errors.Join(err, e.stop())
	}
	return err
}

func (e *parleyEnd) configure(m ends.Message) peer.Config {
	e.channels = max(1, m.Channels)
	if e.profile != "" {
		end := "receiver"
		if m.Offers {
			end = "sender"
		}
		var err error
		if e.stop, err = costs.Start(e.profile + "-" + end + ".pprof"); err != nil {
			fmt.Fprintln(os.Stderr, "bulk:", err)
		}
	}
	var options []datachannel.Options
	for i := range e.channels {
		if m.Offers {
			options = append(options, datachannel.Options{Label: fmt.Sprint("bulk ", i)})
		}
	}
	return peer.Config{
		Caller: m.Offers, Impolite: m.Offers, Channels: options, ReceiveBuffer: peer.BulkReceiveBuffer, ICE: peer.ICEConfig{Loopback: true},
		OnEvent: func(event peer.Event) {
			switch event := event.(type) {
			case peer.ChannelOpened:
				e.opened(event.Channel)
			case peer.MessageReceived:
				e.received(event)
			}
		},
	}
}

func (e *parleyEnd) opened(c *datachannel.Channel) {
	e.mu.Lock()
	e.open = append(e.open, c)
	all := len(e.open) == e.channels
	e.mu.Unlock()
	if all {
		_ = e.Say(ends.Message{Do: "open"}) // the reader of stdout notices a lost line
	}
}

// received counts a message. A text is the last one of its channel.
func (e *parleyEnd) received(m peer.MessageReceived) {
	e.mu.Lock()
	if e.first.IsZero() {
		e.first = time.Now()
	}
	if !m.Text {
		e.bytes[m.Channel] += int64(len(m.Data))
		e.mu.Unlock()
		return
	}
	e.ended++
	if e.ended < e.channels {
		e.mu.Unlock()
		return
	}
	report := ends.Message{Do: "received", Ms: float64(time.Since(e.first).Microseconds()) / 1000}
	var all []int64
	for _, c := range e.open {
		all = append(all, e.bytes[c])
		report.Bytes += e.bytes[c]
	}
	report.Least, report.Most = slices.Min(all), slices.Max(all)
	e.mu.Unlock()
	_ = e.Say(report)
}

// send sends messages on all channels in turn for a time, and then a text on each.
func (e *parleyEnd) send(ctx context.Context, m ends.Message) {
	data, end := make([]byte, m.Size), time.Now().Add(time.Duration(m.Ms)*time.Millisecond)
	for time.Now().Before(end) {
		for _, c := range e.open {
			if err := c.Write(ctx, data, false); err != nil {
				fmt.Fprintln(os.Stderr, "bulk:", err)
				return
			}
		}
	}
	for _, c := range e.open {
		if err := c.Write(ctx, []byte("end"), true); err != nil {
			fmt.Fprintln(os.Stderr, "bulk:", err)
			return
		}
	}
}
