package terminal

import (
	"image"
	"strings"
)

// Mode is a way to draw images in a terminal.
type Mode int

// The modes, the best last.
const (
	Blocks256 Mode = iota // half blocks in the 256 colours of xterm
	Blocks                // half blocks in 24-bit colours
	Sixel                 // sixel graphics of DEC in 240 colours
	Kitty                 // graphics protocol of kitty
)

// String returns the name of the mode.
func (m Mode) String() string {
	switch m {
	case Blocks256:
		return "256"
	case Blocks:
		return "blocks"
	case Sixel:
		return "sixel"
	default:
		return "kitty"
	}
}

// Parse returns the mode with this name.
func Parse(s string) (Mode, bool) {
	for m := Blocks256; m <= Kitty; m++ {
		if s == m.String() {
			return m, true
		}
	}
	return 0, false
}

// Size is the size of a terminal.
type Size struct {
	// Columns and Rows are the number of cells.
	Columns, Rows int
	// CellWidth and CellHeight are the size of a cell in pixels, 0 if it is unknown.
	CellWidth, CellHeight int
}

const (
	defaultCellWidth, defaultCellHeight = 10, 20
	maxKittyPixels                      = 640 * 480 * 2 // of an image; the terminal scales it up
)

// Fit returns the size in pixels in which to draw an image, and the cells it takes, so that it fits
// into a terminal and keeps its aspect ratio. Both are zero if there is no room.
func (m Mode) Fit(img image.Point, within Size) (pixels, cells image.Point) {
	if img.X <= 0 || img.Y <= 0 || within.Columns <= 0 || within.Rows <= 0 {
		return image.Point{}, image.Point{}
	}
	w, h := within.CellWidth, within.CellHeight
	if w <= 0 || h <= 0 {
		w, h = defaultCellWidth, defaultCellHeight
	}
	scale := min(float64(within.Columns*w)/float64(img.X), float64(within.Rows*h)/float64(img.Y))
	width, height := float64(img.X)*scale, float64(img.Y)*scale
	cells = image.Pt(max(1, min(within.Columns, int(width/float64(w)+0.5))), max(1, min(within.Rows, int(height/float64(h)+0.5))))
	if m == Blocks || m == Blocks256 {
		return image.Pt(cells.X, cells.Y*2), cells
	}
	pixels = image.Pt(cells.X*w, cells.Y*h)
	for pixels.X*pixels.Y > maxKittyPixels && m == Kitty {
		pixels = pixels.Div(2)
	}
	return pixels, cells
}

// Choose returns the best mode for a terminal by its answers to Query and the variables TERM and
// COLORTERM. ok is false if it cannot show images.
func Choose(answers, term, colorTerm string) (m Mode, ok bool) {
	switch {
	case term == "dumb" || term == "":
		return 0, false
	case strings.Contains(answers, "\x1b_Gi=31;OK"):
		return Kitty, true
	case hasSixel(answers):
		return Sixel, true
	case colorTerm == "truecolor" || colorTerm == "24bit" || strings.HasSuffix(term, "-direct"):
		return Blocks, true
	}
	return Blocks256, true
}

// Query asks a terminal for the graphics protocol of kitty, and then for its attributes. Every
// terminal answers the latter, which ends the wait for the former.
const Query = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\" + "\x1b[c"

// Answered reports whether answers contain the attributes: ESC [ ? ... c.
func Answered(answers string) bool {
	_, ok := attributes(answers)
	return ok
}

// attributes returns the attributes, separated by semicolons.
func attributes(answers string) (list string, ok bool) {
	_, rest, found := strings.Cut(answers, "\x1b[?")
	end := strings.IndexFunc(rest, func(r rune) bool { return r != ';' && (r < '0' || r > '9') })
	if !found || end < 0 || rest[end] != 'c' {
		return "", false
	}
	return rest[:end], true
}

// hasSixel reports whether the attributes contain 4: sixel graphics.
func hasSixel(answers string) bool {
	list, _ := attributes(answers)
	for i, a := range strings.Split(list, ";") {
		if a == "4" && i > 0 {
			return true
		}
	}
	return false
}
