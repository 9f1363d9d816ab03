package msection

import (
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// MaxOneByteID is the highest ID of a header extension with one byte (RFC 8285 section 4.2).
const MaxOneByteID = 14

// ExtensionID returns the ID of a header extension in a section, 0 for none.
func ExtensionID(m *sdp.MediaDescription, uri string) uint8 {
	for _, a := range m.Attributes {
		if id := ExtmapID(a); id != 0 && strings.HasSuffix(a.Value, " "+uri) {
			return id
		}
	}
	return 0
}

// ExtmapID returns the ID in an extmap attribute (RFC 8285 section 5), 0 for none.
func ExtmapID(a sdp.Attribute) uint8 {
	number, _, _ := strings.Cut(a.Value, " ")
	number, _, _ = strings.Cut(number, "/")
	if id, err := strconv.ParseUint(number, 10, 8); err == nil && a.Key == sdp.AttrKeyExtMap {
		return uint8(id)
	}
	return 0
}

// DropTwoByteExtensions removes the header extensions with an ID above 14: they need two-byte
// headers (RFC 8285 section 4.3), and Pion fails to send a packet with one. The answer does without
// them.
func DropTwoByteExtensions(m *sdp.MediaDescription) {
	DropAttributes(m, func(a sdp.Attribute) bool {
		if a.Key != sdp.AttrKeyExtMap {
			return false
		}
		id := ExtmapID(a)
		return id == 0 || id > MaxOneByteID
	})
}
