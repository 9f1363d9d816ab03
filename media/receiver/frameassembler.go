package receiver

import (
	"github.com/pion/rtp"

	"parley/media"
)

// frameAssembler joins packets, in order, to frames. All packets of a frame have one timestamp, and
// the last one has the marker bit.
type frameAssembler struct {
	depacketizer depacketizer // nil for codecs where each packet is a frame
	// emit takes a complete frame.
	emit func(f assembledFrame)
	// drop is called for each incomplete frame.
	drop func()

	data     []byte
	first    bufferedPacket
	open     bool // a frame has begun
	bad      bool // and is not complete
	gap      bool // something was lost since the last frame
	rotation int
}

// assembledFrame is a complete frame.
type assembledFrame struct {
	data     []byte // valid during the call of emit
	first    bufferedPacket
	gap      bool // something before the frame was lost
	rotation int  // clockwise, in degrees
}

// reset switches to another codec.
func (a *frameAssembler) reset(d depacketizer, emit func(assembledFrame), drop func()) {
	*a = frameAssembler{depacketizer: d, emit: emit, drop: drop, data: a.data[:0], gap: a.gap || a.open}
}

// push takes the next packet.
func (a *frameAssembler) push(p bufferedPacket) {
	if p.gap {
		a.markLoss()
	}
	if len(p.packet.Payload) == 0 {
		return // padding, which probes the bandwidth
	}
	if a.depacketizer == nil {
		a.emit(assembledFrame{data: p.packet.Payload, first: p, gap: a.takeGap()})
		return
	}
	if a.open && p.packet.Timestamp != a.first.packet.Timestamp {
		a.finish() // without a loss, so that the sender leaves out markers
	}
	if !a.open {
		a.begin(p)
	}
	a.add(p.packet)
	if p.oriented { // in the last packet of a frame; it holds until it changes (3GPP TS 26.114 section 7.4.5)
		a.rotation = p.rotation
	}
	if p.packet.Marker {
		a.finish()
	}
}

// markLoss notes that packets before the next one are missing: an unfinished frame is incomplete.
func (a *frameAssembler) markLoss() {
	if a.open {
		a.bad = true
	}
	a.gap = true
}

func (a *frameAssembler) begin(p bufferedPacket) {
	a.open, a.first, a.data = true, p, a.data[:0]
	a.bad = !a.depacketizer.isFirst(p.packet.Payload)
	a.depacketizer.reset()
}

func (a *frameAssembler) add(p *rtp.Packet) {
	if a.bad {
		return
	}
	data, err := a.depacketizer.unpack(a.data, p.Payload)
	if err != nil || len(data) > media.MaxFrameSize {
		a.bad = true
		return
	}
	a.data = data
}

// finish emits the frame, or drops it.
func (a *frameAssembler) finish() {
	a.open = false
	if a.bad || len(a.data) == 0 {
		a.gap = true
		a.drop()
		return
	}
	data := a.depacketizer.finish(a.data)
	if data == nil {
		return
	}
	a.emit(assembledFrame{data: data, first: a.first, gap: a.takeGap(), rotation: a.rotation})
}

func (a *frameAssembler) takeGap() bool {
	gap := a.gap
	a.gap = false
	return gap
}
