// Package ogg reads and writes Opus in Ogg files (RFC 3533, RFC 7845).
package ogg

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

const (
	pageHeaderSize = 27
	maxPacketSize  = 61440 // RFC 7845 section 6: more need not be accepted, and real ones are below 2 kB

	flagContinued = 1 // flags of a page, RFC 3533 section 6
	flagFirst     = 2
	flagLast      = 4
)

// demuxer reads the first Opus stream of an Ogg file (RFC 3533, RFC 7845). A page holds up to 255 segments; a packet
// ends with a segment shorter than 255 bytes, so that pages hold many packets and packets may span pages.
type demuxer struct {
	r      *bufio.Reader
	crc    *[256]uint32
	page   int
	serial uint32
	chosen bool // serial is the stream to read

	packets [][]byte // of the pages read so far
	partial []byte   // a packet that goes on in the next page
	skip    bool     // until a packet ends: its start is missing
	ended   bool
	packet  int
	at      uint64
}

// NewDemuxer reads the headers of an Ogg file. Its only track is the first Opus stream.
func NewDemuxer(in media.Input) (media.Demuxer, error) {
	o := &demuxer{r: in.Reader, crc: crcTable()}
	head, err := o.read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("no Opus in the Ogg file; Opus is the only audio that can be sent from a file")
	}
	if err != nil {
		return nil, err
	}
	if err := codec.CheckOpusHead(head); err != nil {
		return nil, err
	}
	tags, err := o.read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is cut off after the first header")
	}
	if err == nil && (len(tags) < 8 || string(tags[:8]) != "OpusTags") {
		err = errors.New("the second packet is not OpusTags")
	}
	o.packet = 0
	if err != nil {
		return nil, err
	}
	return o, nil
}

// Tracks implements media.Demuxer.
func (o *demuxer) Tracks() []media.Track {
	return []media.Track{{Codec: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: media.OpusClockRate, Channels: 2}}}
}

// Select implements media.Demuxer.
func (o *demuxer) Select(...int) error { return nil }

// Next implements media.Demuxer: it reads one packet of audio. Its length is in its first bytes.
func (o *demuxer) Next() (media.Sample, error) {
	for {
		packet, err := o.read()
		if err != nil {
			return media.Sample{}, err
		}
		duration := codec.OpusPacketSamples(packet)
		if duration == 0 {
			if len(packet) == 0 {
				continue // nothing, not even a table of contents
			}
			return media.Sample{}, fmt.Errorf("packet %d is not Opus", o.packet)
		}
		at := o.at
		o.at += uint64(duration) //nolint:gosec // at most 5760
		return media.Sample{Data: packet, Time: at, Duration: uint64(duration)}, nil
	}
}

// read returns the next whole packet of the stream.
func (o *demuxer) read() ([]byte, error) {
	for len(o.packets) == 0 {
		if o.ended {
			return nil, io.EOF
		}
		if err := o.readPage(); err != nil {
			return nil, err
		}
	}
	packet := o.packets[0]
	o.packets = o.packets[1:]
	o.packet++
	return packet, nil
}

// readPage reads one page of any stream, and takes packets from it if it is of ours.
func (o *demuxer) readPage() error {
	o.page++
	var header [pageHeaderSize + 255]byte
	if _, err := io.ReadFull(o.r, header[:pageHeaderSize]); err != nil {
		if errors.Is(err, io.EOF) {
			return io.EOF
		}
		return media.ReadError(fmt.Sprintf("page %d", o.page), err)
	}
	if string(header[:4]) != "OggS" || header[4] != 0 {
		return fmt.Errorf("page %d does not begin with \"OggS\"", o.page)
	}
	table := header[pageHeaderSize : pageHeaderSize+int(header[26])]
	if _, err := io.ReadFull(o.r, table); err != nil {
		return media.ReadError(fmt.Sprintf("page %d", o.page), err)
	}
	size := 0
	for _, segment := range table {
		size += int(segment)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(o.r, body); err != nil {
		return media.ReadError(fmt.Sprintf("page %d", o.page), err)
	}
	sum := binary.LittleEndian.Uint32(header[22:])
	clear(header[22:26])
	if updateCRC(o.crc, updateCRC(o.crc, 0, header[:pageHeaderSize+len(table)]), body) != sum {
		return fmt.Errorf("page %d is broken: its checksum does not match", o.page)
	}
	return o.takePage(header[5], binary.LittleEndian.Uint32(header[14:]), table, body)
}

// takePage cuts a page into packets.
func (o *demuxer) takePage(flags byte, serial uint32, table, body []byte) error {
	if !o.chosen && flags&flagFirst != 0 && len(body) >= 8 && string(body[:8]) == "OpusHead" {
		o.chosen, o.serial = true, serial
	}
	if !o.chosen || serial != o.serial {
		return nil
	}
	// A page that does not go on with a packet ends the one that was open, and the other way round.
	continued := flags&flagContinued != 0
	if !continued {
		o.partial, o.skip = nil, false
	} else if o.partial == nil {
		o.skip = true
	}
	for _, segment := range table {
		o.partial = append(o.partial, body[:segment]...)
		body = body[segment:]
		if len(o.partial) > maxPacketSize {
			return fmt.Errorf("page %d: a packet is longer than %d bytes", o.page, maxPacketSize)
		}
		if segment == 255 {
			continue
		}
		if !o.skip {
			o.packets = append(o.packets, o.partial)
		}
		o.partial, o.skip = nil, false
	}
	o.ended = flags&flagLast != 0
	return nil
}

// crcTable is the table of the checksum of Ogg: CRC-32 with the polynomial 0x04C11DB7, not reflected (RFC 3533 section 6).
func crcTable() *[256]uint32 {
	var table [256]uint32
	for i := range table {
		sum := uint32(i) << 24 //nolint:gosec // below 256
		for range 8 {
			carry := sum>>31 != 0
			sum <<= 1
			if carry {
				sum ^= 0x04C11DB7
			}
		}
		table[i] = sum
	}
	return &table
}

func updateCRC(table *[256]uint32, sum uint32, data []byte) uint32 {
	for _, b := range data {
		sum = sum<<8 ^ table[byte(sum>>24)^b]
	}
	return sum
}
