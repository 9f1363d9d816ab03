//go:build linux && cgo

package device

import (
	"errors"
	"fmt"
	"image"
	"io"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"
)

const (
	defaultScreenRate = 10
	maxScreenBytes    = 1 << 20 // of one request: other clients wait for its reply
)

// silenceXGB stops xgb from writing to stderr. It returns errors as well.
var silenceXGB = sync.OnceFunc(func() { xgb.Logger = log.New(io.Discard, "", 0) })

// screenDevice is one screen of the X server at $DISPLAY.
type screenDevice struct {
	number int
	rate   float64
}

func (s *screenDevice) String() string { return strconv.Itoa(s.number) }

// dialX connects to the X server.
func dialX() (*xgb.Conn, *xproto.SetupInfo, error) {
	silenceXGB()
	if os.Getenv("DISPLAY") == "" {
		if os.Getenv("WAYLAND_DISPLAY") != "" {
			return nil, nil, errors.New("there is no X server: DISPLAY is not set, and a Wayland screen cannot be sent")
		}
		return nil, nil, errors.New("there is no X server: DISPLAY is not set; set it to the one to send, such as :0")
	}
	conn, err := xgb.NewConn()
	if err != nil {
		return nil, nil, fmt.Errorf("the X server at DISPLAY=%q: %w", os.Getenv("DISPLAY"), err)
	}
	return conn, xproto.Setup(conn), nil
}

func screens() ([]Screen, error) {
	if os.Getenv("DISPLAY") == "" {
		return nil, nil // no X server is no problem
	}
	conn, setup, err := dialX()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var all []Screen
	for i, root := range setup.Roots {
		all = append(all, Screen{ID: strconv.Itoa(i), Width: int(root.WidthInPixels), Height: int(root.HeightInPixels)})
	}
	return all, nil
}

func findScreen(id string, o VideoOptions) (videoDevice, error) {
	conn, setup, err := dialX()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	names := make([]deviceName, len(setup.Roots))
	for i := range names {
		names[i] = deviceName{id: strconv.Itoa(i)}
	}
	s := &screenDevice{rate: o.FrameRate}
	if s.rate == 0 {
		s.rate = defaultScreenRate
	}
	if id != "" {
		s.number, err = selectDevice("screen", id, names)
	}
	return s, err
}

// screenStream is an open screen.
type screenStream struct {
	conn   *xgb.Conn
	root   xproto.ScreenInfo
	is     mode
	due    *time.Ticker
	pixels []byte
	img    *image.YCbCr
}

// open implements videoDevice.
func (s *screenDevice) open() (frameStream, error) {
	conn, setup, err := dialX()
	if err != nil {
		return nil, err
	}
	fail := func(format string, a ...any) (frameStream, error) {
		conn.Close()
		return nil, fmt.Errorf(format, a...)
	}
	if s.number >= len(setup.Roots) {
		return fail("the X server has no screen %d now", s.number)
	}
	root := setup.Roots[s.number]
	width, height := int(root.WidthInPixels)&^1, int(root.HeightInPixels)&^1
	if setup.ImageByteOrder != xproto.ImageOrderLSBFirst || bitsPerPixel(setup, root.RootDepth) != 32 {
		return fail("its pixels are not the 32 bits, lowest byte first, that this program reads (depth %d)", root.RootDepth)
	}
	if width < 16 || height < 16 {
		return fail("it is only %dx%d", width, height)
	}
	return &screenStream{
		conn: conn, root: root,
		is:     mode{width: width, height: height, rate: s.rate},
		due:    time.NewTicker(time.Duration(float64(time.Second) / s.rate)),
		pixels: make([]byte, width*height*4),
		img:    image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420),
	}, nil
}

func bitsPerPixel(setup *xproto.SetupInfo, depth byte) int {
	for _, f := range setup.PixmapFormats {
		if f.Depth == depth {
			return int(f.BitsPerPixel)
		}
	}
	return 0
}

// mode implements frameStream.
func (v *screenStream) mode() mode { return v.is }

// read implements frameStream. It waits until the next frame is due, ten seconds at most.
func (v *screenStream) read() (*image.YCbCr, func(), error) {
	<-v.due.C
	rows := max(2, maxScreenBytes/(v.is.width*4)&^1)
	for y := 0; y < v.is.height; y += rows {
		rows := min(rows, v.is.height-y)
		part := v.pixels[y*v.is.width*4 : (y+rows)*v.is.width*4]
		reply, err := xproto.GetImage(v.conn, xproto.ImageFormatZPixmap, xproto.Drawable(v.root.Root),
			0, int16(y), uint16(v.is.width), uint16(rows), ^uint32(0)).Reply()
		if err != nil {
			return nil, nil, &deviceLostError{fmt.Errorf("the X server: %w", err)}
		}
		if len(reply.Data) < len(part) {
			return nil, nil, &deviceLostError{errors.New("the X server sent less than a frame")}
		}
		copy(part, reply.Data)
	}
	convertBGRX(v.img, v.pixels)
	return v.img, func() {}, nil
}

// close implements frameStream.
func (v *screenStream) close() {
	v.due.Stop()
	v.conn.Close()
}
