package device

import (
	"sync"

	"parley/media/source"
)

// Shared are the devices that several calls of one program use at the same time: each is opened for the first and
// closed after the last, and what it gives is encoded once for all. The zero value works.
type Shared struct {
	mu     sync.Mutex // guards what follows
	videos map[string]*sharedVideo
	audios map[string]*sharedAudio
}

// OpenVideo is as the function, and shares the device with those who have it open by the same spec; these have given
// the options, but for StreamID and Simulcast.
func (s *Shared) OpenVideo(spec string, o VideoOptions) (source.Source, error) {
	if err := checkVideo(spec, &o); err != nil {
		return nil, err
	}
	return s.openVideo(spec, o)
}

// OpenAudio is the same for a microphone.
func (s *Shared) OpenAudio(spec string, o AudioOptions) (source.Source, error) {
	if err := checkAudio(spec, &o); err != nil {
		return nil, err
	}
	return s.openAudio(spec, o)
}
