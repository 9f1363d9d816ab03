//go:build linux && cgo

package videodevice

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

	"parley/media/device/hotplug"
	"parley/media/device/inventory"
	"parley/media/device/rawframe"

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

// Screens returns the screens of the X server, none if $DISPLAY is not set.
func Screens() ([]inventory.Screen, error) {
	if os.Getenv("DISPLAY") == "" {
		return nil, nil // no X server is no problem
	}
	conn, setup, err := dialX()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var all []inventory.Screen
	for i, root := range setup.Roots {
		all = append(all, inventory.Screen{ID: strconv.Itoa(i), Width: int(root.WidthInPixels), Height: int(root.HeightInPixels)})
	}
	return all, nil
}

// FindScreen returns the screen that id identifies, or the first one for "". Of want, it uses the
// frame rate.
func FindScreen(id string, want Mode) (Device, error) {
	conn, setup, err := dialX()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	names := make([]inventory.Name, len(setup.Roots))
	for i := range names {
		names[i] = inventory.Name{ID: strconv.Itoa(i)}
	}
	s := &screenDevice{rate: want.Rate}
	if s.rate == 0 {
		s.rate = defaultScreenRate
	}
	if id != "" {
		s.number, err = inventory.Select("screen", id, names)
	}
	return s, err
}

// screenStream is an open screen.
type screenStream struct {
	conn   *xgb.Conn
	root   xproto.ScreenInfo
	is     Mode
	due    *time.Ticker
	pixels []byte
	img    *image.YCbCr
}

// Open implements Device.
func (s *screenDevice) Open() (Stream, error) {
	conn, setup, err := dialX()
	if err != nil {
		return nil, err
	}
	fail := func(format string, a ...any) (Stream, error) {
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
		is:     Mode{Width: width, Height: height, Rate: s.rate},
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

// Mode implements Stream.
func (v *screenStream) Mode() Mode { return v.is }

// Read implements Stream. It waits until the next frame is due, ten seconds at most.
func (v *screenStream) Read() (*image.YCbCr, func(), error) {
	<-v.due.C
	rows := max(2, maxScreenBytes/(v.is.Width*4)&^1)
	for y := 0; y < v.is.Height; y += rows {
		rows := min(rows, v.is.Height-y)
		part := v.pixels[y*v.is.Width*4 : (y+rows)*v.is.Width*4]
		reply, err := xproto.GetImage(v.conn, xproto.ImageFormatZPixmap, xproto.Drawable(v.root.Root),
			0, int16(y), uint16(v.is.Width), uint16(rows), ^uint32(0)).Reply()
		if err != nil {
			return nil, nil, &hotplug.LostError{Err: fmt.Errorf("the X server: %w", err)}
		}
		if len(reply.Data) < len(part) {
			return nil, nil, &hotplug.LostError{Err: errors.New("the X server sent less than a frame")}
		}
		copy(part, reply.Data)
	}
	rawframe.ConvertBGRX(v.img, v.pixels)
	return v.img, func() {}, nil
}

// Close implements Stream.
func (v *screenStream) Close() {
	v.due.Stop()
	v.conn.Close()
}
