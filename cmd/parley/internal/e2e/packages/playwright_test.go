//go:build !quick

package packages

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"

	"parley/cmd/parley/internal/event"
)

// fixture is the npm package with the fixture of Playwright; npm has installed there what make
// deps names.
const fixture = root + "/packaging/playwright"

// schema is what events.d.ts needs of a JSON schema.
type schema struct {
	Description string
	Type        any
	Enum        []any
	Const       any
	Ref         string `json:"$ref"`
	Items       *schema
	Properties  map[string]*schema
	Required    []string
	Defs        map[string]*schema `json:"$defs"`
}

// typescript returns the type of TypeScript for the values of a schema.
func (s *schema) typescript(indent string) string {
	literal := func(v any) string {
		if text, ok := v.(string); ok {
			return "'" + text + "'"
		}
		return fmt.Sprint(v)
	}
	switch {
	case s == nil:
		return "unknown"
	case s.Ref != "":
		return typeName(strings.TrimPrefix(s.Ref, "#/$defs/"))
	case s.Const != nil:
		return literal(s.Const)
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			values = append(values, literal(v))
		}
		return strings.Join(values, " | ")
	case s.Properties != nil:
		return s.object(indent, "")
	}
	switch kind := s.Type.(type) {
	case []any:
		var kinds []string
		for _, k := range kind {
			kinds = append(kinds, (&schema{Type: k}).typescript(indent))
		}
		return strings.Join(kinds, " | ")
	case string:
		switch kind {
		case "integer":
			return "number"
		case "array":
			return "Array<" + s.Items.typescript(indent) + ">"
		case "object":
			return "Record<string, unknown>"
		}
		return kind
	}
	return "unknown"
}

