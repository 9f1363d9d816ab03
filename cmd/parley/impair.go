package main

import (
	"errors"

	"parley/peer"
	"parley/peer/road"
)

// ownImpairment is that of this call's own sockets, nil for none. All calls of one UDP port share one, see openUDP.
func (s *settings) ownImpairment() *peer.Impairment {
	if s.impair == nil || s.mux != nil {
		return nil
	}
	return peer.NewImpairment(*s.impair)
}

// closeImpairment ends it, and says in the log what it has done.
func (c *session) closeImpairment() {
	if c.impaired == nil {
		return
	}
	out, in := c.impaired.Counts()
	c.logger.Debug("impairment", "out", out, "in", in)
	_ = c.impaired.Close()
	c.impaired = nil
}

// becomes changes the impairment in mid-call, as a line of a scenario says: the words of --impair, or none.
func (c *session) becomes(text string) error {
	w, err := weather(text)
	if err != nil {
		return err
	}
	if c.impaired == nil {
		return errors.New("the packets of this call cannot be impaired: with one UDP port for all calls they are not apart; leave --udp-ports out")
	}
	c.impaired.Become(w)
	return nil
}

// weather reads what stands behind impair.
func weather(text string) (road.Weather, error) {
	if text == "none" {
		return road.Weather{}, nil
	}
	return road.Parse(text)
}
