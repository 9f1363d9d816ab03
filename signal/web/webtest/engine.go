package webtest

import "context"

// engine is a browser as its protocol shows it.
type engine interface {
	newPage(ctx context.Context, log *console) (page, error)
	// close ends the connection to the browser.
	close()
}

// page is one tab as its browser's protocol shows it.
type page interface {
	// preload has js run in every later document, before its own scripts.
	preload(ctx context.Context, js string) error
	// navigate returns when the document and all it needs are loaded.
	navigate(ctx context.Context, url string) error
	reload(ctx context.Context) error
	// eval evaluates an expression that yields (a promise of) a string.
	eval(ctx context.Context, expression string) (string, error)
	// click presses and releases the main button there, in CSS pixels, that many times in a row.
	click(ctx context.Context, x, y float64, times int) error
	// insert types text into what has the focus.
	insert(ctx context.Context, text string) error
	press(ctx context.Context, key Key) error
	resize(ctx context.Context, width, height int, phone bool) error
	// screenshot is a PNG of the viewport.
	screenshot(ctx context.Context) ([]byte, error)
	close(ctx context.Context) error
}

// Key is a key for [Tab.Press]: one of those below, or a character of ASCII.
type Key string

// Keys that have a name.
const (
	Enter    Key = "Enter"
	TabKey   Key = "Tab"
	ShiftTab Key = "Shift+Tab" // to the element before
	Escape   Key = "Escape"
	Space    Key = " "
)
