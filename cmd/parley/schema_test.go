package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// compiled are the schemas, ready to check with.
var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	all := map[string]*jsonschema.Schema{}
	for _, name := range []string{"event", "command"} {
		text, err := schemaOf(name)
		if err != nil {
			return nil, err
		}
		document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			return nil, err
		}
		c := jsonschema.NewCompiler()
		c.AssertFormat()
		if err := c.AddResource(name+".json", document); err != nil {
			return nil, err
		}
		if all[name], err = c.Compile(name + ".json"); err != nil {
			return nil, err
		}
	}
	return all, nil
})

// obeysSchema checks a JSON value by the schema of "event" or "command". It is
// used on every event that a test reads.
func obeysSchema(name, text string) error {
	all, err := compiled()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	if err := all[name].Validate(value); err != nil {
		return fmt.Errorf("this is not as schema/%s.json has it (a new %s is added there too): %w\n%s", name, name, err, text)
	}
	return nil
}

// What the schema of commands takes is what the program takes, and the other
// way round.
func TestCommandsAndTheirSchemaAgree(t *testing.T) {
	members := map[string]string{"text": `"hi"`, "kind": `"video"`, "source": `"test"`}
	for name := range commandMembers() {
		for _, with := range subsets([]string{"text", "kind", "source"}) {
			line := fmt.Sprintf(`{"id":1,"command":%q`, name)
			for _, m := range with {
				line += fmt.Sprintf(`,%q:%s`, m, members[m])
			}
			agree(t, line+"}")
		}
	}
	for _, line := range []string{
		`{"command":"hold"}`, `{"command":"hold","peer":"bob"}`, `{"id":"a","command":"hold"}`, `{"id":-1.5,"command":"hold"}`,
		`{"id":{},"command":"hold"}`, `{"id":true,"command":"hold"}`, `{"id":[1],"command":"hold"}`, `{"id":1}`, `{}`, `[]`, `"hold"`, `7`,
		`{"command":"dance"}`, `{"command":"hold","colour":"red"}`, `{"command":7}`, `{"command":"mute","kind":"smell"}`,
		`{"command":"say","text":""}`, `{"command":"say","text":7}`,
	} {
		agree(t, line)
	}
}

func agree(t *testing.T, line string) {
	t.Helper()
	_, err := parseCommand([]byte(line))
	bySchema := obeysSchema("command", line)
	if (err == nil) != (bySchema == nil) {
		t.Errorf("%s: the program says %v, the schema says %v", line, err, bySchema)
	}
}

func subsets(of []string) [][]string {
	all := [][]string{nil}
	for _, s := range of {
		for _, set := range slices.Clone(all) {
			all = append(all, append(slices.Clone(set), s))
		}
	}
	return all
}

// The schema of events refuses what is wrong.
func TestEventSchemaRefuses(t *testing.T) {
	const good = `{"time":"2026-11-20T22:47:26.376Z","event":"text","peer":"a","label":"l","direction":"in","text":"t"}`
	if err := obeysSchema("event", good); err != nil {
		t.Fatal(err)
	}
	for old, wrong := range map[string]string{
		`"event":"text"`: `"event":"txt"`, `"direction":"in"`: `"direction":"up"`, `"text":"t"`: `"text":7`,
		`,"label":"l"`: ``, `2026-11-20T22:47:26.376Z`: `yesterday`,
	} {
		bad := strings.Replace(good, old, wrong, 1)
		if !json.Valid([]byte(bad)) || bad == good {
			t.Fatal(bad)
		}
		if obeysSchema("event", bad) == nil {
			t.Errorf("the schema takes %s", bad)
		}
	}
	for _, object := range []string{`{"id":"x","type":"outbound-rtp","timestamp":1}`, `{"id":"x","type":"nonsense","timestamp":1}`,
		`{"id":"x","type":"candidate-pair","timestamp":1,"localCandidateId":"l","remoteCandidateId":"r","state":"s","nominated":true,"currentRoundTripTime":0}`} {
		line := `{"time":"2026-11-20T22:47:26.376Z","event":"stats","peer":"a","tracks":[],"channels":[],"report":[` + object + `]}`
		if obeysSchema("event", line) == nil {
			t.Errorf("the schema takes %s", line)
		}
	}
}