// object returns the type of an object. event is the value of its member event, if it is one.
func (s *schema) object(indent, event string) string {
	var b strings.Builder
	b.WriteString("{\n")
	if event != "" {
		fmt.Fprintf(&b, "%s  event: '%s';\n%[1]s  time: string;\n", indent, event)
		if s.Properties["peer"] == nil {
			fmt.Fprintf(&b, "%s  peer%s: string;\n", indent, optional(s, "peer"))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		property := s.Properties[name]
		if property.Description != "" {
			fmt.Fprintf(&b, "%s  /** %s */\n", indent, property.Description)
		}
		fmt.Fprintf(&b, "%s  %s%s: %s;\n", indent, name, optional(s, name), property.typescript(indent+"  "))
	}
	return b.String() + indent + "}"
}

func optional(s *schema, name string) string {
	if slices.Contains(s.Required, name) {
		return ""
	}
	return "?"
}

// typeName returns the name of the type of an event or of a part of events: turn-listening is
// TurnListening.
func typeName(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// eventTypes returns events.d.ts for the schema of events.
func eventTypes(t *testing.T) []byte {
	t.Helper()
	text, err := event.Schema("event")
	if err != nil {
		t.Fatal(err)
	}
	var all schema
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, name := range all.Properties["event"].Enum {
		names = append(names, name.(string))
	}
	var b bytes.Buffer
	b.WriteString("// The events of parley --output ndjson, made by make docs from parley version --schema event.\n// Names and members may be added: ignore unknown ones.\n")
	for _, name := range slices.Sorted(maps.Keys(all.Defs)) {
		of := ""
		if slices.Contains(names, name) {
			of = name
		}
		if d := all.Defs[name]; d.Properties == nil && of == "" {
			fmt.Fprintf(&b, "\n/** %s */\nexport type %s = %s;\n", d.Description, typeName(name), d.typescript(""))
		} else {
			fmt.Fprintf(&b, "\n/** %s */\nexport interface %s %s\n", cmp.Or(d.Description, name), typeName(name), d.object("", of))
		}
	}
	b.WriteString("\nexport type Event =")
	for _, name := range names {
		b.WriteString("\n  | " + typeName(name))
	}
	b.WriteString(";\n\nexport type EventName = Event['event'];\nexport type EventOf<N extends EventName> = Extract<Event, {event: N}>;\n")
	return b.Bytes()
}

// TestPlaywrightTypes compares the types of the fixture with the schema of events and with the
// types that its JavaScript declares. With PARLEY_DOCS=update, as make docs sets it, it writes
// them.
func TestPlaywrightTypes(t *testing.T) {
	compare := func(name string, want []byte) {
		t.Helper()
		path := filepath.Join(fixture, name)
		if os.Getenv("PARLEY_DOCS") == "update" {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not up to date (%v): run make docs", name, err)
		}
	}
	compare("events.d.ts", eventTypes(t))
	out := t.TempDir()
	tsc := func(args ...string) ([]byte, error) {
		return exec.Command(filepath.Join(fixture, "node_modules", ".bin", "tsc"), append([]string{"--pretty", "false"}, args...)...).CombinedOutput()
	}
	if text, err := tsc("-p", fixture, "--outDir", out); err != nil {
		t.Fatalf("tsc: %v, see make deps\n%s", err, text)
	}
	declared, err := os.ReadFile(filepath.Join(out, "index.d.ts"))
	if err != nil {
		t.Fatal(err)
	}
	compare("index.d.ts", declared)

	user, err := filepath.Abs("testdata/user.ts")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := tsc("--noEmit", "--strict", "--skipLibCheck", "--ignoreConfig", "--target", "esnext", "--module", "nodenext",
		"--types", "node", "--typeRoots", filepath.Join(fixture, "node_modules", "@types"), user); err != nil {
		t.Errorf("the types of a user's test: %v\n%s", err, text)
	}
}

// TestPlaywright runs the tests of the demo application in Chromium: all pass with the application
// as it is, and one fails, for the right reason, with each copy that is broken.
func TestPlaywright(t *testing.T) {
	variants := []struct {
		Name  string `json:"name"`
		Title string `json:"title"` // of the test that is to fail

		change map[string]string // of the application
		want   string            // in the message
	}{
		{"silent", "see and hear", map[string]string{"await addMedia();": ""}, "video.frames>=10 does not hold"},
		{"blank", "see and hear", map[string]string{"at('remote').srcObject = streams[0];": ""}, "Expected: 320"},
		{"mute", "go both ways", map[string]string{"call.channel.send(at('message').value);": ""}, "no event text"},
		{"lasting", "answers and hangs up", map[string]string{"send({type: 'leave', name: call.peer});\n  ended": "show"}, "no event end"},
	}
	copies := t.TempDir()
	write := func(name string, change map[string]string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(copies, name), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{"index.html", "app.js"} {
			text := read(t, "packaging/playwright/demo/"+file)
			for before, after := range change {
				if file == "app.js" && !strings.Contains(text, before) {
					t.Fatalf("the application has no %q", before)
				}
				text = strings.ReplaceAll(text, before, after)
			}
			if err := os.WriteFile(filepath.Join(copies, name, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("right", nil)
	for _, v := range variants {
		write(v.Name, v.change)
	}
	projects, err := json.Marshal(variants)
	if err != nil {
		t.Fatal(err)
	}
	results := runPlaywright(t, "testdata/broken.config.mjs", "COPIES="+copies, "VARIANTS="+string(projects))
	passed := 0
	for _, r := range results {
		if r.project == "right" && r.ok {
			passed++
		}
		if r.project == "right" && !r.ok {
			t.Errorf("%s: %s", r.title, r.message)
		}
	}
	if want := strings.Count(read(t, "packaging/playwright/demo/call.spec.js"), "\ntest("); passed != want {
		t.Errorf("%d tests passed, want %d", passed, want)
	}
	for _, v := range variants {
		i := slices.IndexFunc(results, func(r result) bool { return r.project == v.Name && strings.Contains(r.title, v.Title) })
		if i < 0 || results[i].ok || !strings.Contains(results[i].message, v.want) {
			t.Errorf("the copy %s: got %+v, want a failure of %q by %q", v.Name, results[max(i, 0)], v.Title, v.want)
		}
	}
}

// result is that of a test of Playwright.
type result struct {
	project, title, message string
	ok                      bool
}

// runPlaywright runs the tests of the demo application with a configuration and returns their
// results.
func runPlaywright(t *testing.T, config string, env ...string) []result {
	t.Helper()
	binary, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(free.Addr().(*net.TCPAddr).Port)
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(fixture, "node_modules", ".bin", "playwright"), "test", "--config", config)
	cmd.Env = append(append(os.Environ(), "PARLEY="+binary, "CHROMIUM="+chromium, "PORT="+port, "RESULTS="+t.TempDir()), env...)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	failure := cmd.Run() // a test that fails is in the report
	var report struct {
		Suites []struct {
			Specs []struct {
				Title string
				Tests []struct {
					ProjectName string
					Results     []struct {
						Status string
						Error  struct{ Message string }
					}
				}
			}
		}
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("playwright: %v, see make deps: %v\n%s%s", failure, err, &messages, &out)
	}
	colors := regexp.MustCompile("\x1b\\[[0-9;]*m")
	var results []result
	for _, suite := range report.Suites {
		for _, spec := range suite.Specs {
			for _, test := range spec.Tests {
				for _, r := range test.Results {
					results = append(results, result{test.ProjectName, spec.Title, colors.ReplaceAllString(r.Error.Message, ""), r.Status == "passed"})
				}
			}
		}
	}
	if len(results) == 0 {
		t.Fatalf("playwright ran no test: %v\n%s%s", failure, &messages, &out)
	}
	return results
}
