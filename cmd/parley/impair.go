package main

import (
	"errors"

	"parley/peer/netem"
)

// newEmulator returns the emulator of a call's own sockets, nil without --impair. Calls that share a UDP port share an
// emulator, see openUDP.
func (s *settings) newEmulator() *netem.Emulator {
	if s.Impair == nil || s.mux != nil {
		return nil
	}
	return netem.NewEmulator(*s.Impair)
}

// closeEmulator closes the emulator of the call's own sockets and logs its counts.
func (c *session) closeEmulator() {
	if c.emulator == nil {
		return
	}
	out, in := c.emulator.Counts()
	c.logger.Debug("impairment", "out", out, "in", in)
	_ = c.emulator.Close()
	c.emulator = nil
}

// setImpair changes the emulated network in mid-call to what a line of a scenario says.
func (c *session) setImpair(text string) error {
	config, err := parseImpair(text)
	if err != nil {
		return err
	}
	if c.emulator == nil {
		return errors.New("calls that share a UDP port cannot be impaired one by one: leave --udp-ports out")
	}
	c.emulator.SetConfig(config)
	return nil
}

// parseImpair returns the Config of an impair line: the words of --impair, or none.
func parseImpair(text string) (netem.Config, error) {
	if text == "none" {
		return netem.Config{}, nil
	}
	return netem.Parse(text)
}
