package datachannel

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pion/datachannel"
	"github.com/pion/webrtc/v4"
)

// Config is what a Set reports to. Every field is needed.
type Config struct {
	// OnOpen is called once a channel can be used, and OnClose once it has ended. They must not
	// wait.
	OnOpen, OnClose func(*Channel)
	// OnMessage is called with each message of a channel that is not detached. It owns data. While
	// it waits, the messages that follow wait at the peer.
	OnMessage func(ch *Channel, text bool, data []byte)
	// Verified is closed once messages may be sent.
	Verified <-chan struct{}
	Logger   *slog.Logger
}

// A Set holds the data channels of one PeerConnection, which must be set up to detach them
// (SettingEngine.DetachDataChannels). Its methods may be called from any goroutine.
type Set struct {
	Config
	pc      *webrtc.PeerConnection
	buffers sync.Pool // *[]byte, each for a message that was received

	mu       sync.Mutex // guards the following
	channels []*Channel // open ones
	closed   bool       // by Close
	ids      ids
	readers  sync.WaitGroup // goroutines that Wait waits for
}

// NewSet returns the data channels of pc. It handles OnDataChannel of pc.
func NewSet(pc *webrtc.PeerConnection, cfg Config) *Set {
	s := &Set{Config: cfg, pc: pc, ids: newIDs()}
	s.buffers.New = func() any { buffer := make([]byte, defaultMessageSize); return &buffer }
	pc.OnDataChannel(func(dc *webrtc.DataChannel) {
		ch := s.newChannel(dc, true)
		s.mu.Lock()
		s.ids.choose(ch.ID())
		s.mu.Unlock()
		s.watch(ch, nil)
	})
	return s
}

// Open opens a channel once the connection is up, and calls opened, unless nil, before OnOpen. A
// channel for which that returns false is closed again, and neither its opening nor its end is
// reported. The error may be ErrNoID.
func (s *Set) Open(o Options, opened func(*Channel) bool) error {
	init := o.init()
	ours, err := s.setID(init)
	if err != nil {
		return err
	}
	dc, err := s.pc.CreateDataChannel(o.Label, init)
	if err != nil {
		return fmt.Errorf("failed to open a data channel: %w", err)
	}
	ch := s.newChannel(dc, false)
	ch.idIsOurs = ours
	ch.detached.Store(o.Detached)
	s.watch(ch, opened)
	return nil
}

// setID sets the ID of a channel that we open, unless Pion has to. It reports whether the ID is to
// be given back.
func (s *Set) setID(init *webrtc.DataChannelInit) (ours bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if init.ID != nil {
		if slices.ContainsFunc(s.channels, func(ch *Channel) bool { return ch.ID() == *init.ID }) {
			return false, fmt.Errorf("data channel ID %d is in use", *init.ID)
		}
		s.ids.choose(*init.ID)
		return false, nil
	}
	id, ours, err := s.ids.take(time.Now())
	if ours {
		init.ID = &id
	}
	return ours, err
}

func (s *Set) newChannel(dc *webrtc.DataChannel, byPeer bool) *Channel {
	return &Channel{dc: dc, set: s, byPeer: byPeer, gone: make(chan struct{})}
}

// watch prepares a channel for use once it opens.
func (s *Set) watch(ch *Channel, opened func(*Channel) bool) {
	ch.dc.OnOpen(func() {
		raw, err := ch.dc.DetachWithDeadline()
		if err != nil {
			s.Logger.Debug("data channel closed while it opened", "error", err)
			return
		}
		if !ch.byPeer && !ch.idIsOurs && !ch.Negotiated() {
			s.mu.Lock()
			s.ids.learn(ch.ID())
			s.mu.Unlock()
		}
		ch.raw = raw.(*datachannel.DataChannel) // it has more than the interface
		ch.outgoing.init(ch.raw)
		if !s.keep(ch) {
			return
		}
		if opened != nil && !opened(ch) {
			ch.unreported.Store(true)
			s.spawn(ch.discard)
			return
		}
		if ch.byPeer || ch.detached.Load() || ch.Negotiated() {
			ch.announce() // its owner may send at once (RFC 8832 section 6)
			return
		}
		// Such a channel is announced once the peer has acknowledged it. That takes reading.
		ch.raw.OnOpen(ch.announce)
		s.spawn(ch.readLoop)
	})
}

// announce reports that the channel is open, once.
func (c *Channel) announce() { c.opening.Do(func() { c.set.OnOpen(c) }) }

// readLoop hands over what comes, until the channel is closed.
func (c *Channel) readLoop() {
	defer c.end()
	for {
		data, text, err := c.read()
		if err != nil {
			return
		}
		c.announce()
		data = bytes.Clone(data)
		c.release()
		c.set.OnMessage(c, text, data)
		c.waitForLowWater()
	}
}

// discard closes the channel and drops what still comes, which would fill the window of all
// channels.
func (c *Channel) discard() {
	_ = c.Close() // an error is of a connection that is closed
	c.dropRest()
}

// dropRest drops what comes until the peer closes the channel.
func (c *Channel) dropRest() {
	for {
		if _, _, err := c.Receive(context.Background()); err != nil {
			return
		}
	}
}

// StartReading starts handing over the messages of a channel, unless it is detached or read
// already. StartReading is called after OnOpen, once the channel can be detached no more.
func (s *Set) StartReading(ch *Channel) {
	if !ch.detached.Load() && (ch.byPeer || ch.Negotiated()) {
		s.spawn(ch.readLoop)
	}
}

// keep notes a channel that has to end with the connection. It reports false if that is closed.
func (s *Set) keep(ch *Channel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.channels = append(s.channels, ch)
	}
	return !s.closed
}

// forget undoes keep, and gives back the ID of a channel that both sides have reset.
func (s *Set) forget(ch *Channel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.channels, ch); i >= 0 {
		s.channels = slices.Delete(s.channels, i, i+1)
	}
	if ch.idIsOurs && ch.reset.Load() {
		s.ids.free(ch.ID(), time.Now())
	}
}

// spawn runs a goroutine that Wait waits for, unless the set is closed.
func (s *Set) spawn(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.readers.Go(f)
	}
}

// Close ends every write on a channel, and every read once what has come was read. It does not
// wait, and does not close the PeerConnection.
func (s *Set) Close() {
	s.mu.Lock()
	s.closed = true
	channels := slices.Clone(s.channels)
	s.mu.Unlock()
	for _, ch := range channels {
		ch.end()
		ch.interrupt()
	}
}

// Wait waits until OnMessage is called no more. Call it after Close.
func (s *Set) Wait() { s.readers.Wait() }
