package peer

import "parley/peer/internal/jsep"

// A Description is a session description of the peer, see ParseDescription.
type Description = jsep.Description

// A Section is an m-section of a Description.
type Section = jsep.Section

// ParseDescription reads and checks a session description of the peer. The error says what is wrong
// with it.
func ParseDescription(text string) (*Description, error) { return jsep.Parse(text) }
