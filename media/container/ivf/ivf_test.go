package ivf

import (
	"encoding/binary"
	"testing"

	"parley/media/internal/mediatest"
)

func TestMain(m *testing.M) { mediatest.Main(m) }

// file returns a file: its header, and frames of three bytes at times in units of the timebase.
func file(fourCC string, numerator, denominator uint32, times ...uint64) []byte {
	le := binary.LittleEndian
	b := append([]byte("DKIF\x00\x00\x20\x00"), fourCC...)
	b = le.AppendUint16(le.AppendUint16(b, 160), 120)
	b = le.AppendUint32(le.AppendUint32(b, denominator), numerator)
	b = le.AppendUint64(b, 0)
	for _, at := range times {
		b = le.AppendUint64(le.AppendUint32(b, 3), at)
		b = append(b, 1, 2, 3)
	}
	return b
}

// TestTimes: times are in units of the timebase, the last frame lasts as long as the one before.
func TestTimes(t *testing.T) {
	_, all := mediatest.Demux(t, NewDemuxer, file("VP90", 1001, 30000, 100, 101, 103))
	for i, want := range []uint64{0, 3003, 9009} {
		if all[i].Time != want {
			t.Errorf("frame %d is at %d, want %d", i, all[i].Time, want)
		}
	}
	if all[2].Duration != 6006 {
		t.Errorf("the last frame lasts %d, want 6006", all[2].Duration)
	}
}

// TestOneFrame: a frame that is alone lasts for one unit of the timebase, if that is a frame rate.
func TestOneFrame(t *testing.T) {
	for denominator, want := range map[uint32]uint64{25: 3600, 1000: 3000, 90000: 3000} {
		_, all := mediatest.Demux(t, NewDemuxer, file("VP80", 1, denominator, 7))
		if len(all) != 1 || all[0].Time != 0 || all[0].Duration != want {
			t.Errorf("timebase 1/%d: frames are %+v, want one of %d", denominator, all, want)
		}
	}
}

func FuzzDemuxer(f *testing.F) {
	f.Add(file("VP80", 1, 30, 0, 1, 5))
	f.Add(file("VP90", 1001, 30000, 7))
	f.Add(append(file("AV01", 1, 1000), 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0))
	f.Add(file("VP80", 1, 1<<31, 1<<62, 1<<63))
	f.Fuzz(func(t *testing.T, data []byte) { mediatest.FuzzDemuxer(t, NewDemuxer, data) })
}
