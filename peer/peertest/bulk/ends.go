package main

import (
	"time"

	"parley/peer/peertest/ends"
)

// load is what an end sends.
type load struct {
	channels int
	size     int // of a message, in bytes
	duration time.Duration
}

// measureEnds has one end of a library send messages to another.
func measureEnds(command []string, way *detour, l load) (result, error) {
	p, err := ends.Start(command, command)
	if err != nil {
		return result{}, err
	}
	defer p.Close()
	p.Rewrite = way.rewrite
	if _, err := p.Connect(l.channels, time.Minute); err != nil {
		return result{}, err
	}
	way.started()
	processes := p.Processes()
	before := [2]time.Duration{cpuOf(processes[0]), cpuOf(processes[1])}
	if err := p.Write(0, ends.Message{Do: "send", Ms: float64(l.duration.Milliseconds()), Size: l.size}); err != nil {
		return result{}, err
	}
	m, err := p.Until("received", 1, l.duration+time.Minute)
	if err != nil {
		return result{}, err
	}
	way.ended()
	return result{bytes: m.Bytes, least: m.Least, most: m.Most, took: time.Duration(m.Ms * float64(time.Millisecond)),
		cpu: [2]time.Duration{cpuOf(processes[0]) - before[0], cpuOf(processes[1]) - before[1]},
		rss: [2]int64{peakOf(processes[0]), peakOf(processes[1])}}, nil
}
