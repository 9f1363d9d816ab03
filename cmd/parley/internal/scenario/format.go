package scenario

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// Formats are the names of the formats of a report.
func Formats() []string { return []string{"table", "json", "junit", "tap", "markdown"} }

// Write writes a report. clean makes text of a stranger safe to print.
func (r *Report) Write(w io.Writer, format string, clean func(string) string) error {
	switch format {
	case "json":
		return r.json(w)
	case "junit":
		return r.junit(w)
	case "tap":
		return r.tap(w, clean)
	case "markdown":
		return r.markdown(w, clean)
	}
	return r.table(w, clean)
}

// Line is one result for people.
func (r *Result) Line(clean func(string) string) string {
	line := fmt.Sprintf("%-13s %-28s %6.2f s  %s", r.Verdict, r.Scenario.Name, r.Took.Seconds(), r.Scenario.Title)
	if r.Reason != "" {
		line += "\n" + strings.Repeat(" ", 14) + clean(r.Reason)
	}
	if r.Evidence != "" {
		line += "\n" + strings.Repeat(" ", 14) + "see " + clean(r.Evidence)
	}
	return line
}

func (r *Report) table(w io.Writer, clean func(string) string) error {
	for i := range r.Results {
		if r.Load != nil && r.Results[i].Verdict == Pass { // one like the other
			continue
		}
		if _, err := fmt.Fprintln(w, r.Results[i].Line(clean)); err != nil {
			return err
		}
	}
	if r.Load != nil {
		r.loadTable(w, "")
	}
	r.playbackTable(w, "")
	for _, q := range r.Requirements {
		fmt.Fprintf(w, "%-13s %s\n", held(q.Held), q.outcome())
	}
	_, err := fmt.Fprintln(w, clean(r.Summary()))
	return err
}

// measured returns the metrics of what was published and played, the values of which are equal.
func (r *Report) measured() []Distribution {
	if r.Playback == "" {
		return nil
	}
	return r.Distributions()
}

// playbackTable writes them, each line behind prefix.
func (r *Report) playbackTable(w io.Writer, prefix string) {
	for _, v := range r.measured() {
		fmt.Fprintf(w, "%s%-24s %9.4g\n", prefix, v.Metric, v.Max)
	}
}

func held(yes bool) Verdict {
	if yes {
		return Pass
	}
	return Fail
}

func (q *Requirement) outcome() string {
	if math.IsNaN(q.Saw) {
		return q.Text + ": nothing was measured, or not one value"
	}
	return fmt.Sprintf("%s: it was %.4g", q.Text, q.Saw)
}

// The JSON form; members only ever get added.
type (
	jsonReport struct {
		Schema       string            `json:"schema"`
		Peer         string            `json:"peer"`
		Server       string            `json:"server"`
		Suite        string            `json:"suite"`
		PeerType     string            `json:"peer_type"`
		Version      string            `json:"version"`
		Began        time.Time         `json:"began"`
		Seconds      float64           `json:"seconds"`
		Verdict      Verdict           `json:"verdict"`
		Counts       map[Verdict]int   `json:"counts"`
		Capabilities map[string]bool   `json:"capabilities"`
		Results      []jsonResult      `json:"results"`
		Requirements []jsonRequirement `json:"requirements"`
		Load         *jsonLoad         `json:"load,omitempty"`
		Playback     string            `json:"playback,omitempty"`
		Error        *string           `json:"error"`
	}
	jsonResult struct {
		Name     string             `json:"name"`
		Title    string             `json:"title"`
		Specs    []string           `json:"specs"`
		Suites   []string           `json:"suites"`
		Verdict  Verdict            `json:"verdict"`
		Reason   string             `json:"reason,omitempty"`
		Step     string             `json:"step,omitempty"`
		Seconds  float64            `json:"seconds"`
		Metrics  map[string]float64 `json:"metrics,omitempty"`
		Evidence string             `json:"evidence,omitempty"`
	}
	jsonRequirement struct {
		Text string   `json:"text"`
		Held bool     `json:"held"`
		Saw  *float64 `json:"saw"`
	}
)

