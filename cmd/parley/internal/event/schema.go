package event

import (
	"embed"
	"fmt"
	"strings"
)

// schemas are the JSON Schemas (2020-12) of --output ndjson and of --input ndjson.
//
//go:embed schema/event.json schema/command.json
var schemas embed.FS

// Schema returns the JSON Schema named "event" or "command".
func Schema(name string) (string, error) {
	text, err := schemas.ReadFile("schema/" + name + ".json")
	if err != nil || strings.Contains(name, "/") {
		return "", fmt.Errorf("invalid schema %q: want event or command", name)
	}
	return string(text), nil
}
