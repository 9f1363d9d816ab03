package session

import (
	"time"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/resources"
	"parley/media/testsignal"
	"parley/peer"
	"parley/peer/datachannel"
)

// Options are the options of calls: parsed and validated values.
type Options struct {
	config.Signaling
	config.Network
	config.Capture
	config.MediaOut
	config.MediaIn
	config.Call
	config.Security
	config.WHIP
	Channels []datachannel.Options // that a caller opens; none: one with the usual label
	Input    bool                  // there are commands on standard input
	// ManualCaller makes the offer of --manual.
	ManualCaller bool

	Codecs       []string             // preferred for video, nil for any
	decodable    []string             // what this machine can show of video, nil for all
	Measurements mediain.Measurements // of received media, from the start of a call
	RecordPartly bool                 // what a recording lacks is no error
	Epoch        *testsignal.Epoch    // of the test signals that are sent and measured; nil for one of the call's own
	TimeLeft     time.Duration        // of Timeout, once signed in
	Timeouts     peer.Timeouts        // of the connection; zero values are the defaults
	MinDuration  time.Duration        // in place of Linger: no less than this from the start of the call
	Attach       []func(*Session)     // add observers, middleware and channel applications to a new call
}

// ResourcesOptions returns what resources.open opens for the calls.
func (o *Options) ResourcesOptions() resources.Options {
	return resources.Options{Network: o.Network, Capture: o.Capture, Server: o.Server, Play: o.Play, AudioOut: o.AudioOut, Version: config.Version()}
}

// PreferDecodable asks for the video codecs that this build decodes by itself, if none was asked
// for, and offers only those that something on this machine decodes.
func (o *Options) PreferDecodable() {
	own, all := mediain.Decodable()
	if o.decodable = all; len(o.Codecs) == 0 {
		o.Codecs = own
	}
}
