package session

import (
	"strings"
	"testing"
)

// TestDrawCode checks which terminals show a QR code, by the place that its rows take.
func TestDrawCode(t *testing.T) {
	text := "parley-offer-1." + strings.Repeat("aB3_", 250) // version 23 (ISO/IEC 18004), 109 modules
	for _, c := range []struct {
		columns, rows, length int
		lacks                 string
	}{
		{117, 71, len(text), ""},
		{300, 66, len(text), ""},
		{117, 70, len(text), "this terminal is too small for a QR code of the line, which needs 117 columns and 71 rows"},
		{116, 90, len(text), "this terminal is too small for a QR code of the line, which needs 117 columns and 71 rows"},
		{80, 24, 15, ""},
		{500, 500, 3000, "the line is too long for a QR code"},
	} {
		long := text + strings.Repeat("x", 3000)
		drawing, lacks := drawCode(long[:c.length], c.columns, c.rows)
		if lacks != c.lacks || (lacks == "") != (len(drawing) > 0) {
			t.Errorf("%d columns, %d rows, %d characters: got %q", c.columns, c.rows, c.length, lacks)
		}
	}
}
