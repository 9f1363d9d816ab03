//go:build linux && cgo

package device

import (
	"image"
	"time"

	"parley/media/source"
)

// rawEncoder encodes pictures that come from elsewhere than a device.
type rawEncoder struct {
	resizing
	size    image.Point
	most    int // bit/s, 0 for what is fair for the size
	aim     int // bit/s now
	picture picture
	start   time.Time
}

func newRawEncoder(mime string, width, height int, rate float64, bitrate int) (source.VideoEncoder, error) {
	mimes, err := encodes(mime)
	if err != nil {
		return nil, err
	}
	mime = mimes[0]
	e := &rawEncoder{resizing: resizing{mime: mime, rate: rate}, size: image.Pt(width, height), most: bitrate, aim: bitrate, start: time.Unix(0, 0)}
	return e, e.fit(width, height, bitrate)
}

func (e *rawEncoder) Codec() string { return e.mime }

func (e *rawEncoder) Encode(p *image.YCbCr, at time.Duration, key bool) ([]byte, error) {
	e.picture.copyFrom(p)
	e.picture.at = e.start.Add(at)
	return e.encode(&e.picture, key, e.aim)
}

func (e *rawEncoder) SetBitrate(bitrate int) error {
	most := e.most
	if most == 0 {
		most = fairBitrate(e.size.X, e.size.Y, e.rate)
	}
	e.aim = min(bitrate, most)
	return e.fit(e.size.X, e.size.Y, e.aim)
}

func (e *rawEncoder) Close() { e.close() }
