package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"parley/cmd/parley/internal/event"
)

// The table of events in the README has all that the schema has.
func TestReadmeHasTheEvents(t *testing.T) {
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
			Properties  map[string]any
		} `json:"$defs"`
	}
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	ours := func(name string) bool { return name == "peer" } // told above the table
	var rows strings.Builder
	for _, name := range schema.Properties.Event.Enum {
		e := schema.Defs[name]
		sure := slices.DeleteFunc(slices.Clone(e.Required), ours)
		maybe := slices.DeleteFunc(slices.Sorted(maps.Keys(e.Properties)), func(f string) bool { return ours(f) || slices.Contains(sure, f) })
		fields := quoted(sure)
		if len(maybe) > 0 {
			if fields != "" {
				fields += ", "
			}
			fields += "maybe " + quoted(maybe)
		}
		fmt.Fprintf(&rows, "| `%s` | %s | %s |\n", name, e.Description, fields)
	}
	if want := "| event | what it is | fields |\n|---|---|---|\n" + rows.String() + "\n"; !strings.Contains(string(readme), want) {
		t.Errorf("README.md has another table of events than\n%s", want)
	}
}

func quoted(names []string) string {
	var all []string
	for _, n := range names {
		all = append(all, "`"+n+"`")
	}
	return strings.Join(all, ", ")
}
