package mp4

import (
	"bytes"
	"slices"

	"parley/media"
	"parley/media/codec"

	"github.com/pion/webrtc/v4"
)

// descriptionRoom is what is left free in the header for pictures of another size than the first, in bytes: enough for
// ten sizes, and nobody sends more than some (layers of a simulcast, steps of a browser that adapts).
const descriptionRoom = 2 << 10

// descriptions are the sample descriptions, and the room for more (ISO 14496-12 sections 8.5.2 and 8.1.2). A player knows
// all of them before it plays, and each fragment says which one is its own.
func (t *outTrack) descriptions() []byte {
	stsd := fullBox("stsd", 0, 0, append([][]byte{be32(uint32(len(t.entries)))}, t.entries...)...) //nolint:gosec // few
	left := t.room - len(bytes.Join(t.entries, nil))
	return append(stsd, box("free", make([]byte, left))...)
}

// describe is which entry describes a frame. One of another size, or encoded in another way, than all before gets a new
// entry in the header, before it is written itself. Where there is no room for it, a player has to see from the frame
// itself that it has changed, as most do.
func (m *muxer) describe(t *outTrack, f media.Frame) (int, error) {
	tells := f.Key && f.Width > 0 && (t.mime != webrtc.MimeTypeH264 || codec.AVCDecoderConfig(f.Data) != nil)
	if !t.video || !tells {
		return t.entry, nil
	}
	entry := sampleEntry(t.mime, f)
	if i := slices.IndexFunc(t.entries, func(e []byte) bool { return bytes.Equal(e, entry) }); i >= 0 {
		return i, nil
	}
	if !m.file.Seekable() || len(entry)+len(bytes.Join(t.entries, nil)) > t.room {
		return t.entry, nil
	}
	t.entries = append(t.entries, entry)
	width, height := frameSize(f)
	t.width, t.height = max(t.width, width), max(t.height, height)
	head := initSegment(m.tracks) // as long as before
	if err := m.file.Patch(0, head); err != nil {
		return t.entry, err
	}
	m.head = head
	return len(t.entries) - 1, nil
}
