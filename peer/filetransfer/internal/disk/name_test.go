package disk

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{"a": true, "a/b c/日本": true, ".hidden": true, "a\\b": true, "12:30": true, "CON": true, "...": true} {
		if err := checkNameFor(name, false); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, ok := range map[string]bool{
		"a/b c/日本": true, ".hidden": true, "COMMON": true, "com10": true, "console.txt": true,
		`a\b`: false, "12:30": false, "c:x": false, "CON": false, "con.txt": false, "d/aux": false, "nul .x": false,
		"COM1": false, "lpt9.tar.gz": false, "com²": false, "a.": false, "a ": false, "what?": false, "CONIN$": false,
	} {
		if err := checkNameFor(name, true); (err == nil) != ok {
			t.Errorf("on Windows, %q: %v", name, err)
		}
	}
	if long := strings.Repeat("é", 127); len(PartialName("d/"+long)) > 2+maxPart || !strings.HasPrefix(PartialName("d/"+long), "d/éé") {
		t.Errorf("the part of a long name is %s", PartialName(long))
	}
}
