//go:build linux && cgo

package device

import (
	"strings"
	"sync"

	"parley/media/source"
)

// sharedVideo is a device that is open for as many as users says.
type sharedVideo struct {
	hub   *videoHub
	users int
}

func (s *Shared) openVideo(spec string, o VideoOptions) (source.Source, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.videos[spec]
	if v == nil {
		class, id, _ := strings.Cut(spec, ":")
		hub, err := openHub(spec, class, id, o)
		if err != nil {
			return nil, err
		}
		v = &sharedVideo{hub: hub}
		if s.videos == nil {
			s.videos = make(map[string]*sharedVideo)
		}
		s.videos[spec] = v
	}
	v.users++
	source := v.hub.source(o)
	source.release = sync.OnceFunc(func() { s.closeVideo(spec, v) })
	return source, nil
}

func (s *Shared) closeVideo(spec string, v *sharedVideo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.users--; v.users == 0 {
		delete(s.videos, spec)
		v.hub.close()
	}
}
