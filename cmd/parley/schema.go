package main

import (
	"embed"
	"strings"
)

// schemas are the JSON Schemas (2020-12) of what --output ndjson writes and
// --input ndjson reads. The tests check every event and command by them.
//
//go:embed schema/event.json schema/command.json
var schemas embed.FS

// schemaOf is the schema of "event" or "command".
func schemaOf(name string) (string, error) {
	text, err := schemas.ReadFile("schema/" + name + ".json")
	if err != nil || strings.Contains(name, "/") {
		return "", usagef("--schema %q: it is event or command", printable(name))
	}
	return string(text), nil
}
