package main

import (
	"time"

	"parley/cmd/parley/internal/config"
	"parley/peer/datachannel"
)

// options are the options of calls: parsed and validated values.
type options struct {
	config.Signaling
	config.Network
	config.Capture
	config.MediaOut
	config.MediaIn
	config.Call
	config.Security
	channels []datachannel.Options // that a caller opens; none: one with the usual label
	input    bool                  // there are commands on standard input

	codecs       []string         // preferred for video, nil for any
	decodable    []string         // what this machine can show of video, nil for all
	measurements measurements     // of received media, from the start of a call
	recordPartly bool             // what a recording lacks is no error
	timeLeft     time.Duration    // of Timeout, once signed in
	minDuration  time.Duration    // in place of Linger: no less than this from the start of the call
	attach       []func(*session) // add observers, middleware and channel applications to a new call
}

// toOpen returns what resources.open opens for the calls.
func (o *options) toOpen() resourcesOptions {
	return resourcesOptions{Network: o.Network, Capture: o.Capture, Server: o.Server, Play: o.Play, AudioOut: o.AudioOut, Version: config.Version()}
}

// preferDecodable asks for the video codecs that this build decodes by itself, if none was asked for, and offers only those
// that something on this machine decodes.
func (o *options) preferDecodable() {
	own, all := decodable()
	if o.decodable = all; len(o.codecs) == 0 {
		o.codecs = own
	}
}
