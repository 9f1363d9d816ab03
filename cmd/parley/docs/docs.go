// Package docs holds the topics that "parley help TOPIC" prints.
package docs

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed *.md
var files embed.FS

// A Topic is a page of documentation.
type Topic struct {
	Name    string
	Summary string // one line, without a full stop
	Text    string // Markdown
}

// Topics returns all topics in alphabetical order of their names.
func Topics() []Topic {
	entries, _ := fs.ReadDir(files, ".") // never fails for the root of an embedded file system
	var topics []Topic
	for _, e := range entries {
		text, _ := files.ReadFile(e.Name())
		heading, _, _ := strings.Cut(string(text), "\n")
		_, summary, _ := strings.Cut(heading, ": ")
		topics = append(topics, Topic{strings.TrimSuffix(e.Name(), ".md"), summary, string(text)})
	}
	return topics
}

// Text returns the Markdown text of a topic, and false if there is none of this name.
func Text(name string) (string, bool) {
	for _, t := range Topics() {
		if t.Name == name {
			return t.Text, true
		}
	}
	return "", false
}

// List returns a line for each topic: its name and its summary, indented by three columns.
func List() string {
	var b strings.Builder
	for _, t := range Topics() {
		fmt.Fprintf(&b, "   %-14s %s\n", t.Name, t.Summary)
	}
	return b.String()
}

// Names returns the names of the topics, separated by commas.
func Names() string {
	var names []string
	for _, t := range Topics() {
		names = append(names, t.Name)
	}
	return strings.Join(names, ", ")
}
