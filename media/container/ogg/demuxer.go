// Package ogg reads and writes Opus in Ogg files (RFC 3533, RFC 7845).
package ogg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
	"github.com/thesyncim/gopus/container/ogg"
)

const (
	pageHeaderSize = 27
	maxStreams     = 64
	maxPacketSize  = 61440     // RFC 7845 section 6: longer ones need not be accepted
	maxTagsSize    = 120 << 20 // RFC 7845 section 5.2
)

// demuxer reads the Opus streams of an Ogg file. A physical stream is a chain of links. A link is a
// group of multiplexed logical streams: first pages of all of them, then their other pages in any
// order.
type demuxer struct {
	in       media.Input
	page     int                // number of the last page
	link     int                // number of the link, from 1
	streams  map[uint32]*stream // of the link, by serial number
	opened   bool               // a page that is no first page was read
	tracks   []media.Track
	opus     []int    // indexes of the Opus tracks
	times    []uint64 // of the next sample, by track
	selected []bool   // by track; nil before Select
	samples  []media.Sample

	opusOfLink int  // number of Opus streams in the link so far
	tagged     bool // the tags of an Opus stream were read
}

// stream is one logical stream of a link.
type stream struct {
	track   int // -1 for one that is not read
	head    codec.OpusHead
	err     error // says why it cannot be sent
	packets int   // read so far: OpusHead, OpusTags, audio
	skipped int   // samples that were discarded at the start
	open    bool  // a packet continues in the next page
	skip    bool  // its start is missing
	partial []byte
	size    int // of the tags, of which partial has the start only
	ended   bool
}

// NewDemuxer reads the headers of an Ogg file. Its tracks are the audio and video streams of the
// first link; those that are not Opus with 1 or 2 channels cannot be sent. The Opus streams of
// later links continue the tracks in their order. It does not read beyond the page that it needs.
//
// Packets that lie within the pre-skip are left out. The rest of it, less than a packet, is part of
// the samples.
func NewDemuxer(in media.Input) (media.Demuxer, error) {
	d := &demuxer{in: in}
	for {
		err := d.readPage()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w in its header pages", media.ErrTruncated)
		}
		if err != nil {
			return nil, err
		}
		sendable := slices.ContainsFunc(d.tracks, func(t media.Track) bool { return t.Err == nil })
		if d.opened && (d.tagged || !sendable) {
			break
		}
	}
	if len(d.tracks) == 0 {
		return nil, errors.New("no known codec in the Ogg stream; want Opus; convert it: ffmpeg -i FILE -c:v libvpx -b:v 1M -c:a libopus OUT.webm")
	}
	return d, nil
}

// Tracks implements media.Demuxer.
func (d *demuxer) Tracks() []media.Track { return d.tracks }

// Select implements media.Demuxer.
func (d *demuxer) Select(tracks ...int) error {
	d.selected = make([]bool, len(d.tracks))
	for _, track := range tracks {
		d.selected[track] = true
	}
	return nil
}

// Next implements media.Demuxer.
func (d *demuxer) Next() (media.Sample, error) {
	for {
		for len(d.samples) > 0 {
			s := d.samples[0]
			d.samples = d.samples[1:]
			if d.selected[s.Track] {
				return s, nil
			}
		}
		d.samples = nil
		if err := d.readPage(); err != nil {
			return media.Sample{}, err
		}
	}
}

