package scenario

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Bounds of a file, far above what people write.
const (
	maxFile  = 1 << 20 // bytes
	maxSteps = 200     // of a scenario
)

// MaxWait bounds the time that a step waits.
const MaxWait = 10 * time.Minute

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,60}$`)

// Parse reads a file; name is what errors call it.
func Parse(name, text string) ([]Scenario, error) {
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", name, len(text), maxFile)
	}
	p := &parser{}
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(fmt.Sprintf("%s:%d", name, i+1), i+1, line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	if err := p.complete(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(p.all) == 0 {
		return nil, fmt.Errorf("%s: there is no scenario in it; one begins with: scenario NAME: SENTENCE", name)
	}
	return p.all, nil
}

type parser struct{ all []Scenario }

func (p *parser) current() *Scenario {
	if len(p.all) == 0 {
		return nil
	}
	return &p.all[len(p.all)-1]
}

func (p *parser) line(origin string, number int, text string) error {
	words := strings.Fields(text)
	if len(words) == 0 || strings.HasPrefix(words[0], "#") {
		return nil
	}
	rest := strings.Join(words[1:], " ")
	if words[0] == "scenario" {
		return p.begin(origin, rest)
	}
	s := p.current()
	if s == nil {
		return fmt.Errorf("%q stands before the first scenario NAME: SENTENCE", words[0])
	}
	switch words[0] {
	case "spec":
		s.Specs = append(s.Specs, rest)
	case "expected-failure":
		s.ExpectedFailure = rest
	case "suite":
		return addWords(&s.Suites, words, func(w string) bool { return w != "all" && slices.Contains(Suites(), w) })
	case "needs":
		return addWords(&s.Needs, words, func(w string) bool { _, ok := Needs()[w]; return ok })
	default:
		step, err := parseStep(words, number)
		if err != nil {
			return err
		}
		s.Steps = append(s.Steps, step)
		return s.checkOrder()
	}
	if rest == "" {
		return fmt.Errorf("%s says nothing", words[0])
	}
	return nil
}

func (p *parser) begin(origin, rest string) error {
	if err := p.complete(); err != nil {
		return err
	}
	name, title, ok := strings.Cut(rest, ": ")
	if !ok || !nameForm.MatchString(name) || title == "" {
		return fmt.Errorf("a scenario begins with: scenario NAME: SENTENCE, where a name is lower-case letters, digits and hyphens")
	}
	if slices.ContainsFunc(p.all, func(s Scenario) bool { return s.Name == name }) {
		return fmt.Errorf("there are two scenarios with the name %s", name)
	}
	p.all = append(p.all, Scenario{Name: name, Title: title, Origin: origin})
	return nil
}

// complete checks the scenario that ends here. One that asserts nothing could not fail.
func (p *parser) complete() error {
	s := p.current()
	switch {
	case s == nil:
		return nil
	case len(s.Steps) == 0:
		return fmt.Errorf("the scenario %s does nothing", s.Name)
	case !slices.ContainsFunc(s.Steps, func(s Step) bool { return s.Verb == "expect" || s.Verb == "never" || s.Verb == "echo" }):
		return fmt.Errorf("the scenario %s expects nothing, so it could not fail", s.Name)
	}
	return nil
}

func (s *Scenario) checkOrder() error {
	calls := s.Steps[0].Verb == "call" || s.Steps[0].Verb == "await-call"
	last := s.Steps[len(s.Steps)-1]
	switch {
	case !calls:
		return fmt.Errorf("the first line of a scenario that does something is call or await-call, not %q", s.Steps[0].Verb)
	case len(s.Steps) > 1 && (last.Verb == "call" || last.Verb == "await-call"):
		return fmt.Errorf("a scenario has one call")
	case len(s.Steps) > maxSteps:
		return fmt.Errorf("a scenario has at most %d lines", maxSteps)
	}
	return nil
}

func addWords(list *[]string, words []string, known func(string) bool) error {
	for _, w := range words[1:] {
		if !known(w) {
			return fmt.Errorf("there is no %s %q", words[0], w)
		}
		*list = append(*list, w)
	}
	return nil
}

// verbSpec is the number of operands of a verb, and its timing.
type verbSpec struct {
	least, most int
	timing      string
}

// verbSpecs returns the verbs: how many words follow at least and at most, and the word before a
// duration: + if it is needed.
func verbSpecs() map[string]verbSpec {
	return map[string]verbSpec{
		"call": {0, 10, ""}, "await-call": {0, 0, "+within"}, "expect": {1, 1, "+within"}, "never": {1, 1, "+for"},
		"say": {1, 1000, ""}, "echo": {1, 4, "+within"}, "open": {1, 6, ""}, "close": {1, 1, ""}, "mute": {0, 1, ""}, "unmute": {0, 1, ""},
		"hold": {0, 0, ""}, "resume": {0, 0, ""}, "add": {2, 20, ""}, "source": {2, 20, ""}, "remove": {1, 1, ""},
		"restart-ice": {0, 0, ""}, "impair": {1, 30, ""}, "hangup": {0, 0, ""}, "remote": {1, 1000, ""},
	}
}

// rejectable returns the verbs that ask something of the peer, which may reject it.
func rejectable() []string {
	return []string{"add", "source", "remove", "hold", "resume", "restart-ice", "remote"}
}

func parseStep(words []string, number int) (Step, error) {
	s := Step{Verb: words[0], Args: words[1:], Text: strings.Join(words, " "), Line: number}
	if (s.Verb == "!" || s.Verb == "&") && len(s.Args) > 0 {
		s.Refused, s.Background = s.Verb == "!", s.Verb == "&"
		s.Verb, s.Args, s.Text = s.Args[0], s.Args[1:], strings.Join(s.Args, " ")
	}
	spec, ok := verbSpecs()[s.Verb]
	switch {
	case !ok:
		return s, fmt.Errorf("there is no line that begins with %q", s.Verb)
	case s.Refused && !slices.Contains(rejectable(), s.Verb):
		return s, fmt.Errorf("! stands before what the peer may reject: %s; for what should not be there is never", strings.Join(rejectable(), ", "))
	case s.Background && !slices.Contains(rejectable(), s.Verb):
		return s, fmt.Errorf("& stands before what takes an answer of the peer: %s", strings.Join(rejectable(), ", "))
	}
	if word, needed := strings.CutPrefix(spec.timing, "+"); needed {
		n := len(s.Args)
		if n < 2 || s.Args[n-2] != word {
			return s, fmt.Errorf("%s ends with %s and a duration: %s 3s", s.Verb, word, word)
		}
		d, err := time.ParseDuration(s.Args[n-1])
		if err != nil || d <= 0 || d > MaxWait {
			return s, fmt.Errorf("%q is no duration above 0 and up to %v, such as 500ms or 3s", s.Args[n-1], MaxWait)
		}
		s.For, s.Args = d, s.Args[:n-2]
	}
	if len(s.Args) < spec.least || len(s.Args) > spec.most {
		return s, fmt.Errorf("%s takes %d to %d words, not %d", s.Verb, spec.least, spec.most, len(s.Args))
	}
	return s, nil
}
