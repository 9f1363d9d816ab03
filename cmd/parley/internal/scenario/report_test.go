package scenario

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func one(name string, v Verdict, reason string, setup float64) Result {
	return Result{Scenario: Scenario{Name: name, Title: "title of " + name, Specs: []string{"RFC 1 §1"}}, Verdict: v, Reason: reason,
		Took: time.Second, Metrics: map[string]float64{"setup.ms": setup}}
}

func full() *Report {
	return &Report{Peer: "bob", Began: time.Unix(0, 0), Results: []Result{
		one("a", Pass, "", 10), one("b", Fail, "it <did> | not # hold", 30), one("c", Error, "broken", 20), one("d", Skip, "cannot", 5), one("e", ExpectedFail, "known", 40),
	}}
}

func TestJudge(t *testing.T) {
	known := Scenario{ExpectedFailure: "a limit"}
	for _, test := range []struct {
		s    Scenario
		err  error
		want Verdict
	}{
		{Scenario{}, nil, Pass}, {Scenario{}, errors.New("x"), Fail}, {known, errors.New("x"), ExpectedFail}, {known, nil, Fail},
	} {
		if got, reason := Judge(test.s, test.err); got != test.want || (reason == "") != (got == Pass) {
			t.Errorf("%v, %v: %s %q", test.s.ExpectedFailure, test.err, got, reason)
		}
	}
}

