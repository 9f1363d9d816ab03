// Package eventtest validates events, commands and messages of tests against their JSON Schemas.
package eventtest

import (
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"parley/cmd/parley/internal/event"
)

var compiled = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	all := map[string]*jsonschema.Schema{}
	for _, name := range []string{"event", "command", "adapter"} {
		text, err := event.Schema(name)
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

// Validate checks a JSON text against the schema "event", "command" or "adapter".
func Validate(name, text string) error {
	all, err := compiled()
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	if err := all[name].Validate(value); err != nil {
		return fmt.Errorf("invalid by schema/%s.json (add a new %s there): %w\n%s", name, name, err, text)
	}
	return nil
}
