package main

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

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
	"parley/media"
	"parley/media/recorder"
	"parley/peer"
)

// recordings are the names of the files that this process records to, so that no call
// overwrites the file of another one.
type recordings struct {
	mu    sync.Mutex // guards taken
	taken map[string]bool
}

func newRecordings() *recordings { return &recordings{taken: map[string]bool{}} }

// path returns a new path for a call with name that began at a moment: %p in the
// pattern is the name, %t the moment, and %n the first number for which there is
// no file. Without %n, the path of a file that exists or that this process has
// written gets a number before its extension; with overwrite, other existing
// files are replaced. A FIFO or a device is written to as often as it is named.
func (r *recordings) path(pattern, name string, began time.Time, overwrite bool) string {
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
func (r *recordings) release(paths, used []string) {
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

// openRecorder prepares the recording of --record. The file is created with the first
// frames.
func (c *session) openRecorder(offer *peer.Description) (err error) {
	if c.Record == "" {
		return nil
	}
	options := recorder.Options{
		Audio: 1, Video: 1, SegmentTime: c.SegmentTime, SegmentBytes: c.SegmentBytes, Overwrite: c.Overwrite, OnFile: c.reportRecording,
		Next: func() string {
			path := c.recordings.path(c.Record, c.name, c.offered, c.Overwrite)
			c.recordPaths = append(c.recordPaths, path)
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
	c.recorder, err = recorder.New(options.Next(), options)
	return err
}

// checkRecording reports whether the file of --record can be created, before anybody
// calls. The name of the peer may not be known yet.
func (s *settings) checkRecording() error {
	if s.Record == "" {
		return nil
	}
	_, err := recorder.New(newRecordings().path(s.Record, "name", time.Now(), s.Overwrite), recorder.Options{Overwrite: s.Overwrite})
	return err
}

// reportRecording reports that a recording begins a file.
func (c *session) reportRecording(path string) {
	c.emit(event.Event{Name: "recording", Peer: c.name, Fields: event.Fields("file", path), Message: "recording to " + sanitize.Text(path)})
}

// recordTrack returns the sink that records the frames of a track, nil for none. request
// requests a key frame.
func (c *session) recordTrack(e peer.TrackReceived, request func()) *recordSink {
	if c.recorder == nil || !c.recorder.Takes(e.Track.Kind()) {
		return nil
	}
	track, err := c.recorder.AddTrack(e.Track.Codec().MimeType, request)
	if err != nil {
		c.failRecording(err)
		return nil
	}
	return &recordSink{track, c.failRecording}
}

// failRecording ends the call: what is received cannot be recorded.
func (c *session) failRecording(err error) {
	if c.recordPartly {
		c.logger.Debug("the recording is incomplete", "error", err)
		return
	}
	c.fail(recordingError(err))
}

// recordingError is the error of a recording, with its exit code. It is no
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
func (r *recordSink) WriteFrame(f media.Frame) error {
	err := r.Track.WriteFrame(f)
	if err != nil {
		r.fail(err)
	}
	return err
}

// closeRecorder finishes the recording. The error says that it is empty or lacks a track,
// unless the recording is incidental.
func (c *session) closeRecorder() error {
	if c.recorder == nil {
		return nil
	}
	err := c.recorder.Close()
	c.releaseRecordings()
	for _, path := range c.recorder.Files() {
		c.report.Infof("recorded %s", sanitize.Text(path))
	}
	if err == nil || c.recordPartly {
		return nil
	}
	return recordingError(err)
}

// releaseRecordings makes the paths that were not used available to other calls.
func (c *session) releaseRecordings() {
	var used []string
	if c.recorder != nil {
		used = c.recorder.Files()
	}
	if len(c.recordPaths) > 0 {
		c.recordings.release(c.recordPaths, used)
	}
	c.recordPaths = nil
}