func TestVerdict(t *testing.T) {
	held, broken := Requirement{Held: true}, Requirement{}
	for name, test := range map[string]struct {
		r    Report
		want Verdict
	}{
		"nothing":           {Report{}, Fail},
		"all skipped":       {Report{Results: []Result{one("a", Skip, "x", 0)}}, Fail},
		"passed":            {Report{Results: []Result{one("a", Pass, "", 0), one("b", Skip, "", 0), one("c", ExpectedFail, "", 0)}}, Pass},
		"failed":            {Report{Results: []Result{one("a", Pass, "", 0), one("b", Fail, "", 0)}}, Fail},
		"an error":          {Report{Results: []Result{one("a", Fail, "", 0), one("b", Error, "", 0)}}, Error},
		"ended early":       {Report{Results: []Result{one("a", Pass, "", 0)}, Err: errors.New("x")}, Error},
		"requirement":       {Report{Results: []Result{one("a", Pass, "", 0)}, Requirements: []Requirement{held}}, Pass},
		"requirement fails": {Report{Results: []Result{one("a", Pass, "", 0)}, Requirements: []Requirement{held, broken}}, Fail},
	} {
		if got := test.r.Verdict(); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestRequirements(t *testing.T) {
	results := full().Results
	for text, want := range map[string]bool{
		"setup.ms<=40": true, "setup.ms<40": false, "setup.ms:max<=39": false, "setup.ms:p50<=20": true, "setup.ms:p50<20": false,
		"setup.ms:min>=5": true, "setup.ms>5": false, "setup.ms >= 5": true, "setup.ms:p95<=40": true, "setup.ms=10": false, "rtt.ms<=1000000": false,
		"setup.ms!=7": true, "setup.ms!=10": false, "setup.ms:max!=10": true, "setup.ms:min = 5": true,
	} {
		q, err := ParseRequirement(text)
		if err != nil {
			t.Fatal(err)
		}
		if q.Check(results); q.Held != want {
			t.Errorf("%s: %t, saw %v", text, q.Held, q.Saw)
		}
	}
	for _, text := range []string{"", "setup.ms", "speed<=3", "setup.ms<=x", "setup.ms<=NaN", "setup.ms:p99<=3", "setup.ms~3", "setup.ms:max", "setup.ms<3<4"} {
		if _, err := ParseRequirement(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func write(t *testing.T, r *Report, format string) string {
	var b bytes.Buffer
	if err := r.Write(&b, format, func(s string) string { return s }); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestJSON(t *testing.T) {
	for name, r := range map[string]*Report{"full": full(), "nothing": {Err: errors.New("bob is away")}} {
		var got struct {
			Schema  string
			Verdict Verdict
			Counts  map[Verdict]int
			Results []struct {
				Name    string
				Verdict Verdict
			}
			Error *string
		}
		if err := json.Unmarshal([]byte(write(t, r, "json")), &got); err != nil {
			t.Fatal(err)
		}
		if got.Schema != "parley.probe/1" || got.Verdict != Error || len(got.Results) != len(r.Results) || (got.Error == nil) != (r.Err == nil) {
			t.Errorf("%s: %+v", name, got)
		}
		if r.Err == nil && (got.Counts[Fail] != 1 || got.Results[3].Verdict != Skip) {
			t.Errorf("%+v", got)
		}
	}
}

func TestJUnit(t *testing.T) {
	type suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	}
	read := func(r *Report) (s suite) {
		if err := xml.Unmarshal([]byte(write(t, r, "junit")), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := read(full())
	if s.Tests != 5 || s.Failures != 1 || s.Errors != 1 || s.Skipped != 2 || len(s.Cases) != 5 || s.Cases[1].Failure == nil || s.Cases[2].Error == nil || s.Cases[4].Skipped == nil {
		t.Errorf("%+v", s)
	}
	if s := read(&Report{}); s.Errors != 1 {
		t.Errorf("a run of nothing is green: %+v", s)
	}
	if s := read(&Report{Results: []Result{one("a", Pass, "", 0)}, Requirements: []Requirement{{Text: "x"}}}); s.Failures != 1 {
		t.Errorf("a requirement that does not hold is green: %+v", s)
	}
}

func TestTAP(t *testing.T) {
	got := write(t, full(), "tap")
	for _, want := range []string{"TAP version 14\n1..5\n", "\nok 1 - a: ", "\nnot ok 2 - b: ", "\nok 4 - d: title of d # SKIP cannot\n", "\nnot ok 5 - e: title of e # TODO known\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in\n%s", want, got)
		}
	}
	if !strings.Contains(write(t, &Report{}, "tap"), "Bail out!") {
		t.Error("a run of nothing is green")
	}
}

func TestTables(t *testing.T) {
	md := write(t, full(), "markdown")
	if !strings.Contains(md, `| b | RFC 1 §1 | fail | 1.00 | it &lt;did> \| not # hold |`) {
		t.Errorf("%s", md)
	}
	table := write(t, full(), "table")
	for i, v := range []Verdict{Pass, Fail, Error, Skip, ExpectedFail} {
		if want := fmt.Sprintf("%-13s %c ", v, 'a'+i); !strings.Contains(table, want) {
			t.Errorf("there is no %q in\n%s", want, table)
		}
	}
	if !strings.Contains(write(t, &Report{}, "table"), "no scenario was run") {
		t.Error("a run of nothing says nothing")
	}
}

// TestPlaybackReport checks that a report of a playback has its measurements once in each format.
func TestPlaybackReport(t *testing.T) {
	r := full()
	r.Playback = "whep://h/<b>"
	for i := range r.Results {
		r.Results[i].Metrics = map[string]float64{"video.psnr": 41.5}
	}
	for format, want := range map[string]string{
		"table": "\nvideo.psnr                    41.5\n", "markdown": "Played from whep://h/&lt;b>.\n\n| metric | |\n|---|---:|\n| video.psnr | 41.5 |\n",
		"junit": `<property name="video.psnr" value="41.5">`, "tap": "\n# video.psnr                    41.5\n", "json": `"playback": "whep://h/`,
	} {
		var out bytes.Buffer
		if err := r.Write(&out, format, strings.ToLower); err != nil || strings.Count(out.String(), want) != 1 {
			t.Errorf("%s: %v, no %q in %s", format, err, want, out.String())
		}
	}
}

// TestPlayback checks the scenarios of a playback: each has a section of a standard, and they share
// a call.
func TestPlayback(t *testing.T) {
	all, err := Playback()
	if err != nil || len(all) != 9 || len(Groups(all)) != 1 {
		t.Fatalf("got %d scenarios, %v", len(all), err)
	}
	for _, s := range all {
		if len(s.Specs) == 0 || !strings.Contains(s.Specs[0], "§") || len(s.Needs) > 0 {
			t.Errorf("got %+v", s)
		}
	}
}
