//go:build linux && cgo

package videodevice

import (
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"parley/media/device/hotplug"
	"parley/media/device/inventory"

	"github.com/pion/mediadevices/pkg/driver"
	linux "github.com/pion/mediadevices/pkg/driver/camera"
	"github.com/pion/mediadevices/pkg/io/video"
	"github.com/pion/mediadevices/pkg/prop"
)

const (
	defaultWidth      = 640
	defaultHeight     = 480
	DefaultCameraRate = 30 // frames per second
)

// rescan guards linux.Initialize, which clears and fills the registry of package driver.
var rescan sync.Mutex

// scan returns the drivers of the cameras and their names, in the order of the device nodes.
func scan() ([]driver.Driver, []inventory.Name) {
	rescan.Lock()
	linux.Initialize()
	drivers := driver.GetManager().Query(driver.FilterDeviceType(driver.Camera))
	rescan.Unlock()
	// A camera has several nodes, one of which captures.
	drivers = slices.DeleteFunc(drivers, func(d driver.Driver) bool { return !isCapture(d) })
	slices.SortFunc(drivers, func(a, b driver.Driver) int {
		return compareNodes(cameraDeviceName(a).ID, cameraDeviceName(b).ID)
	})
	names := make([]inventory.Name, len(drivers))
	for i, d := range drivers {
		names[i] = cameraDeviceName(d)
	}
	return drivers, names
}

// compareNodes compares the names of device nodes, so that video2 is before video10.
func compareNodes(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// isCapture reports whether a node captures. One that is in use or not permitted is taken for a
// camera.
func isCapture(d driver.Driver) bool {
	err := d.Open()
	if err == nil {
		defer func() { _ = d.Close() }()
		return len(d.Properties()) > 0
	}
	return errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EPERM)
}

// cameraDeviceName returns the name of a camera, which mediadevices has as NAME;BUS and LINK;NODE.
func cameraDeviceName(d driver.Driver) inventory.Name {
	name, _, _ := strings.Cut(d.Info().Name, linux.LabelSeparator)
	_, node, _ := strings.Cut(d.Info().Label, linux.LabelSeparator)
	return inventory.Name{ID: strings.TrimRight(node, "\x00"), Label: strings.TrimRight(name, "\x00 ")}
}

// cameraDevice is a camera, present or not.
type cameraDevice struct {
	inventory.Name
	driver driver.Driver
	want   Mode
}

// FindCamera returns the camera that id identifies, or the first one for "".
func FindCamera(id string, want Mode) (Device, error) {
	drivers, names := scan()
	if len(drivers) == 0 {
		return nil, errors.New("this machine has no camera (no /dev/video* captures); plug one in, or send --video test")
	}
	i, err := 0, error(nil)
	if id != "" {
		i, err = inventory.Select("camera", id, names)
	}
	if err != nil {
		return nil, err
	}
	if want.Width == 0 {
		want.Width, want.Height = defaultWidth, defaultHeight
	}
	if want.Rate == 0 {
		want.Rate = DefaultCameraRate
	}
	return &cameraDevice{Name: names[i], driver: drivers[i], want: want}, nil
}

// cameraStream is an open camera.
type cameraStream struct {
	driver driver.Driver
	reader video.Reader
	is     Mode
}

// Open implements Device. A camera that is plugged in again has the same node.
func (c *cameraDevice) Open() (Stream, error) {
	if err := c.driver.Open(); err != nil {
		return nil, deviceError(err)
	}
	properties := c.driver.Properties()
	modes := make([]Mode, len(properties))
	for i, p := range properties {
		modes[i] = Mode{Width: p.Width, Height: p.Height, Rate: float64(p.FrameRate), cost: cost(p)}
	}
	i := selectMode(c.want, modes)
	if i < 0 {
		_ = c.driver.Close()
		return nil, errors.New("it has no format that this program knows")
	}
	shortenReadTimeout()
	recorder, ok := c.driver.(driver.VideoRecorder)
	if !ok {
		_ = c.driver.Close()
		return nil, errors.New("it does not capture video")
	}
	reader, err := recorder.VideoRecord(properties[i])
	if err != nil {
		return nil, deviceError(err) // VideoRecord closed it
	}
	return &cameraStream{driver: c.driver, reader: video.ToI420(reader), is: modes[i]}, nil
}