// readPage reads and handles one page.
func (d *demuxer) readPage() error {
	d.page++
	b := make([]byte, pageHeaderSize, 4<<10)
	n, err := io.ReadFull(d.in.Reader, b)
	if n == 0 && errors.Is(err, io.EOF) {
		return io.EOF
	}
	if magic := b[:min(n, 4)]; !strings.HasPrefix("OggS", string(magic)) || n >= 5 && b[4] != 0 {
		if d.ended() {
			d.in.Warn("the data after the last page of the Ogg stream is ignored")
			return io.EOF
		}
		return fmt.Errorf("page %d: capture pattern is %q, want \"OggS\" and version 0", d.page, b[:min(n, 5)])
	}
	if err == nil {
		b, err = d.extend(b, int(b[26]))
	}
	if err == nil {
		size := 0
		for _, segment := range b[pageHeaderSize:] {
			size += int(segment)
		}
		b, err = d.extend(b, size)
	}
	if err != nil {
		return media.ReadError(fmt.Sprintf("page %d", d.page), err)
	}
	page, _, err := ogg.ParsePage(b)
	if err != nil {
		return fmt.Errorf("page %d is broken: its checksum does not match", d.page)
	}
	if err := d.handlePage(page); err != nil {
		return fmt.Errorf("page %d: %w", d.page, err)
	}
	return nil
}

// extend appends the next n bytes of the input to b.
func (d *demuxer) extend(b []byte, n int) ([]byte, error) {
	old := len(b)
	b = append(b, make([]byte, n)...)
	_, err := io.ReadFull(d.in.Reader, b[old:])
	return b, err
}

// ended reports whether the last pages of all streams of the link were read.
func (d *demuxer) ended() bool {
	for _, s := range d.streams {
		if !s.ended {
			return false
		}
	}
	return len(d.streams) > 0
}

// handlePage updates the link, and appends the packets of a selected stream to samples.
func (d *demuxer) handlePage(page *ogg.Page) error {
	if page.IsBOS() {
		if d.startsLink(page) {
			d.link++
			d.streams, d.opened, d.opusOfLink = make(map[uint32]*stream), false, 0
		}
		if err := d.addStream(page); err != nil {
			return err
		}
	} else {
		if d.streams == nil {
			return errors.New("not a header page; the start of the Ogg stream is missing")
		}
		if !d.opened {
			d.opened = true
			if err := d.checkLink(); err != nil {
				return err
			}
		}
	}
	s := d.streams[page.SerialNumber]
	if s == nil || s.ended {
		return nil
	}
	s.ended = page.IsEOS()
	if s.track < 0 || s.err != nil || d.selected != nil && !d.selected[s.track] {
		return nil
	}
	return d.handlePackets(s, page)
}

// startsLink reports whether a first page starts a link, rather than adding a stream to the current
// one. It adds one if no other page of the link was read, or if it is not Opus and streams of the
// link have not ended.
func (d *demuxer) startsLink(page *ogg.Page) bool {
	return d.streams == nil || d.opened &&
		(d.ended() || d.streams[page.SerialNumber] != nil || bytes.HasPrefix(page.Payload, []byte("OpusHead")))
}

// signatures are what the first packet of a stream starts with, by codec.
func signatures() []struct{ signature, mime string } {
	return []struct{ signature, mime string }{
		{"OpusHead", webrtc.MimeTypeOpus},
		{"\x01vorbis", "audio/Vorbis"}, {"\x7FFLAC", "audio/FLAC"}, {"fLaC", "audio/FLAC"}, {"Speex   ", "audio/Speex"},
		{"\x80theora", "video/Theora"}, {"BBCD", "video/Dirac"},
	}
}

// addStream adds the stream of a first page to the link. In the first link it is a track.
func (d *demuxer) addStream(page *ogg.Page) error {
	if len(d.streams) == maxStreams {
		return fmt.Errorf("the Ogg stream has more than %d multiplexed streams", maxStreams)
	}
	if d.streams[page.SerialNumber] != nil {
		return fmt.Errorf("two multiplexed streams have the serial number %d", page.SerialNumber)
	}
	s := &stream{track: -1}
	d.streams[page.SerialNumber] = s
	mime := ""
	for _, known := range signatures() {
		if bytes.HasPrefix(page.Payload, []byte(known.signature)) {
			mime = known.mime
			break
		}
	}
	if mime == "" {
		return nil // no audio or video
	}
	if mime == webrtc.MimeTypeOpus {
		d.opusOfLink++
		s.head, s.err = codec.ParseOpusHead(page.Payload)
	} else {
		s.err = codec.UnsupportedCodec(media.CodecName(mime))
	}
	if d.link > 1 || d.opened {
		if mime == webrtc.MimeTypeOpus && d.opusOfLink <= len(d.opus) {
			s.track = d.opus[d.opusOfLink-1]
		}
		return nil
	}
	track := media.Track{Codec: webrtc.RTPCodecCapability{MimeType: mime}, Err: s.err}
	s.track = len(d.tracks)
	if mime == webrtc.MimeTypeOpus {
		track.Codec = codec.OpusCapability()
		d.opus = append(d.opus, s.track)
	}
	d.tracks, d.times = append(d.tracks, track), append(d.times, 0)
	return nil
}

