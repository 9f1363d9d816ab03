package peer

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pion/webrtc/v4"
)

// maxExtension is the highest number of a header extension with one byte (RFC
// 8285 §4.2).
const maxExtension = 14

// extensionIDs are the header extensions in the other side's sections by their
// numbers. Whatever is added keeps to them, bundled or not: Chromium has one
// numbering for all of its sections, and makes no offer any more that it could
// not take itself.
func (c *Call) extensionIDs() map[int]string {
	ids, known := map[int]string{}, map[string]bool{}
	for _, s := range c.slots {
		for _, a := range s.asked.Attributes {
			words := strings.Fields(a.Value)
			if a.Key != "extmap" || len(words) < 2 || known[words[1]] {
				continue
			}
			number, _, _ := strings.Cut(words[0], "/")
			if id, err := strconv.Atoi(number); err == nil && id > 0 && id <= maxExtension && ids[id] == "" {
				ids[id], known[words[1]] = words[1], true
			}
		}
	}
	return ids
}

// numberExtensions makes Pion number header extensions as they are already: it
// does so in the order in which it hears of them. What has no kind is not offered.
func (c *Config) numberExtensions(engine *webrtc.MediaEngine) error {
	last := 0
	for id := range c.extensions {
		last = max(last, id)
	}
	for id := 1; id <= last; id++ {
		uri := c.extensions[id]
		if uri == "" {
			uri = fmt.Sprint("nobody's ", id)
		}
		if err := engine.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, 0); err != nil {
			return fmt.Errorf("failed to number header extensions: %w", err)
		}
	}
	return nil
}
