package event_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
)

var keys = map[string]event.Kind{"connected": event.Flag, "text": event.Text, "frames": event.Number, "tone": event.Tone}

func TestCheckHolds(t *testing.T) {
	yes, no := true, false
	for _, test := range []struct {
		raw   string
		value event.Value
		want  bool
	}{
		{"connected", event.TextOf("true"), yes},
		{"text", event.TextOf(""), yes},
		{"text=a b", event.TextOf("a b"), yes}, {"text=a", event.TextOf("b"), no}, {"text= a", event.TextOf("a"), no},
		{"text!=a", event.TextOf("b"), yes}, {"text!=a", event.TextOf("a"), no},
		{"text~^a.c$", event.TextOf("abc"), yes}, {"text~^b", event.TextOf("abc"), no}, {"text=<=3", event.TextOf("<=3"), yes},
		{"frames=3", event.NumberOf(3), yes}, {"frames=3", event.NumberOf(3.5), no}, {"frames=3.0", event.NumberOf(3), yes},
		{"frames!=3", event.NumberOf(4), yes}, {"frames!=3", event.NumberOf(3), no},
		{"frames>=3", event.NumberOf(3), yes}, {"frames>=3", event.NumberOf(2), no},
		{"frames<=3", event.NumberOf(3), yes}, {"frames<=3", event.NumberOf(4), no},
		{"frames>3", event.NumberOf(4), yes}, {"frames>3", event.NumberOf(3), no},
		{"frames<3", event.NumberOf(2), yes}, {"frames<3", event.NumberOf(3), no},
		{"frames < -3e2", event.NumberOf(-301), yes}, {"frames >= 1000000", event.NumberOf(uint64(1_000_000)), yes},
		{"frames~^30$", event.NumberOf(30), yes},
		{"frames>=3", event.TextOf("4"), no}, // no number
		{"tone=440", event.NumberOf(450), yes}, {"tone=440", event.NumberOf(460), no}, {"tone!=440", event.NumberOf(460), yes},
	} {
		c, err := event.ParseCheck(test.raw, keys)
		if err != nil {
			t.Error(err)
		} else if got := c.Holds(test.value); got != test.want {
			t.Errorf("%s of %v: got %t, want %t", test.raw, test.value, got, test.want)
		}
	}
}

func TestParseCheckRejects(t *testing.T) {
	for raw, want := range map[string]string{
		"": "no key", "speed=3": `no key "speed"; there are connected, frames, text, tone`, "connected=true": "has no value", "connected~x": "has no value",
		"text~(": "missing closing", "text>3": "is a text", "text<=3": "is a text", "frames>=x": "want a number", "frames>=NaN": "want a number", "frames<": "want a number",
		"frames<3<4": "want a number", "Frames=3": "no key", "\x1b=3": `\x1b`,
	} {
		if _, err := event.ParseCheck(raw, keys); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%q: got %v, want %q", raw, err, want)
		}
	}
}

func TestExpectations(t *testing.T) {
	var checks []event.Check
	for _, raw := range []string{"connected", "frames>=3", "text=b"} {
		c, err := event.ParseCheck(raw, keys)
		if err != nil {
			t.Fatal(err)
		}
		checks = append(checks, c)
	}
	var reported []string
	e := event.NewExpectations(checks, func(c event.Check, held bool, saw event.Value) {
		reported = append(reported, c.Raw+" "+map[bool]string{true: "held", false: "failed"}[held]+" "+saw.String())
	})
	isHeld := func() bool {
		select {
		case <-e.Held():
			return true
		default:
			return false
		}
	}
	e.Observe("frames", event.NumberOf(2))
	e.Observe("text", event.TextOf("a"))
	if err := e.Err(); exit.CodeOf(err) != exit.Expectation ||
		err.Error() != "an expectation did not hold: no connected; frames>=3 (frames was 2); text=b (text was a)" {
		t.Errorf("got %v", err)
	}
	reported = nil
	e.Observe("frames", event.NumberOf(3))
	e.Observe("frames", event.NumberOf(1)) // has held
	e.Observe("text", event.TextOf("b"))
	if isHeld() {
		t.Error("all are held without connected")
	}
	e.Observe("connected", event.TextOf("true"))
	e.Observe("connected", event.TextOf("true"))
	if !isHeld() || e.Err() != nil {
		t.Errorf("held: %t, %v", isHeld(), e.Err())
	}
	if want := []string{"frames>=3 held 3", "text=b held b", "connected held true"}; !slices.Equal(reported, want) {
		t.Errorf("reported %q, want %q", reported, want)
	}
	if none := event.NewExpectations(nil, nil); none.Held() != nil || none.Err() != nil {
		t.Error("without checks there is something to hold")
	}
}

func TestValues(t *testing.T) {
	for want, v := range map[string]event.Value{
		`"a"`: event.TextOf("a"), `1.5`: event.NumberOf(1.5), `7`: event.ValueOf(uint32(7)), `-7`: event.ValueOf(int64(-7)),
		`0.25`: event.ValueOf(float32(0.25)), `"true"`: event.ValueOf(true), `"7"`: event.ValueOf("7"),
	} {
		got, err := json.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
		if got := v.String(); got != strings.Trim(want, `"`) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
