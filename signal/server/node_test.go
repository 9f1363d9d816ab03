//go:build !quick

package server_test

import (
	"testing"

	"parley/signal/signaltest"
)

// TestOriginalUnknownTypes holds our answers to unknown types against JavaScript's own.
func TestOriginalUnknownTypes(t *testing.T) {
	url := signaltest.Original(t, "call")
	for frame, shown := range unknownTypes() {
		t.Run(frame, func(t *testing.T) {
			play(t, url, "alice = Hello world\nalice > "+frame+"\nalice < "+`{"type":"error","message":"Command not found: `+shown+`"}`)
		})
	}
}
