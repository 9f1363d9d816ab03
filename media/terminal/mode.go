package terminal

import (
	"image"
	"strings"
)

// Mode is a way to draw.
type Mode int

// The modes, the best last.
const (
	Blocks256 Mode = iota // ▀ in the 256 colours of xterm
	Blocks                // ▀ in 24-bit colours
	Sixel                 // DEC's graphics, in 240 colours
	Kitty                 // kitty's graphics protocol
)

// String is the name as a flag has it.
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

// Parse reads the name of a mode.
func Parse(s string) (Mode, bool) {
	for m := Blocks256; m <= Kitty; m++ {
		if s == m.String() {
			return m, true
		}
	}
	return 0, false
}

// Size is that of a terminal: in cells, and of one cell in pixels, 0 if that is not known.
type Size struct{ Columns, Rows, CellWidth, CellHeight int }

const (
	usualWidth, usualHeight = 10, 20        // pixels of a cell
	mostPixels              = 640 * 480 * 2 // of a picture: more costs time and shows little
)

// Fit is the size in pixels in which to draw a picture of that shape, and the cells it takes, within the size.
func (m Mode) Fit(picture image.Point, within Size) (pixels, cells image.Point) {
	if picture.X <= 0 || picture.Y <= 0 || within.Columns <= 0 || within.Rows <= 0 {
		return image.Point{}, image.Point{}
	}
	w, h := within.CellWidth, within.CellHeight
	if w <= 0 || h <= 0 {
		w, h = usualWidth, usualHeight
	}
	scale := min(float64(within.Columns*w)/float64(picture.X), float64(within.Rows*h)/float64(picture.Y))
	width, height := float64(picture.X)*scale, float64(picture.Y)*scale
	cells = image.Pt(max(1, min(within.Columns, int(width/float64(w)+0.5))), max(1, min(within.Rows, int(height/float64(h)+0.5))))
	if m == Blocks || m == Blocks256 {
		return image.Pt(cells.X, cells.Y*2), cells
	}
	pixels = image.Pt(cells.X*w, cells.Y*h)
	for pixels.X*pixels.Y > mostPixels && m == Kitty {
		pixels = pixels.Div(2) // kitty scales it up again
	}
	return pixels, cells
}

// Choose is the best mode for a terminal, by its answers to Query and its environment; ok is false for one that cannot
// show anything.
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

// Query asks a terminal what it can do: for kitty's graphics, and then for its attributes, which every terminal answers,
// so that the answer to the latter ends the wait for the former.
const Query = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\" + "\x1b[c"

// Answered tells if the answer to the attributes is there: ESC [ ? ... c.
func Answered(answers string) bool {
	_, ok := attributes(answers)
	return ok
}

func attributes(answers string) (list string, ok bool) {
	_, rest, found := strings.Cut(answers, "\x1b[?")
	end := strings.IndexFunc(rest, func(r rune) bool { return r != ';' && (r < '0' || r > '9') })
	if !found || end < 0 || rest[end] != 'c' {
		return "", false
	}
	return rest[:end], true
}

// hasSixel: attribute 4 is sixel graphics.
func hasSixel(answers string) bool {
	list, _ := attributes(answers)
	for i, a := range strings.Split(list, ";") {
		if a == "4" && i > 0 {
			return true
		}
	}
	return false
}
