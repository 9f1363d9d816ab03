package probe

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/probe/observe"
	"parley/cmd/parley/internal/sanitize"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
	"parley/peer"
	"parley/peer/datachannel"
	"parley/peer/netem"
)

// stepPatience is how long what a step asks of the peer may take.
const stepPatience = 20 * time.Second

// Check checks the steps of a scenario, as far as that is possible without a call.
func Check(s scenario.Scenario) error {
	for _, step := range s.Steps {
		var err error
		switch step.Verb {
		case "expect", "never":
			raw := strings.Replace(step.Args[0], "+=", ">=", 1)
			_, err = event.ParseCheck(raw, observe.Keys())
		case "call":
			_, err = parseCallWords(&session.Options{}, step.Args)
		case "open":
			_, err = channelWords(step.Args)
		case "echo":
			_, err = echoWords(step.Args)
		case "impair":
			_, err = parseImpair(step.Rest())
		case "remote":
			_, err = remoteCommand(step.Args)
		}
		if err != nil {
			return exit.Usagef("%s, line %d: %s: %s", s.Origin, step.Line, sanitize.Text(step.Text), sanitize.Text(err.Error()))
		}
	}
	return nil
}

// do carries out one step.
func (a *steps) do(ctx context.Context, s scenario.Step) error {
	switch s.Verb {
	case "expect":
		return a.until(ctx, s.Args[0], s.For)
	case "never":
		return a.never(ctx, s.Args[0], s.For)
	case "say":
		a.session.Call.Say(s.Rest())
		return nil
	case "echo":
		return a.echo(ctx, s)
	case "open":
		return a.openChannel(ctx, s.Args)
	case "close":
		return a.closeChannel(s.Args[0])
	case "remote":
		return a.askRemote(ctx, s)
	case "impair":
		if err := a.setImpair(s.Rest()); err != nil {
			return &inconclusive{err}
		}
		return nil
	}
	return a.command(ctx, s)
}

// command carries out a step that is a command of --input, too.
func (a *call) command(ctx context.Context, s scenario.Step) error {
	cmd := session.Command{Command: s.Verb}
	if len(s.Args) > 0 {
		cmd.Kind = s.Args[0]
	}
	if len(s.Args) > 1 {
		cmd.Source = strings.Join(s.Args[1:], " ")
	}
	if err := cmd.Check(); err != nil {
		return &inconclusive{err}
	}
	running, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	err := a.session.Do(running, cmd)
	if s.Verb == "hangup" {
		select {
		case <-a.ended:
			return nil
		case <-running.Done():
			return &inconclusive{errors.New("the call does not end")}
		}
	}
	switch {
	case err == nil:
	case errors.Is(err, peer.ErrOver):
		<-a.ended // soon
		return a.over(s.Text)
	case ctx.Err() != nil:
		return ctx.Err()
	case running.Err() != nil:
		return fmt.Errorf("the peer has not agreed to it within %s", stepPatience)
	}
	return asMeant(s, err, errors.Is(err, peer.ErrRejected))
}

// asMeant is how a step went that ended with err, which is that of the peer if refused.
func asMeant(s scenario.Step, err error, refused bool) error {
	switch {
	case !s.Refused:
		return err
	case err == nil:
		return errors.New("the peer agreed, and should have refused")
	case !refused:
		return &inconclusive{fmt.Errorf("the peer was not asked, or did not say: %w", err)}
	}
	return nil
}

// echoing is what an echo step says.
type echoing struct {
	size  int
	text  bool
	label string // "" for the channel of the call, back on any
}

func echoWords(words []string) (e echoing, err error) {
	e.text = true
	if e.size, err = strconv.Atoi(words[0]); err != nil || e.size < 0 || e.size > 16<<20 {
		return e, fmt.Errorf("%q is no number of bytes up to 16 MiB", words[0])
	}
	for i := 1; i < len(words); i++ {
		switch {
		case words[i] == "binary" || words[i] == "text":
			e.text = words[i] == "text"
		case words[i] == "on" && i+1 < len(words):
			i++
			e.label = words[i]
		default:
			return e, fmt.Errorf("echo has no %q; there are text, binary and on LABEL", words[i])
		}
	}
	return e, nil
}

