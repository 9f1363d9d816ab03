package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"parley/media"
	"parley/media/recorder"
	"parley/peer"
)

// recordings are the files that this process has recorded to, so that no call
// overwrites another's.
type recordings struct {
	mu    sync.Mutex // protects following
	taken map[string]bool
}

func newRecordings() *recordings { return &recordings{taken: map[string]bool{}} }

// path is the file for a call with name that began at a moment: %p in the
// pattern is the name, %t the moment, and %n the first number with which the
// file is new. Without %n, a second file of one name gets a number.
func (r *recordings) path(pattern, name string, began time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	numbered := strings.Contains(pattern, "%n")
	for n := 1; ; n++ {
		path := strings.NewReplacer("%p", fileName(name), "%t", began.Format("20060102-150405"), "%n", strconv.Itoa(n)).Replace(pattern)
		if !numbered && n > 1 {
			extension := filepath.Ext(path)
			path = fmt.Sprintf("%s-%d%s", strings.TrimSuffix(path, extension), n, extension)
		}
		if r.taken[path] || numbered && exists(path) {
			continue
		}
		r.taken[path] = true
		return path
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
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

// openRecorder creates the file of --record.
func (c *session) openRecorder(offer *peer.Description) (err error) {
	if c.record == "" {
		return nil
	}
	options := recorder.Options{
		Audio: offer == nil, Video: offer == nil, Logger: c.logger,
		SplitTime: c.splitTime, SplitBytes: c.splitBytes, RequestKeyFrame: c.requestKeyFrame,
		Next: func() string { return c.recordings.path(c.record, c.name, c.offered) },
	}
	if offer != nil {
		for _, s := range offer.Sections {
			options.Audio = options.Audio || s.Sends() && s.Kind.String() == "audio"
			options.Video = options.Video || s.Sends() && s.Kind.String() == "video"
		}
	}
	c.recorder, err = recorder.New(options.Next(), options)
	return err
}

// requestKeyFrame asks for one of each picture that comes.
func (c *session) requestKeyFrame() {
	c.mu.Lock()
	receivers := slices.Clone(c.receivers)
	c.mu.Unlock()
	for _, r := range receivers {
		if r.receiver.Stats().Kind == "video" {
			r.receiver.RequestKeyFrame()
		}
	}
}

// recordTrack is where the frames of a track are recorded, nil if nowhere.
func (c *session) recordTrack(e peer.TrackReceived) media.FrameSink {
	if c.recorder == nil || !c.recorder.Takes(e.Track.Kind()) {
		return nil
	}
	sink, err := c.recorder.Track(e.Track.Kind(), e.Track.Codec().MimeType)
	if err != nil {
		c.report.warn("%s is not recorded: %v", e.Track.Kind(), err)
		return nil
	}
	return &recordSink{sink, c.fail}
}

// recordSink ends the call when nothing can be written any more.
type recordSink struct {
	media.FrameSink
	fail func(error)
}

// WriteFrame implements media.FrameSink.
func (r *recordSink) WriteFrame(f media.Frame) error {
	err := r.FrameSink.WriteFrame(f)
	if err != nil {
		r.fail(err)
	}
	return err
}

// closeRecorder finishes the recording. That nothing came is told, but it is
// for --expect to say whether it should have.
func (c *session) closeRecorder() error {
	if c.recorder == nil {
		return nil
	}
	err := c.recorder.Close()
	if errors.Is(err, recorder.ErrNothingRecorded) {
		c.report.warn("%v", err)
		return nil
	}
	if err == nil {
		for _, path := range c.recorder.Files() {
			c.report.say("recorded %s", printable(path))
		}
	}
	return err
}

// recordSplit reads --record-split: 10m is a time, 500M are bytes.
func recordSplit(s string) (length time.Duration, bytes int64, err error) {
	if s == "" {
		return 0, 0, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= time.Second {
		return d, 0, nil
	}
	unit := map[byte]int64{'k': 1e3, 'K': 1e3, 'M': 1e6, 'G': 1e9}[s[len(s)-1]]
	if n, err := strconv.ParseInt(s[:len(s)-1], 10, 32); err == nil && unit > 0 && n > 0 && n*unit >= 100_000 {
		return 0, n * unit, nil
	}
	return 0, 0, usagef("--record-split %q: it is a time from 1s on, such as 10m or 1h, or a size from 100k on, such as 500M or 2G", printable(s))
}
