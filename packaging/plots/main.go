// Command plots draws figures of topics from the tables in them.
//
//	go -C packaging/plots run . [-check] ../../cmd/parley/docs/performance.md ../../cmd/parley/docs/capacity.md
//
// Each file is written to the folder images next to the first topic.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

func main() {
	check := flag.Bool("check", false, "write nothing, and fail if a file differs from the topic")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "plots: want the paths of topics")
		os.Exit(2)
	}
	if err := run(flag.Args(), *check); err != nil {
		fmt.Fprintln(os.Stderr, "plots:", err)
		os.Exit(1)
	}
}

// run draws all figures, or compares them with the files.
func run(topics []string, check bool) error {
	var text string
	for _, path := range topics {
		topic, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text += string(topic)
	}
	var errs []error
	for _, f := range figures {
		path := filepath.Join(filepath.Dir(topics[0]), "images", f.name)
		svg, err := f.draw(text)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", f.name, err))
		case check:
			if file, err := os.ReadFile(path); err != nil || !bytes.Equal(file, svg) {
				errs = append(errs, fmt.Errorf("%s is not what the tables of the topics say: run make bench-plots", path))
			}
		default:
			errs = append(errs, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, svg, 0o644))
		}
	}
	return errors.Join(errs...)
}

// A figure is a file with plots beside each other.
type figure struct {
	name  string
	plots []graph
}

// A graph draws columns of one table of the topic over another column.
type graph struct {
	table      string // the comment before it is <!-- table -->
	title      string
	x, y       string // labels of the axes
	logX, logY bool
	lines      []line
}

// A line draws one column of the rows whose first cell is row, or of all.
type line struct {
	name   string
	x, y   int // columns
	row    string
	number *regexp.Regexp // where the x of a row is; nil for the whole cell
}

// loss finds the loss in the name of a network with 20 ms.
var loss = regexp.MustCompile(`^20 ms(?:, ([\d.]+) % loss)?$`)

var figures = []figure{
	{"calls.svg", []graph{
		{"bench-growth", "CPU of calls with audio", "calls in one process", "ms of CPU per second", false, false, []line{{x: 0, y: 1}}},
		{"bench-growth", "memory of calls with audio", "calls in one process", "MiB", false, false, []line{{x: 0, y: 3}}},
	}},
	{"channels.svg", []graph{
		{"bench-channels", "data channels in one call", "channels", "CPU s/GB", true, false, []line{{name: "sender", x: 0, y: 4}, {name: "receiver", x: 0, y: 5}}},
		{"bench-connections", "forwarded connections in one call", "connections, in thousands", "MiB of heap at both ends", false, false, []line{{x: 0, y: 2}}},
	}},
	{"recording.svg", []graph{
		{"bench-hours", "CPU of an hour of recording", "hour", "ms of CPU", false, false, []line{{name: "webm", x: 0, y: 1}, {name: "mp4", x: 0, y: 3}}},
		{"bench-hours", "memory of a recording", "hour", "KiB of heap", false, false, []line{{name: "webm", x: 0, y: 2}, {name: "mp4", x: 0, y: 4}}},
	}},
	{"loss.svg", []graph{
		{"bench-data", "throughput at 20 ms", "packets lost, %", "Mbit/s", false, true, []line{
			{name: "parley pipe", row: "`parley pipe`", x: 1, y: 2, number: loss},
			{name: "libwebrtc", row: "libwebrtc", x: 1, y: 2, number: loss},
			{name: "libdatachannel", row: "libdatachannel", x: 1, y: 2, number: loss},
		}},
	}},
}

var colors = []color.Color{color.RGBA{0, 90, 180, 255}, color.RGBA{200, 80, 0, 255}, color.RGBA{0, 130, 70, 255}}

const (
	plotWidth  = 12 * vg.Centimeter
	plotHeight = 8 * vg.Centimeter
	margin     = 0.4 * vg.Centimeter
)

// draw returns the figure as SVG.
func (f figure) draw(topic string) ([]byte, error) {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	canvas := vgsvg.New(plotWidth*vg.Length(len(f.plots)), plotHeight)
	for i, g := range f.plots {
		p, err := g.plot(topic)
		if err != nil {
			return nil, err
		}
		area := draw.New(canvas)
		left := plotWidth * vg.Length(i)
		p.Draw(draw.Crop(area, left+margin, left+plotWidth-area.Max.X-margin, margin, -margin))
	}
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans"), []byte("font-family:Liberation Sans,Arial,sans-serif")), nil
}

func (g graph) plot(topic string) (*plot.Plot, error) {
	rows, err := table(topic, g.table)
	if err != nil {
		return nil, err
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = g.title, g.x, g.y
	p.Title.Padding, p.X.Padding, p.Y.Padding = vg.Points(6), 0, 0
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{}, ticks{}
	p.Add(plotter.NewGrid())
	if g.logX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	if g.logY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	for i, l := range g.lines {
		points, err := l.points(rows)
		if err != nil {
			return nil, err
		}
		curve, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		curve.Color, curve.Width = colors[i], vg.Points(1.5)
		marks.Color, marks.Shape, marks.Radius = colors[i], draw.CircleGlyph{}, vg.Points(3)
		p.Add(curve, marks)
		if l.name != "" {
			p.Legend.Add(l.name+"\u00a0\u00a0", curve, marks) // a font may be wider
		}
	}
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(2)
	if !g.logY {
		p.Y.Min = 0 // so that what is flat looks flat
		p.Y.Max *= 1.25
	} else {
		p.Y.Min, p.Y.Max = 1, 1000
	}
	return p, nil
}

// ticks are those of plot.DefaultTicks with as many digits as they need.
type ticks struct{}

// Ticks implements plot.Ticker.
func (ticks) Ticks(least, most float64) []plot.Tick {
	all := plot.DefaultTicks{}.Ticks(least, most)
	for i, t := range all {
		if t.Label != "" {
			all[i].Label = strconv.FormatFloat(t.Value, 'g', 6, 64)
		}
	}
	return all
}

// points returns what a line goes through.
func (l line) points(rows [][]string) (points plotter.XYs, err error) {
	for _, r := range rows {
		if l.row != "" && r[0] != l.row {
			continue
		}
		text := r[l.x]
		if l.number != nil {
			m := l.number.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			text = "0" + m[1]
		}
		x, errX := number(text)
		y, errY := number(r[l.y])
		if err := errors.Join(errX, errY); err != nil {
			return nil, err
		}
		points = append(points, plotter.XY{X: x, Y: y})
	}
	slices.SortStableFunc(points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
	if len(points) < 2 {
		return nil, fmt.Errorf("%d rows for the line %q, want at least 2", len(points), l.name+l.row)
	}
	return points, nil
}

// number returns the value of a cell, which a mark may follow.
func number(cell string) (float64, error) {
	return strconv.ParseFloat(strings.ReplaceAll(strings.TrimRight(cell, "*"), ",", ""), 64)
}

// table returns the cells of the first table after the comment, without its first two lines.
func table(topic, comment string) (rows [][]string, err error) {
	_, rest, found := strings.Cut(topic, "<!-- "+comment+" -->\n")
	if !found {
		return nil, fmt.Errorf("no topic has the comment <!-- %s -->", comment)
	}
	for text := range strings.Lines(rest) {
		if !strings.HasPrefix(text, "|") {
			if len(rows) > 0 {
				break
			}
			continue
		}
		cells := strings.Split(strings.Trim(text, "|\n"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		return nil, fmt.Errorf("no table after <!-- %s -->", comment)
	}
	return rows[2:], nil
}
