package stdio

import (
	"fmt"
	"strings"
	"testing"
)

// A line that is too long is skipped, however long it is, and the last one needs no line end.
func TestEachLine(t *testing.T) {
	const most = 10_000
	var got []string
	in := "one\n\n" + strings.Repeat("x", most-1) + "\n" + strings.Repeat("y", most) + "\nlast"
	if err := EachLine(strings.NewReader(in), most, func(line []byte, tooLong bool) bool {
		got = append(got, fmt.Sprintf("%d %t", len(line), tooLong))
		return true
	}); err != nil {
		t.Fatal(err)
	}
	if want := "[4 false 1 false 10000 false 0 true 4 false]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	calls := 0
	if err := EachLine(strings.NewReader("a\nb\n"), most, func([]byte, bool) bool { calls++; return false }); err != nil || calls != 1 {
		t.Errorf("got %d calls, %v after the function has ended it", calls, err)
	}
}
