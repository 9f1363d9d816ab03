package mediain

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"

	"parley/cmd/parley/internal/config"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/media"
	"parley/media/recorder"
	"parley/peer"
)

// Recordings are the names of the files that this process records to, so that no call
// overwrites the file of another one.
type Recordings struct {
	mu    sync.Mutex // guards taken
	taken map[string]bool
}

func NewRecordings() *Recordings { return &Recordings{taken: map[string]bool{}} }

// path returns a new path for a call with name that began at a moment: %p in the
// pattern is the name, %t the moment, and %n the first number for which there is
// no file. Without %n, the path of a file that exists or that this process has
// written gets a number before its extension; with overwrite, other existing
// files are replaced. A FIFO or a device is written to as often as it is named.
func (r *Recordings) path(pattern, name string, began time.Time, overwrite bool) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	numbered := strings.Contains(pattern, "%n")
	for n := 1; ; n++ {
		path := strings.NewReplacer("%p", fileName(name), "%t", began.Format("20060102-150405"), "%n", strconv.Itoa(n)).Replace(pattern)
		if !numbered && n > 1 {
			extension := filepath.Ext(path)
			path = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, extension), n, extension)
		}
		info, err := os.Stat(path)
		switch {
		case err == nil && !info.Mode().IsRegular():
			return path // recorder.New reports a folder
		case r.taken[path], err == nil && (numbered || !overwrite):
			continue
		}
		r.taken[path] = true
		return path
	}
}

// release makes the paths that were not used available again.
func (r *Recordings) release(paths, used []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, path := range paths {
		if !slices.Contains(used, path) {
			delete(r.taken, path)
		}
	}
}

// fileName makes a stranger's name a file's: it stays in its folder and is no
// hidden file.
func fileName(name string) string {
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|`, r) || r < 0x20 {
			return '_'
		}
		return r
	}, name)
	if strings.HasPrefix(name, ".") {
		name = "_" + name[1:]
	}
	return name
}

// OpenRecorder prepares the recording of --record. The file is created with the first
// frames.
func (r *Receivers) OpenRecorder(offer *peer.Description) (err error) {
	if r.Record == "" {
		return nil
	}
	options := recorder.Options{
		Audio: 1, Video: 1, SegmentTime: r.SegmentTime, SegmentBytes: r.SegmentBytes, Overwrite: r.Overwrite, OnFile: r.reportRecording,
		Next: func() string {
			path := r.Recordings.path(r.Record, r.Peer, r.Begin, r.Overwrite)
			r.recordPaths = append(r.recordPaths, path)
			return path
		},
	}
	if offer != nil {
		options.Audio, options.Video = 0, 0
		for _, s := range offer.Sections {
			switch {
			case !s.Sends() || s.Rejected:
			case s.Kind == webrtc.RTPCodecTypeAudio:
				options.Audio++
			case s.Kind == webrtc.RTPCodecTypeVideo:
				options.Video++
			}
		}
	}
	r.recorder, err = recorder.New(options.Next(), options)
	return err
}

// CheckRecordFile reports whether the file of --record can be created, before anybody
// calls. The name of the peer may not be known yet.
func CheckRecordFile(o config.MediaIn) error {
	if o.Record == "" {
		return nil
	}
	_, err := recorder.New(NewRecordings().path(o.Record, "name", time.Now(), o.Overwrite), recorder.Options{Overwrite: o.Overwrite})
	return err
}

// reportRecording reports that a recording begins a file.
func (r *Receivers) reportRecording(path string) {
	r.Emit(event.Event{Name: "recording", Peer: r.Peer, Fields: event.Fields("file", path), Message: "recording to " + sanitize.Text(path)})
}

// recordTrack returns the sink that records the frames of a track, nil for none. request
// requests a key frame.
func (r *Receivers) recordTrack(e peer.TrackReceived, request func()) *recordSink {
	if r.recorder == nil || !r.recorder.Takes(e.Track.Kind()) {
		return nil
	}
	track, err := r.recorder.AddTrack(e.Track.Codec().MimeType, request)
	if err != nil {
		r.failRecording(err)
		return nil
	}
	return &recordSink{track, r.failRecording}
}

// failRecording ends the call: what is received cannot be recorded.
func (r *Receivers) failRecording(err error) {
	if r.RecordPartly {
		r.Logger.Debug("the recording is incomplete", "error", err)
		return
	}
	r.Fail(recordingError(err))
}

// recordingError is the error of a recording, with its exit code. recordingError is no
// *media.FileError, which would end parley answer together with the call.
func recordingError(err error) error {
	return exit.Errorf(exit.Device, "%s", sanitize.Text(err.Error()))
}

// recordSink ends the call when nothing can be written any more.
type recordSink struct {
	*recorder.Track
	fail func(error)
}

// WriteFrame implements media.FrameSink.
func (s *recordSink) WriteFrame(f media.Frame) error {
	err := s.Track.WriteFrame(f)
	if err != nil {
		s.fail(err)
	}
	return err
}

// CloseRecorder finishes the recording. The error says that it is empty or lacks a track,
// unless the recording is incidental.
func (r *Receivers) CloseRecorder() error {
	if r.recorder == nil {
		return nil
	}
	err := r.recorder.Close()
	r.Release()
	for _, path := range r.recorder.Files() {
		r.Info("recorded %s", sanitize.Text(path))
	}
	if err == nil || r.RecordPartly {
		return nil
	}
	return recordingError(err)
}

// Release makes the paths that were not used for a recording available to other calls.
func (r *Receivers) Release() {
	var used []string
	if r.recorder != nil {
		used = r.recorder.Files()
	}
	if len(r.recordPaths) > 0 {
		r.Recordings.release(r.recordPaths, used)
	}
	r.recordPaths = nil
}