// shortenReadTimeout sets the timeout of reads from a stalled camera to a second, so that the end
// of a call does not wait for longer. mediadevices takes it from the environment only, where a
// value of the user has priority.
func shortenReadTimeout() {
	const variable = "PION_MEDIADEVICES_CAMERA_READ_TIMEOUT"
	if os.Getenv(variable) == "" {
		_ = os.Setenv(variable, "1") // fails for malformed names only
	}
}

// cost ranks pixel formats by the time to convert them. Depth (Z16) is last.
func cost(p prop.Media) int {
	switch p.FrameFormat {
	case "I420":
		return 0
	case "YUYV", "YUY2", "UYVY":
		return 1
	case "NV12", "NV21":
		return 2
	case "MJPEG":
		return 3
	}
	return 4
}

// Mode implements Stream.
func (s *cameraStream) Mode() Mode { return s.is }

// Read implements Stream.
func (s *cameraStream) Read() (*image.YCbCr, func(), error) {
	img, release, err := s.reader.Read()
	if err != nil {
		var gone syscall.Errno
		if errors.As(err, &gone) || errors.Is(err, io.EOF) {
			return nil, nil, &hotplug.LostError{Err: err}
		}
		return nil, nil, err
	}
	return img.(*image.YCbCr), release, nil // of ToI420
}

// Close implements Stream.
func (s *cameraStream) Close() { _ = s.driver.Close() }

// deviceError describes an error of a camera with the next step.
func deviceError(err error) error {
	// mediadevices returns some errors as text.
	is := func(no syscall.Errno) bool { return errors.Is(err, no) || strings.Contains(err.Error(), no.Error()) }
	switch {
	case is(syscall.EBUSY):
		return errors.New("it is in use by another program; end that one first")
	case is(syscall.EACCES), is(syscall.EPERM):
		return fmt.Errorf("this user may not use it: %w; join the group video, or run as a user who may", err)
	case is(syscall.ENOENT), is(syscall.ENODEV), is(syscall.ENXIO):
		return fmt.Errorf("it is gone: %w; plug it in again", err)
	}
	return fmt.Errorf("it does not work: %w", err)
}

// Cameras returns the cameras. It opens each without capturing.
func Cameras() []inventory.Camera {
	drivers, names := scan()
	all := make([]inventory.Camera, len(drivers))
	for i, d := range drivers {
		all[i] = inventory.Camera{ID: names[i].ID, Name: names[i].Label}
		if err := d.Open(); err != nil {
			all[i].Problem = deviceError(err).Error()
			continue
		}
		all[i].Formats = formats(d.Properties())
		_ = d.Close()
	}
	return all
}

// formats returns the formats with their rates, sorted.
func formats(properties []prop.Media) []inventory.Format {
	var all []inventory.Format
	for _, p := range properties {
		f := inventory.Format{Width: p.Width, Height: p.Height, Pixels: string(p.FrameFormat)}
		i := slices.IndexFunc(all, func(g inventory.Format) bool {
			return g.Width == f.Width && g.Height == f.Height && g.Pixels == f.Pixels
		})
		if i < 0 {
			all, i = append(all, f), len(all)
		}
		if rate := float64(p.FrameRate); rate > 0 && !slices.Contains(all[i].Rates, rate) {
			all[i].Rates = append(all[i].Rates, rate)
		}
	}
	for _, f := range all {
		slices.Sort(f.Rates)
	}
	slices.SortFunc(all, func(a, b inventory.Format) int {
		if d := a.Width*a.Height - b.Width*b.Height; d != 0 {
			return d
		}
		return strings.Compare(a.Pixels, b.Pixels)
	})
	return all
}