// checkLink reports why a link after the first one does not continue any selected track.
func (d *demuxer) checkLink() error {
	if d.link == 1 {
		return nil
	}
	if d.selected == nil {
		return errors.New("OpusTags is missing")
	}
	var reason error
	for _, s := range d.streams {
		if s.track >= 0 && d.selected[s.track] && s.err == nil {
			return nil
		}
		if s.err != nil && (reason == nil || s.track >= 0) {
			reason = s.err
		}
	}
	if reason == nil {
		reason = errors.New("no Opus in it")
	}
	return fmt.Errorf("chained stream %d: %w", d.link, reason)
}

// handlePackets splits a page into packets. A page holds up to 255 segments, and a packet ends with
// a segment of less than 255 bytes, so that a packet may span pages.
func (d *demuxer) handlePackets(s *stream, page *ogg.Page) error {
	switch continued := page.IsContinuation(); {
	case !continued:
		s.reset()
	case !s.open:
		s.skip = true
	}
	segments, payload := page.Segments, page.Payload
	for len(segments) > 0 {
		n, size := 0, 0
		for n < len(segments) && segments[n] == 255 {
			n, size = n+1, size+255
		}
		s.open = n == len(segments)
		if !s.open {
			n, size = n+1, size+int(segments[n])
		}
		if err := s.append(payload[:size]); err != nil {
			return err
		}
		segments, payload = segments[n:], payload[size:]
		if s.open {
			break
		}
		if !s.skip {
			if err := d.handlePacket(s); err != nil {
				return err
			}
		}
		s.reset()
	}
	return nil
}

// append adds a part of a packet to partial: of tags, which may contain images, only the start.
func (s *stream) append(part []byte) error {
	switch {
	case s.skip:
	case s.packets == 1:
		if s.size += len(part); s.size > maxTagsSize {
			return fmt.Errorf("OpusTags is longer than %d bytes", maxTagsSize)
		}
		s.partial = append(s.partial, part[:min(len(part), max(0, 8-len(s.partial)))]...)
	case len(s.partial)+len(part) > maxPacketSize:
		return fmt.Errorf("a packet is longer than %d bytes", maxPacketSize)
	case len(s.partial) == 0:
		s.partial = part
	default:
		s.partial = append(s.partial, part...) // partial is the end of its page
	}
	return nil
}

// reset begins a packet.
func (s *stream) reset() { s.open, s.skip, s.partial, s.size = false, false, nil, 0 }

// handlePacket takes a whole packet.
func (d *demuxer) handlePacket(s *stream) error {
	s.packets++
	switch {
	case s.packets == 1:
		return nil // OpusHead
	case s.packets == 2:
		if string(s.partial) != "OpusTags" {
			return errors.New("invalid OpusTags")
		}
		d.tagged = true
		return nil
	case len(s.partial) == 0:
		return nil
	}
	duration := codec.OpusPacketSamples(s.partial)
	if duration == 0 {
		return errors.New("invalid Opus packet")
	}
	if s.skipped+duration <= s.head.PreSkip {
		s.skipped += duration
		return nil
	}
	s.skipped = s.head.PreSkip
	d.samples = append(d.samples, media.Sample{
		Track: s.track, Data: s.partial, Time: d.times[s.track], Duration: uint64(duration), //nolint:gosec // at most 5760
	})
	d.times[s.track] += uint64(duration) //nolint:gosec // at most 5760
	return nil
}
