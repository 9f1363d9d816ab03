package peer

import (
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	pion "github.com/pion/datachannel"
	"github.com/pion/sctp"

	"parley/peer/datachannel"
	"parley/peer/peertest"
)

// chunk is peertest.Chunk of 32-bit values.
func chunk(kind byte, values ...uint32) []byte {
	var value []byte
	for _, v := range values {
		value = binary.BigEndian.AppendUint32(value, v)
	}
	return peertest.Chunk(kind, 0, value...)
}

// lies lets a call come up, puts packets on its wire, and says what it comes to.
func lies(packets func(*peertest.Association) [][]byte, then func(*faulty)) func(*testing.T) {
	return func(t *testing.T) {
		f := callHostile(t, nil).connect().handshake().associate()
		f.talks()
		for _, p := range packets(f.assoc) {
			if err := f.assoc.Send(p); err != nil {
				t.Fatal(err)
			}
		}
		then(f)
	}
}

func one(chunks ...[]byte) func(*peertest.Association) [][]byte {
	return func(a *peertest.Association) [][]byte { return [][]byte{a.Packet(chunks...)} }
}

func sctpFaults() map[string]func(*testing.T) {
	goesOn := (*faulty).talks
	return map[string]func(*testing.T){
		"74_abort": lies(one(chunk(peertest.ChunkAbort)), (*faulty).channelsEnd),
		"74_shutdown": func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake().associate()
			f.talks()
			_ = f.assoc.Shutdown(f.ctx)
			f.channelsEnd()
		},
		"74_shutdown_complete_out_of_turn": lies(one(chunk(peertest.ChunkShutdownComplete)), goesOn),
		"74_second_init":                   lies(func(*peertest.Association) [][]byte { return [][]byte{peertest.Packet(0, initChunk())} }, goesOn),
		"74_init_beside_others":            lies(func(*peertest.Association) [][]byte { return [][]byte{peertest.Packet(0, initChunk(), initChunk())} }, goesOn),
		"74_forged_cookie":                 lies(one(chunk(peertest.ChunkCookieEcho, 1, 2, 3, 4)), goesOn),
		"74_chunk_of_no_length":            lies(one([]byte{peertest.ChunkSack, 0, 0, 0, 0, 0, 0, 0}), goesOn),
		"74_chunk_that_lies_about_length":  lies(one([]byte{peertest.ChunkData, 3, 0xff, 0xff, 0, 0, 0, 0}), goesOn),
		"74_chunk_of_unknown_type":         lies(one(chunk(63, 1), chunk(127, 1), chunk(191, 1), chunk(255, 1)), goesOn),
		"74_bad_checksum": lies(func(a *peertest.Association) [][]byte {
			p := a.Packet(chunk(peertest.ChunkAbort))
			p[8] ^= 1
			return [][]byte{p}
		}, goesOn),
		// Pion does not look at it. Nobody but the peer can send it, through DTLS.
		"74_wrong_tag": lies(func(*peertest.Association) [][]byte {
			return [][]byte{peertest.Packet(0xdeadbeef, chunk(peertest.ChunkAbort))}
		}, (*faulty).channelsEnd),
		"74_cut_short": lies(func(a *peertest.Association) [][]byte {
			p := a.Packet(chunk(peertest.ChunkAbort))
			var all [][]byte
			for i := 1; i < len(p); i++ {
				all = append(all, p[:i])
			}
			return all
		}, goesOn),
		"74_acknowledges_what_was_never_sent": lies(one(chunk(peertest.ChunkSack, 0x7fffffff, 1<<20, 0)), goesOn),
		"74_reset_of_an_unknown_stream": lies(func(a *peertest.Association) [][]byte {
			// An outgoing SSN reset request (RFC 6525 section 4.1) for stream 60000.
			value := []byte{0, 13, 0, 18}
			for _, v := range []uint32{a.TSN() + 1, 0, a.TSN()} {
				value = binary.BigEndian.AppendUint32(value, v)
			}
			value = append(value, 0xea, 0x60, 0, 0)
			return [][]byte{a.Packet(peertest.Chunk(peertest.ChunkReconfig, 0, value...))}
		}, goesOn),
		// Not a chunk for messages that may be interleaved (RFC 8260 section 2.3.1).
		"74_jump_of_the_wrong_kind": lies(func(a *peertest.Association) [][]byte {
			return [][]byte{a.Packet(chunk(peertest.ChunkForwardTSN, a.TSN()-1000))}
		}, (*faulty).channelsEnd),
		// It throws away what it has not sent yet: its own loss, not ours.
		"74_jump_far_ahead": lies(func(a *peertest.Association) [][]byte {
			return [][]byte{a.Packet(chunk(peertest.ChunkForwardTSN, a.TSN()+1<<20))}
		}, func(f *faulty) {
			f.call.Hangup() // if that has not ended the call by itself
			if _, err := f.awaitEnd(); err != nil {
				f.t.Errorf("ended with %v", err)
			}
		}),
		"74_ten_thousand_streams": func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake().associate()
			f.talks()
			for i := range uint16(10_000) {
				stream, err := f.assoc.OpenStream(2*i, sctp.PayloadTypeWebRTCBinary)
				if err != nil {
					t.Fatal(err)
				}
				open := []byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 'x'}
				if _, err := stream.WriteSCTP(open, sctp.PayloadTypeWebRTCDCEP); err != nil {
					t.Fatal(err)
				}
			}
			f.talks()
		},
		"74_closed_window": func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake().associate()
			f.talks()
			ch := anyOf[ChannelOpened](f.side).Channel
			// Nobody reads the channel at the other end: a writer waits, and the call
			// can still be hung up.
			written := make(chan error, 1)
			go func() {
				for {
					if err := ch.Write(f.ctx, make([]byte, 60_000), false); err != nil {
						written <- err
						return
					}
				}
			}()
			for ch.Pending() < lowWater {
				select {
				case err := <-written:
					t.Fatal(err)
				case <-f.ctx.Done():
					t.Fatalf("%d bytes are queued", ch.Pending())
				default:
				}
			}
			if inFull() {
				time.Sleep(time.Minute) // the window is closed meanwhile, which is what is tested
			}
			if ch.Pending() > highWater+1<<20 {
				t.Errorf("%d bytes are queued for somebody who does not read", ch.Pending())
			}
			f.stop()
			if end, err := f.awaitEnd(); end != Left || err != nil {
				t.Errorf("ended with %v, %v", end, err)
			}
			<-written
		},
	}
}

