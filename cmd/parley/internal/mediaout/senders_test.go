package mediaout

import (
	"testing"

	"parley/media/device"
	"parley/media/source"
	"parley/peer/track"
)

// The test pattern follows the bandwidth estimation; from an encoder it makes key frames on request
// and is sent in several encodings too.
func TestTestPatternOffersWhatACallAsksFor(t *testing.T) {
	s, err := source.OpenVideo("test", source.VideoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, ok := s.(track.BitrateSetter); !ok {
		t.Errorf("%T is no BitrateSetter", s)
	}
	if len(device.Codecs()) == 0 {
		return // this build has no encoder
	}
	e, err := device.OpenVideo("test", device.VideoOptions{Simulcast: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, ok := e.(track.BitrateSetter); !ok {
		t.Errorf("%T is no BitrateSetter", e)
	}
	if _, ok := e.(track.KeyFrameRequester); !ok {
		t.Errorf("%T is no KeyFrameRequester", e)
	}
	if l, ok := e.(track.Simulcast); !ok || len(l.Layers()) == 0 {
		t.Errorf("%T has no simulcast layers", e)
	}
}
