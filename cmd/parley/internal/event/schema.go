package event

import (
	"embed"
	"fmt"
	"strings"
)

// schemas are the JSON Schemas (2020-12) of --output ndjson, of --input ndjson, and of the program
// of --signaling.
//
//go:embed schema/event.json schema/command.json schema/adapter.json
var schemas embed.FS

// Schema returns the JSON Schema named "event", "command" or "adapter".
func Schema(name string) (string, error) {
	text, err := schemas.ReadFile("schema/" + name + ".json")
	if err != nil || strings.Contains(name, "/") {
		return "", fmt.Errorf("invalid schema %q: want event, command or adapter", name)
	}
	return string(text), nil
}