// initChunk is an INIT with a tag of its own.
func initChunk() []byte { return chunk(peertest.ChunkInit, 0x01020304, 1<<17, 0xffffffff, 1) }

// channelsEnd checks that the channel is over, or the call with it: which of the
// two is reported first is chance.
func (f *faulty) channelsEnd() {
	f.t.Helper()
	timeout := time.After(deadline)
	for {
		f.mu.Lock()
		more := f.more
		f.mu.Unlock()
		if happenings(f.side, func(ChannelClosed) bool { return true }) > 0 {
			return
		}
		select {
		case <-more:
		case <-f.ended:
			if f.err != nil || f.end != PeerLeft {
				f.t.Errorf("the call ended with %v, %v", f.end, f.err)
			}
			return
		case <-timeout:
			f.t.Fatalf("the channel is still there; there were %s", f.summary())
		}
	}
}

// dcep opens a stream with a first message of the data channel establishment
// protocol.
func (f *faulty) dcep(id uint16, messages ...[]byte) {
	f.t.Helper()
	stream, err := f.assoc.OpenStream(id, sctp.PayloadTypeWebRTCBinary)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, m := range messages {
		if _, err := stream.WriteSCTP(m, sctp.PayloadTypeWebRTCDCEP); err != nil {
			f.t.Fatal(err)
		}
	}
}

func channelFaults() map[string]func(*testing.T) {
	open := func(label string) []byte {
		return append([]byte{3, 0, 0, 0, 0, 0, 0, 0, 0, byte(len(label)), 0, 0}, label...)
	}
	odd := func(id uint16, messages ...[]byte) func(*testing.T) {
		return func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake().associate()
			f.talks()
			f.dcep(id, messages...)
			f.talks()
		}
	}
	return map[string]func(*testing.T){
		"75_open_on_an_open_stream": odd(4, open("a"), open("b"), open("c")),
		"75_unknown_channel_type":   odd(4, append([]byte{3, 0x77, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 'x')),
		"75_label_past_the_end":     odd(4, []byte{3, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 'x'}),
		"75_cut_short":              odd(4, []byte{3}, []byte{3, 0, 0}),
		"75_empty":                  odd(4, []byte{}),
		"75_ack_without_open":       odd(4, []byte{2}),
		"75_number_of_the_other":    odd(5, open("x")), // odd ones are the DTLS server's (RFC 8832 section 6)
		"75_unknown_message":        odd(4, []byte{0x42, 1, 2, 3}),
		"75_unknown_payload_protocol": func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake().associate()
			f.talks()
			stream, err := f.assoc.OpenStream(6, sctp.PayloadTypeWebRTCBinary)
			if err != nil {
				t.Fatal(err)
			}
			for _, ppid := range []sctp.PayloadProtocolIdentifier{0, 52, 54, 99, 1 << 31} {
				if _, err := stream.WriteSCTP([]byte("x"), ppid); err != nil {
					t.Fatal(err)
				}
			}
			f.talks()
		},
		"76_message_over_the_limit": func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake()
			a, err := f.session.Associate(sctp.WithMaxMessageSize(8 << 20))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = a.Close() })
			f.assoc = a
			if f.channel, err = pion.Accept(a.Association, &pion.Config{LoggerFactory: discard()}); err != nil {
				t.Fatal(err)
			}
			f.talks()
			if _, err := f.channel.WriteDataChannel(make([]byte, datachannel.MaxMessageSize+1), false); err != nil {
				t.Fatal(err)
			}
			await(f.side, func(ChannelClosed) bool { return true })
			if n := happenings(f.side, func(e MessageReceived) bool { return !e.Text }); n > 0 {
				t.Error("it was taken")
			}
		},
		"76_our_message_over_their_limit": func(t *testing.T) {
			f := callHostile(t, func(_ *Config, h *peertest.Hostile) { h.Limit = 1000 }).connect().handshake().associate()
			f.talks()
			ch := anyOf[ChannelOpened](f.side).Channel
			if err := ch.Send(make([]byte, 1001), false); !errors.Is(err, datachannel.ErrTooLong) {
				t.Errorf("1001 bytes were sent to somebody who takes 1000: %v", err)
			}
			if err := ch.Send(make([]byte, 1000), false); err != nil {
				t.Error(err)
			}
			f.talks()
		},
		"76_many_tiny_messages": func(t *testing.T) {
			f := callHostile(t, nil).connect().handshake().associate()
			f.talks()
			messages := 100_000
			if inFull() {
				messages = 1_000_000
			}
			for range messages {
				if _, err := f.channel.WriteDataChannel([]byte{'x'}, false); err != nil {
					t.Fatal(err)
				}
			}
			f.talks()
		},
	}
}

// inFull reports whether faults take as long as in the catalogue: a window that is closed
// for a minute, a million messages (make faults).
func inFull() bool { return os.Getenv("PARLEY_FAULTS") == "full" }
