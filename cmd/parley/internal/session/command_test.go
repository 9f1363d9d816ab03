package session

import (
	"fmt"
	"slices"
	"testing"

	"parley/cmd/parley/internal/event/eventtest"
)

// The schema of commands and the parser take the same lines.
func TestCommandsAndTheirSchemaAgree(t *testing.T) {
	members := map[string]string{"text": `"hi"`, "kind": `"video"`, "source": `"test"`}
	for name := range CommandMembers() {
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
	_, err := ParseCommand([]byte(line))
	bySchema := eventtest.Validate("command", line)
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
