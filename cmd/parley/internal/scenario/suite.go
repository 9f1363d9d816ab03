package scenario

import (
	"embed"
	"io/fs"
)

//go:embed suite/*.scenario playback.scenario
var files embed.FS

// Playback are the scenarios of what is published by WHIP and played by WHEP. They share a call and
// are in no suite.
func Playback() ([]Scenario, error) {
	const name = "playback.scenario"
	text, err := files.ReadFile(name)
	if err != nil {
		return nil, err
	}
	all, err := Parse(name, string(text))
	for i := range all {
		all[i].Suites = []string{"playback"}
	}
	return all, err
}

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
