package scenario

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBuiltin: the suite is what is promised of it.
func TestBuiltin(t *testing.T) {
	all, err := Builtin()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 60 {
		t.Errorf("there are %d scenarios, at least 60 are promised", len(all))
	}
	names := map[string]bool{}
	for _, s := range all {
		if names[s.Name] {
			t.Errorf("there are two scenarios %s", s.Name)
		}
		names[s.Name] = true
		if len(s.Specs) == 0 || !strings.Contains(s.Specs[0], "§") {
			t.Errorf("%s names no section of a standard", s.Name)
		}
		if len(s.Suites) == 0 {
			t.Errorf("%s is in no suite", s.Name)
		}
	}
	for _, suite := range Suites() {
		if some, _ := Select(all, suite, nil); len(some) < 10 {
			t.Errorf("the suite %s has %d scenarios", suite, len(some))
		}
	}
}

func TestParse(t *testing.T) {
	const text = `
# a comment
scenario one: the first
	spec RFC 1 §1
	suite core data
	needs text-echo
	expected-failure it is so, pion/webrtc#1
	call audio=tone:440 video
	say hello   world
	expect text=a within 3s
	never failed for 500ms
scenario two: the second
	call
	echo 5 within 1s`
	all, err := Parse("f", text)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Name != "one" || all[1].Title != "the second" || all[0].ExpectedFailure == "" || all[0].Origin != "f:3" {
		t.Fatalf("%+v", all)
	}
	steps := all[0].Steps
	if len(steps) != 4 || steps[1].Rest() != "hello world" || steps[2].For != 3*time.Second || !slices.Equal(steps[2].Args, []string{"text=a"}) || steps[3].Line != 11 {
		t.Errorf("%+v", steps)
	}
}

// TestParseRefuses: what is wrong is refused, with the line.
func TestParseRefuses(t *testing.T) {
	const head = "scenario a: b\n"
	for name, test := range map[string]struct{ text, want string }{
		"nothing":            {"# only this", "no scenario in it"},
		"before":             {"call", "f:1: \"call\" stands before"},
		"no name":            {"scenario : b", "begins with"},
		"no title":           {"scenario a", "begins with"},
		"bad name":           {"scenario A B: c", "begins with"},
		"twice":              {head + "call\nexpect a within 1s\n" + head, "f:4: there are two"},
		"does nothing":       {head + "spec RFC 1", "does nothing"},
		"expects nothing":    {head + "call\nsay a", "could not fail"},
		"unknown suite":      {head + "suite other", `f:2: there is no suite "other"`},
		"all is no suite":    {head + "suite all", "no suite"},
		"unknown need":       {head + "needs luck", "no needs"},
		"empty failure":      {head + "expected-failure", "says nothing"},
		"unknown verb":       {head + "call\nwait 3s", `f:3: there is no line that begins with "wait"`},
		"verb of before":     {head + "call\nfar hold", `f:3: there is no line that begins with "far"`},
		"header of before":   {head + "known pion/webrtc#1", `f:2: there is no line that begins with "known"`},
		"no call":            {head + "expect a within 1s", "is call or await-call"},
		"two calls":          {head + "call\ncall", "has one call"},
		"expect without":     {head + "call\nexpect a", "ends with within"},
		"never with within":  {head + "call\nnever a within 1s", "ends with for"},
		"no duration":        {head + "call\nexpect a within 3", "is no duration"},
		"negative":           {head + "call\nexpect a within -3s", "is no duration"},
		"for ever":           {head + "call\nexpect a within 1000h", "is no duration"},
		"! before no change": {head + "call\n! say a", "! stands before"},
		"& before no change": {head + "call\n& expect a within 1s", "& stands before"},
		"too many words":     {head + "call\nexpect a b within 1s", "takes 1 to 1 words"},
		"too few words":      {head + "call\nadd audio", "takes 2 to"},
		"too long":           {strings.Repeat("#", maxFile+1), "at most"},
		"too many steps":     {head + "call\n" + strings.Repeat("say a\n", maxSteps), "at most 200 lines"},
		"the last is broken": {head + "call\nexpect a within 1s\nscenario b: c\ncall", "expects nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Parse("f", test.text); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestGroups(t *testing.T) {
	all, err := Parse("f", `
scenario a: looks
call audio
expect connected within 1s
scenario b: acts
call audio
expect connected within 1s
hold
scenario c: looks too
call audio
never failed for 1s
scenario d: looks elsewhere
call video
expect connected within 1s`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range Groups(all) {
		names := ""
		for _, s := range g {
			names += s.Name
		}
		got = append(got, names)
	}
	if want := []string{"ac", "b", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("scenario a: b\ncall audio\nexpect x within 1s\n")
	f.Add("scenario a: b\nneeds parley\ncall\nnever x for 1s\nscenario c: d\nawait-call within 3s\necho 3 on a within 1s")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := Parse("f", text)
		if err != nil {
			return
		}
		for _, s := range all {
			if len(s.Steps) < 1 || s.Name == "" {
				t.Errorf("accepted %+v", s)
			}
			_ = s.Looks()
		}
		Groups(all)
	})
}
