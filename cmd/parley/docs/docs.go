// Package docs holds the topics that "parley help TOPIC" prints.
package docs

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.md
var files embed.FS

// Topics returns the names of the topics, in alphabetical order.
func Topics() []string {
	entries, _ := fs.ReadDir(files, ".") // never fails for the root of an embedded file system
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".md"))
	}
	return names
}

// Text returns the Markdown text of a topic, and false if there is none of this name.
func Text(topic string) (string, bool) {
	text, err := files.ReadFile(topic + ".md")
	return string(text), err == nil
}
