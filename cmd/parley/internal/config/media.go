package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/pion/webrtc/v4"
	"github.com/urfave/cli/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
)

// MediaOut says what a call sends.
type MediaOut struct {
	Video, Audio  string // sources, "" for none
	Encoding      string // MIME type of what a device sends, "" for the best of this build
	AudioRate     int    // sample rate of a microphone in Hz, 0 for the default
	Width, Height int    // 0 for the default
	FrameRate     float64
	Bitrate       int // at most, in bit/s; 0 for the default
	Simulcast     bool
	Loop          bool
}

// MediaOutFlags are the flags of MediaOut.
func MediaOutFlags() []cli.Flag {
	return Category("MEDIA OUT", []cli.Flag{
		String("video", "none", "`SRC` to send: camera[:ID], screen[:N], test, a file (.webm .mkv .mp4 .ivf .h264 .y4m), - for standard input, 'exec:COMMAND' for what a program writes, or none; parley devices lists what there is"),
		String("audio", "none", "`SRC` to send: microphone[:ID], test, tone:HZ, a file (.ogg .webm .mkv .mp4 .wav), -, 'exec:COMMAND' or none"),
		String("video-size", "", "`WxH[@RATE]` of the test video (default 320x240@15), nearest size of a camera (640x480@30), size to which raw video (Y4M) is scaled"),
		VideoCodecFlag(),
		Int("video-bitrate", 0, "highest bitrate in `BITS` per second of the test video, a camera, a screen or raw video; less while the network carries less"),
		Int("audio-rate", 0, "`SAMPLES` a second of a microphone: 8000, 12000, 16000, 24000 or 48000"),
		Bool("simulcast", "send a camera, a screen or the test video in three sizes at once, for a server that selects one"),
		Bool("loop", "play a file again from its start, or run a program again, when it ends"),
	})
}

// ReadMediaOut reads the flags of MediaOutFlags.
func ReadMediaOut(cmd *cli.Command) (m MediaOut, err error) {
	m.Video, m.Audio = source(cmd.String("video")), source(cmd.String("audio"))
	m.Loop, m.Bitrate = cmd.Bool("loop"), cmd.Int("video-bitrate")
	if m.Width, m.Height, m.FrameRate, err = VideoSize(cmd.String("video-size")); err != nil {
		return m, err
	}
	m.AudioRate, m.Simulcast = cmd.Int("audio-rate"), cmd.Bool("simulcast")
	m.Encoding, err = VideoMIME(cmd.String("video-codec"))
	return m, err
}

// source returns the value of --video or --audio, "" for none.
func source(s string) string {
	if s == "none" {
		return ""
	}
	return s
}

// VideoSize parses the value WIDTHxHEIGHT[@RATE] of --video-size, "" for zeros.
func VideoSize(s string) (width, height int, rate float64, err error) {
	if s == "" {
		return 0, 0, 0, nil
	}
	size, r, hasRate := strings.Cut(s, "@")
	w, h, _ := strings.Cut(size, "x")
	width, err1 := strconv.Atoi(w)
	height, err2 := strconv.Atoi(h)
	var err3 error
	if hasRate {
		rate, err3 = strconv.ParseFloat(r, 64)
	}
	if err1 != nil || err2 != nil || err3 != nil || width <= 0 || height <= 0 || hasRate && !(rate > 0) {
		return 0, 0, 0, exit.Usagef("invalid --video-size %q: want WIDTHxHEIGHT or WIDTHxHEIGHT@RATE, such as 640x480@15", sanitize.Text(s))
	}
	return width, height, rate, nil
}

// VideoCodecFlag is the flag that VideoMIME parses.
func VideoCodecFlag() cli.Flag {
	return String("video-codec", "", "prefer `CODEC`: vp8, vp9, h264 or av1; a camera or screen is encoded to it")
}

// VideoMIME parses the value of --video-codec, "" for "".
func VideoMIME(s string) (string, error) {
	switch strings.ToLower(s) {
	case "":
		return "", nil
	case "vp8":
		return webrtc.MimeTypeVP8, nil
	case "vp9":
		return webrtc.MimeTypeVP9, nil
	case "h264":
		return webrtc.MimeTypeH264, nil
	case "av1":
		return webrtc.MimeTypeAV1, nil
	}
	return "", exit.Usagef("invalid --video-codec %q: want vp8, vp9, h264 or av1", sanitize.Text(s))
}

// MediaIn says what happens to the media that a call receives.
type MediaIn struct {
	Record       string // file or pattern, "" for none
	Overwrite    bool   // replace existing files
	SegmentTime  time.Duration
	SegmentBytes int64
	Show         string // how to show video, "" for not at all
	Play         bool
	AudioOut     string // output device of Play, "" for the default
}

// MediaInFlags are the flags of MediaIn.
func MediaInFlags() []cli.Flag {
	return Category("MEDIA IN", []cli.Flag{
		String("record", "", "record what is received to `FILE` without re-encoding: .webm, .mkv or .mp4, or one track to .ivf .ogg .wav .h264, or to a FIFO of such a name; "+
			"%p is the peer's name, %t the time of the call, %n a number that makes it new; an existing file is kept, and the name gets -2"),
		Bool("overwrite", "let --record replace an existing file"),
		String("show", "", "show received video in the terminal, the best way that it can; or by `HOW`: kitty, sixel, blocks, 256, or window (ffplay or mpv)"),
		String("record-split", "", "begin another file when one has this `LENGTH`, 10m or 1h, or size, 500M or 2GiB"),
		Bool("play", "play received audio; use headphones, because echo is not cancelled"),
		String("audio-out", "", "--play to this speaker: an `ID` or a number that parley devices lists, or a part of its name"),
	})
}

// ReadMediaIn reads the flags of MediaInFlags.
func ReadMediaIn(cmd *cli.Command) (m MediaIn, err error) {
	m.Record, m.Overwrite, m.Show = cmd.String("record"), cmd.Bool("overwrite"), cmd.String("show")
	m.AudioOut = cmd.String("audio-out")
	m.Play = cmd.Bool("play") || m.AudioOut != ""
	m.SegmentTime, m.SegmentBytes, err = segment(cmd.String("record-split"))
	return m, err
}

// segment parses the value of --record-split: 10m is a time, 500M are bytes.
func segment(s string) (length time.Duration, bytes int64, err error) {
	if s == "" {
		return 0, 0, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= time.Second {
		return d, 0, nil
	}
	if n, err := Size(s); err == nil && n >= 100_000 {
		return 0, n, nil
	}
	return 0, 0, exit.Usagef("invalid --record-split %q: want a time from 1s on, such as 10m or 1h, or a size from 100k on, such as 500M or 2GiB", sanitize.Text(s))
}
