package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"parley/cmd/parley/docs"
	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/mediain"
)

// TestEventsTopic compares the table of the topic events with the schema. With PARLEY_DOCS=update,
// as make docs sets it, it writes the table.
func TestEventsTopic(t *testing.T) {
	text, err := event.Schema("event")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Event struct{ Enum []string }
		}
		Defs map[string]struct {
			Description string
			Required    []string
			Properties  map[string]struct {
				Enum        []any
				Description string
			}
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	if len(schema.Properties.Event.Enum) == 0 {
		t.Fatal("the schema has no events")
	}
	table := "<!-- events -->\n| event | meaning | fields |\n|---|---|---|\n"
	for _, name := range schema.Properties.Event.Enum {
		definition := schema.Defs[name]
		var fields []string
		for _, field := range append(slices.Clone(definition.Required), slices.Sorted(maps.Keys(definition.Properties))...) {
			required := slices.Contains(definition.Required, field)
			form := "`" + field + "`"
			if field == "peer" || slices.Contains(fields, form) || slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, form+" ") }) {
				continue
			}
			if !required {
				form += "?"
			}
			var values []string
			for _, v := range definition.Properties[field].Enum {
				values = append(values, fmt.Sprint(v))
			}
			if len(values) > 0 {
				form += " (" + strings.Join(values, ", ") + ")"
			}
			fields = append(fields, form)
		}
		table += fmt.Sprintf("| `%s` | %s | %s |\n", name, definition.Description, strings.Join(fields, ", "))
	}
	table += "<!-- /events -->\n"
	if os.Getenv("PARLEY_DOCS") == "update" {
		if err := e2etest.RewriteTopic("events", "events", table); err != nil {
			t.Fatal(err)
		}
		return
	}
	if topic, _ := docs.Text("events"); !strings.Contains(topic, table) {
		t.Errorf("the topic events has another table than the schema; make docs writes it:\n%s", table)
	}
}

// TestExpectationsTopic checks that the topic expectations describes every key of --expect.
func TestExpectationsTopic(t *testing.T) {
	topic, _ := docs.Text("expectations")
	for _, key := range slices.Sorted(maps.Keys(mediain.Keys())) {
		if !regexp.MustCompile("(?m)^\\|.*`" + regexp.QuoteMeta(key) + "`.*\\|.*\\|$").MatchString(topic) {
			t.Errorf("no row for %s", key)
		}
	}
}
