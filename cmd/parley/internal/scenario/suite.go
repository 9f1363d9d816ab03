package scenario

import (
	"embed"
	"io/fs"
)

//go:embed suite/*.scenario
var files embed.FS

// Builtin are the scenarios of the suites that are built in.
func Builtin() ([]Scenario, error) {
	var all []Scenario
	names, err := fs.Glob(files, "suite/*.scenario")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		some, err := Parse(name, string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}