func (r *Report) json(w io.Writer) error {
	out := jsonReport{Schema: "parley.probe/1", Peer: r.Peer, Server: r.Server, Suite: r.Suite, PeerType: r.PeerType, Version: r.Version,
		Began: r.Began, Seconds: r.Took.Seconds(), Verdict: r.Verdict(), Counts: r.Counts(), Capabilities: r.Capabilities,
		Results: []jsonResult{}, Requirements: []jsonRequirement{}, Load: r.Load.json(r), Playback: r.Playback}
	for _, one := range r.Results {
		out.Results = append(out.Results, jsonResult{one.Scenario.Name, one.Scenario.Title, one.Scenario.Specs, one.Scenario.Suites,
			one.Verdict, one.Reason, one.Step, one.Took.Seconds(), one.Metrics, one.Evidence})
	}
	for _, q := range r.Requirements {
		j := jsonRequirement{Text: q.Text, Held: q.Held}
		if !math.IsNaN(q.Saw) {
			j.Saw = &q.Saw
		}
		out.Requirements = append(out.Requirements, j)
	}
	if r.Err != nil {
		text := r.Err.Error()
		out.Error = &text
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(out)
}

// The JUnit form, as its readers agree on: github.com/testmoapp/junitxml.
type (
	junitSuite struct {
		XMLName   xml.Name        `xml:"testsuite"`
		Name      string          `xml:"name,attr"`
		Tests     int             `xml:"tests,attr"`
		Failures  int             `xml:"failures,attr"`
		Errors    int             `xml:"errors,attr"`
		Skipped   int             `xml:"skipped,attr"`
		Time      string          `xml:"time,attr"`
		Timestamp string          `xml:"timestamp,attr"`
		Property  []junitProperty `xml:"properties>property"`
		Cases     []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitMessage `xml:"failure"`
		Error   *junitMessage `xml:"error"`
		Skipped *junitMessage `xml:"skipped"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func (r *Report) junit(w io.Writer) error {
	s := junitSuite{Name: "parley probe " + r.Peer, Time: seconds(r.Took), Timestamp: r.Began.UTC().Format("2006-01-02T15:04:05"),
		Property: []junitProperty{{"server", r.Server}, {"suite", r.Suite}, {"peer-type", r.PeerType}, {"version", r.Version}}}
	s.Property = append(s.Property, r.Load.properties(r)...)
	for _, v := range r.measured() {
		s.Property = append(s.Property, junitProperty{v.Metric, fmt.Sprintf("%.4g", v.Max)})
	}
	for _, one := range r.Results {
		s.add(one.junit(r.Peer))
	}
	for _, q := range r.Requirements {
		c := junitCase{Class: r.Peer + ".requirements", Name: q.Text, Time: "0"}
		if !q.Held {
			c.Failure = &junitMessage{Message: q.outcome()}
		}
		s.add(c)
	}
	if r.Err != nil || r.Ran() == 0 { // a suite without a case is green to most readers
		s.add(junitCase{Class: r.Peer, Name: "run", Time: "0", Error: &junitMessage{Message: r.Summary()}})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

func (s *junitSuite) add(c junitCase) {
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
	s.Cases = append(s.Cases, c)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

func (r *Result) junit(peer string) junitCase {
	c := junitCase{Class: peer, Name: r.Scenario.Name, Time: seconds(r.Took), Out: r.Scenario.Title + " (" + strings.Join(r.Scenario.Specs, ", ") + ")"}
	message := &junitMessage{Message: r.Reason, Text: r.Step}
	switch r.Verdict {
	case Fail:
		c.Failure = message
	case Error:
		c.Error = message
	case Skip, ExpectedFail:
		c.Skipped = &junitMessage{Message: string(r.Verdict) + ": " + r.Reason}
	}
	if r.Evidence != "" {
		c.Out += "\n[[ATTACHMENT|" + r.Evidence + "]]"
	}
	return c
}

// tap is https://testanything.org version 14: an expected failure is a TODO.
func (r *Report) tap(w io.Writer, clean func(string) string) error {
	tapText := func(s string) string { return strings.ReplaceAll(clean(s), "#", `\#`) }
	fmt.Fprintf(w, "TAP version 14\n1..%d\n", len(r.Results)+len(r.Requirements))
	n := 0
	line := func(ok bool, text, directive string) {
		n++
		word := "not ok"
		if ok {
			word = "ok"
		}
		fmt.Fprintf(w, "%s %d - %s%s\n", word, n, tapText(text), directive)
	}
	for _, one := range r.Results {
		text := one.Scenario.Name + ": " + one.Scenario.Title
		switch one.Verdict {
		case Skip:
			line(true, text, " # SKIP "+tapText(one.Reason))
		case ExpectedFail:
			line(false, text, " # TODO "+tapText(one.Reason))
		default:
			line(one.Verdict == Pass, text, "")
		}
		if one.Verdict == Fail || one.Verdict == Error {
			fmt.Fprintf(w, "  ---\n  verdict: %s\n  message: %q\n  step: %q\n  ...\n", one.Verdict, clean(one.Reason), one.Step)
		}
	}
	for _, q := range r.Requirements {
		line(q.Held, q.outcome(), "")
	}
	if r.Err != nil || r.Ran() == 0 {
		fmt.Fprintf(w, "Bail out! %s\n", tapText(r.Summary()))
	}
	if r.Load != nil {
		r.loadTable(w, "# ")
	}
	r.playbackTable(w, "# ")
	_, err := fmt.Fprintf(w, "# %s\n", tapText(r.Summary()))
	return err
}

func (r *Report) markdown(w io.Writer, clean func(string) string) error {
	cell := func(s string) string { return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(clean(s)) }
	fmt.Fprintf(w, "### %s\n\n%s\n\n", cell(r.Peer), cell(r.Summary()))
	if r.Load != nil {
		r.loadMarkdown(w)
	}
	if r.Playback != "" {
		fmt.Fprintf(w, "Played from %s.\n\n| metric | |\n|---|---:|\n", cell(r.Playback))
		for _, v := range r.measured() {
			fmt.Fprintf(w, "| %s | %.4g |\n", v.Metric, v.Max)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "| scenario | standard | verdict | s | |\n|---|---|---|---:|---|\n")
	for _, one := range r.Results {
		remark := one.Reason
		if remark == "" {
			remark = one.Scenario.Title
		}
		fmt.Fprintf(w, "| %s | %s | %s | %.2f | %s |\n", one.Scenario.Name, cell(strings.Join(one.Scenario.Specs, ", ")), one.Verdict, one.Took.Seconds(), cell(remark))
	}
	for _, q := range r.Requirements {
		fmt.Fprintf(w, "| required | | %s | | %s |\n", held(q.Held), cell(q.outcome()))
	}
	return nil
}

// WriteList writes a line for each scenario, and their number.
func WriteList(w io.Writer, scenarios []Scenario) error {
	var b strings.Builder
	for _, s := range scenarios {
		needs := ""
		if len(s.Needs) > 0 {
			needs = "  needs " + strings.Join(s.Needs, ", ")
		}
		fmt.Fprintf(&b, "%-28s %-24s %-40s %s%s\n", s.Name, strings.Join(s.Suites, " "), strings.Join(s.Specs, ", "), s.Title, needs)
	}
	plural := "s"
	if len(scenarios) == 1 {
		plural = ""
	}
	fmt.Fprintf(&b, "%d scenario%s\n", len(scenarios), plural)
	_, err := io.WriteString(w, b.String())
	return err
}