// echo sends a message and waits for the same, on the same channel.
func (a *steps) echo(ctx context.Context, s scenario.Step) error {
	e, err := echoWords(s.Args)
	if err != nil {
		return &inconclusive{err}
	}
	label := e.label
	if label == "" {
		label = a.session.Label()
	}
	ch, err := a.channelNamed(ctx, label, s.For)
	if err != nil {
		return err
	}
	data := payload(e)
	since := a.observed.Count("message")
	begin := time.Now()
	sending, cancel := context.WithTimeout(ctx, s.For)
	defer cancel()
	if err := ch.Write(sending, data, e.text); err != nil {
		return fmt.Errorf("%d bytes were not sent: %w", len(data), err)
	}
	if err := a.message(ctx, observe.MessageFact(label, e.text, data), since, s.For); err != nil {
		return err
	}
	a.observed.Metric("echo.ms", milliseconds(time.Since(begin)))
	return nil
}

// message waits for a message.
func (a *call) message(ctx context.Context, want string, since int, within time.Duration) error {
	c := event.Check{Raw: want, Key: "message", Op: "=", Value: want, Kind: event.Text}
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	for {
		change := a.observed.Changed()
		if _, ok := a.observed.Match(c, since); ok {
			return nil
		}
		select {
		case <-change:
		case <-a.ended:
			return a.over("message")
		case <-timeout.C:
			came := "nothing came back"
			if got := a.observed.Latest("message"); got != "" && a.observed.Count("message") > since {
				came = "another message came: " + got
			}
			return fmt.Errorf("the message (channel, text, bytes, digest: %s) did not come back within %s: %s", want, within, came)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// payload is what no other message is.
func payload(e echoing) []byte {
	raw := make([]byte, e.size)
	_, _ = rand.Read(raw) // never fails, see crypto/rand
	if e.text {
		return []byte(base64.StdEncoding.EncodeToString(raw))[:e.size]
	}
	return raw
}

// channelNamed waits until a channel is open.
func (a *steps) channelNamed(ctx context.Context, label string, within time.Duration) (*datachannel.Channel, error) {
	if err := a.until(ctx, "channel="+label, within); err != nil {
		return nil, err
	}
	return a.observed.Channel(label), nil
}

func channelWords(words []string) (o datachannel.Options, err error) {
	o.Label = words[0]
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "unordered":
			o.Unordered = true
		case "retransmits", "negotiated":
			n, bad := strconv.ParseUint(value, 10, 16)
			if bad != nil {
				return o, fmt.Errorf("%q is no number up to 65535", value)
			}
			number := uint16(n)
			if name == "retransmits" {
				o.MaxRetransmits = &number
			} else {
				o.Negotiated, o.ID = true, number
			}
		case "lifetime":
			if o.MaxLifetime, err = time.ParseDuration(value); err != nil {
				return o, err
			}
		case "protocol":
			o.Protocol = value
		default:
			return o, fmt.Errorf("open has no %q; there are unordered, retransmits, lifetime, negotiated and protocol", w)
		}
	}
	return o, o.Check()
}

func (a *call) openChannel(ctx context.Context, words []string) error {
	o, err := channelWords(words)
	if err != nil {
		return &inconclusive{err}
	}
	opening, cancel := context.WithTimeout(ctx, stepPatience)
	defer cancel()
	ch, err := a.session.Call.OpenChannel(opening, o)
	if err != nil {
		return fmt.Errorf("the channel %s did not open: %w", o.Label, err)
	}
	a.work.Go(func() { a.listen(ch) })
	for { // what is observed of it comes in order
		change := a.observed.Changed()
		if a.observed.Channel(o.Label) == ch {
			return nil
		}
		select {
		case <-change:
		case <-a.ended:
			return a.over("channel=" + o.Label)
		case <-opening.Done():
			return opening.Err()
		}
	}
}

// listen takes what comes by a channel that this side opened.
func (a *call) listen(ch *datachannel.Channel) {
	for {
		data, text, err := ch.Receive(a.running)
		if err != nil {
			return
		}
		a.observed.Note("message", observe.MessageFact(ch.Label(), text, data))
	}
}

func (a *call) closeChannel(label string) error {
	ch := a.observed.Channel(label)
	if ch == nil {
		return &inconclusive{fmt.Errorf("there is no channel %s; open it before", label)}
	}
	return ch.Close()
}

// setImpair changes the emulated network in mid-call to what a line of a scenario says.
func (a *call) setImpair(text string) error {
	config, err := parseImpair(text)
	if err != nil {
		return err
	}
	if a.session.Emulator == nil {
		return errors.New("calls that share a UDP port cannot be impaired one by one: leave --udp-ports out")
	}
	a.session.Emulator.SetConfig(config)
	return nil
}

// parseImpair returns the Config of an impair line: the words of --impair, or none.
func parseImpair(text string) (netem.Config, error) {
	if text == "none" {
		return netem.Config{}, nil
	}
	return netem.Parse(text)
}
