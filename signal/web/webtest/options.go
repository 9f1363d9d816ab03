package webtest

import (
	"fmt"
	"slices"
)

// Options say how a browser is started. The zero value (or nil) is a stock
// browser with a fake camera and microphone whose use is granted.
type Options struct {
	// Media says what getUserMedia finds. Default: [FakeMedia].
	Media Media
	// ShowAddresses turns off the hiding of local addresses behind mDNS names,
	// which stock browsers do on pages that have no camera. Default: hidden.
	ShowAddresses bool
	// Dark makes the colour scheme dark. Default: light.
	Dark bool
	// ReducedMotion asks pages to move less. Default: no preference.
	ReducedMotion bool
	// Args are further arguments on the browser's command line.
	Args []string
	// Prefs are further preferences: Firefox alone has them.
	Prefs map[string]any
}

// Media is what getUserMedia finds.
type Media string

// What getUserMedia finds.
const (
	FakeMedia    Media = ""        // a fake camera and microphone, granted at once
	NoMedia      Media = "none"    // no device at all: NotFoundError
	DeniedMedia  Media = "denied"  // somebody clicked "block": NotAllowedError
	PendingMedia Media = "pending" // the question stands and nobody answers it: Firefox alone, as Chromium dismisses it when headless
)

func (o *Options) clone() Options {
	if o == nil {
		return Options{}
	}
	c := *o
	c.Args = slices.Clone(o.Args)
	return c
}

// key is equal if two tests can share a browser.
func (o Options) key() string { return fmt.Sprintf("%+v", o) }
