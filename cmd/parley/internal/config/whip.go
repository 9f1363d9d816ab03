package config

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/signal/whip"
)

// WHIP says how to publish to an endpoint of WHIP or play from one of WHEP, in place of a call by
// the signaling server.
type WHIP struct {
	Endpoint    *whip.Endpoint // nil for a call by the signaling server
	URL         string         // the operand without its query, which names the call
	Trickle     bool           // candidates are sent after the offer
	GatherAfter bool           // candidates are gathered after the answer
	Retry       time.Duration
}

// Publishes reports whether the call only sends.
func (w WHIP) Publishes() bool { return w.Endpoint != nil && w.Endpoint.Direction == whip.Publish }

// WHIPFlags are the flags of WHIP.
func WHIPFlags() []cli.Flag {
	return Category("WHIP AND WHEP", []cli.Flag{
		String("trickle", "auto", "`HOW` candidates go to a URL: auto: after the offer, by PATCH; no: in the offer, which waits for them"),
		String("gather", "before", "`WHEN` to gather candidates in a call of a URL: before the answer, or after it, with the ICE servers of the answer"),
		Duration("retry", 0, "offer again for `D` while a URL answers 429, 503, or 409 with Retry-After"),
	})
}

// ReadWHIP reads the flags of WHIPFlags and the operand, which is a URL or a name. It returns nil
// as Endpoint for a name. sends reports whether the command sends audio or video, which decides the
// direction of an http or https URL.
func ReadWHIP(cmd *cli.Command, operand string, sends bool) (w WHIP, err error) {
	w.Retry = cmd.Duration("retry")
	trickle, gather := cmd.String("trickle"), cmd.String("gather")
	switch {
	case w.Retry < 0:
		return w, exit.Usagef("invalid --retry %s: want a duration of 0 or more", w.Retry)
	case !slices.Contains([]string{"", "auto", "no"}, trickle):
		return w, exit.Usagef("invalid --trickle %q: want auto or no", sanitize.Text(trickle))
	case !slices.Contains([]string{"", "before", "after"}, gather):
		return w, exit.Usagef("invalid --gather %q: want before or after", sanitize.Text(gather))
	}
	w.Trickle, w.GatherAfter = trickle != "no", gather == "after"
	if !whip.IsURL(operand) {
		return w, RefuseOptions(cmd, "is of use with a URL only", "trickle", "gather", "retry")
	}
	e, err := whip.ParseEndpoint(operand)
	if err != nil {
		return w, exit.Usagef("%s", sanitize.Text(err.Error()))
	}
	if e.Direction == whip.Either {
		if e.Direction = whip.Play; sends {
			e.Direction = whip.Publish
		}
	}
	switch {
	case e.Direction == whip.Publish && !sends:
		return w, exit.Usagef("whip publishes, and there is nothing to send: give --video or --audio")
	case e.Direction == whip.Play && sends:
		return w, exit.Usagef("whep plays, and sends no --video and --audio: want a whip URL, or http for either")
	}
	w.Endpoint = &e
	w.URL, _, _ = strings.Cut(operand, "?")
	w.URL, _, _ = strings.Cut(w.URL, "#")
	return w, RefuseOptions(cmd, "does not go with a URL, which has neither names nor text", "say", "wait", "as", "dialect", "channel", "protocol", "unordered",
		"max-retransmits", "max-lifetime", "negotiated", "expect-code", "signaling")
}

// CheckNoURL returns an error for a URL as the operand of a command that does not take one.
func CheckNoURL(cmd *cli.Command, operand string) error {
	if whip.IsURL(operand) {
		return exit.Usagef("%s takes a name and no URL: WHIP and WHEP carry audio and video only", cmd.FullName())
	}
	return nil
}

// RefuseOptions returns an error for the first of some flags that the command line has.
func RefuseOptions(cmd *cli.Command, why string, flags ...string) error {
	for _, f := range flags {
		if cmd.IsSet(f) && !inEnvironment(cmd, f) {
			return exit.Usagef("--%s %s", f, why)
		}
	}
	return nil
}

// inEnvironment reports whether a flag has a value in the environment, which may be meant for other
// commands.
func inEnvironment(cmd *cli.Command, name string) bool {
	for _, f := range cmd.Flags {
		if d, ok := f.(cli.DocGenerationFlag); ok && f.Names()[0] == name {
			return slices.ContainsFunc(d.GetEnvVars(), func(variable string) bool { return os.Getenv(variable) != "" })
		}
	}
	return false
}
