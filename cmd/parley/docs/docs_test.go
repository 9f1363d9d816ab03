package docs

import (
	"cmp"
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const root = "../../.."

// pages returns the README, the CHANGELOG and all topics by their paths from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"README.md", "CHANGELOG.md"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(text)
	}
	for _, topic := range Topics() {
		all["cmd/parley/docs/"+topic.Name+".md"] = topic.Text
	}
	return all
}

// TestLength checks that nobody has to read more than a few screens at once.
func TestLength(t *testing.T) {
	for name, text := range pages(t) {
		most := 200
		switch name {
		case "README.md":
			most = 150
		case "CHANGELOG.md":
			most = 59
		}
		if n := strings.Count(text, "\n"); n > most {
			t.Errorf("%s has %d lines, more than %d", name, n, most)
		}
	}
}

// TestTopics checks the heading that Topics reads, and that the README links each topic with its
// summary.
func TestTopics(t *testing.T) {
	readme := pages(t)["README.md"]
	for _, topic := range Topics() {
		if !regexp.MustCompile(`^# [A-Z][a-z]+: [^\n]+[^.\n]\n\n`).MatchString(topic.Text) {
			t.Errorf("%s does not begin with a heading of the form \"# Name: summary\"", topic.Name)
		}
		if row := "| [" + topic.Name + "](cmd/parley/docs/" + topic.Name + ".md) | " + topic.Summary + " |\n"; !strings.Contains(readme, row) {
			t.Errorf("the README lacks %s", row)
		}
		if text, ok := Text(topic.Name); !ok || text != topic.Text || !strings.Contains(List(), "   "+topic.Name+" ") {
			t.Errorf("%s is not found by its name", topic.Name)
		}
	}
	if _, ok := Text("no-topic"); ok || len(Topics()) < 15 {
		t.Errorf("%d topics: %s", len(Topics()), Names())
	}
}

// TestLinks checks that the files and headings exist that pages link to.
func TestLinks(t *testing.T) {
	for name, text := range pages(t) {
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			file, heading, _ := strings.Cut(link[1], "#")
			path := filepath.Join(root, filepath.Dir(name), cmp.Or(file, filepath.Base(name)))
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s links to %s, which does not exist", name, link[1])
			}
			if page, _ := os.ReadFile(path); heading != "" && !slices.Contains(anchors(string(page)), heading) {
				t.Errorf("%s links to %s, which has no such heading", name, link[1])
			}
		}
	}
}

// anchors returns the fragments by which headings of a page are linked.
func anchors(page string) (all []string) {
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		words := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(h[1]), "")
		all = append(all, strings.ReplaceAll(words, " ", "-"))
	}
	return all
}

// replaced matches words that stand for others in standards, and a sentence that begins with "It
// is".
var replaced = regexp.MustCompile(`(?i:\b(pictures?|sounds?|tells?|told|whoever|wish(es)?|the other side)\b)|(?m:^|[.:?!"] |[*|#/"]\s?)It is\b`)

// TestWording checks that pages use the words of the standards, outside of transcripts and reports
// of programs.
func TestWording(t *testing.T) {
	quoted := regexp.MustCompile("(?s)```(console|text)\n.*?```|`[^`\n]*`|\n    [^\n]*")
	for name, text := range pages(t) {
		found := replaced.FindAllString(quoted.ReplaceAllString(text, ""), -1)
		slices.Sort(found)
		if len(found) > 0 {
			t.Errorf("%s has %q", name, slices.Compact(found))
		}
	}
}

// TestWordingOfSources checks the same in code, help, messages, schemas, scenarios and tests. The
// names of standards may contain the words: IDR picture and picture size (H.264, VP9), picture ID
// (RFC 7741), picture-in-picture (W3C).
func TestWordingOfSources(t *testing.T) {
	standard := regexp.MustCompile(`(?i)IDR picture|luma picture size|picture ID\b|picture-in-picture`)
	text := regexp.MustCompile(`\.(go|js|html|css|py|sh|md|txtar|scenario)$|/schema/\w+\.json$|(^|/)Makefile$`)
	foreign := regexp.MustCompile(`(^|/)(out|node_modules|third_party|original|uqr\.js|docs_test\.go)(/|$)`)
	files := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch name = filepath.ToSlash(name); {
		case err != nil || e.IsDir() && (foreign.MatchString(name) || strings.HasPrefix(e.Name(), ".") && name != "."):
			return cmp.Or(err, fs.SkipDir)
		case e.IsDir() || foreign.MatchString(name) || !text.MatchString(name):
			return nil
		}
		files++
		source, err := os.ReadFile(path)
		for i, line := range strings.Split(string(source), "\n") {
			if found := replaced.FindAllString(standard.ReplaceAllString(line, ""), -1); len(found) > 0 {
				t.Errorf("%s:%d has %q", name, i+1, found)
			}
		}
		return err
	})
	if err != nil || files < 500 {
		t.Errorf("got %d files, %v", files, err)
	}
}

// TestCommentColumns checks that lines of comments in Go have at most 100 columns, with tabs of 4
// columns. Tables and code in them may be longer.
func TestCommentColumns(t *testing.T) {
	files := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && (e.Name() == "third_party" || e.Name() == "node_modules" || e.Name() == "out") {
			return cmp.Or(err, fs.SkipDir)
		}
		if e.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		source, err := os.ReadFile(path)
		lines := strings.Split(string(source), "\n")
		for _, group := range file.Comments {
			for _, c := range group.List {
				number := set.Position(c.Pos()).Line
				line := lines[number-1]
				text, alone := strings.CutPrefix(strings.TrimLeft(line, "\t "), "// ")
				if width := utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")); alone && width > 100 && !strings.HasPrefix(text, " ") {
					name, _ := filepath.Rel(root, path)
					t.Errorf("%s:%d: the comment has %d columns", name, number, width)
				}
			}
		}
		return err
	})
	if err != nil || files < 500 {
		t.Errorf("got %d files, %v", files, err)
	}
}

// TestArchitecture checks that the packages, files and functions exist that the topic architecture
// names.
func TestArchitecture(t *testing.T) {
	text, _ := Text("architecture")
	code := regexp.MustCompile("(?s)```text\n.*?```").ReplaceAllString(text, "")
	functions := map[string]bool{}
	for _, dir := range []string{"peer", "media", "signal", "cmd"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			for _, f := range regexp.MustCompile(`(?m)^func (?:\([^)]*\) )?(\w+)[(\[]|^type (\w+) `).FindAllStringSubmatch(string(source), -1) {
				functions[f[1]+f[2]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, token := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(code, -1) {
		name := token[1]
		switch {
		case regexp.MustCompile(`^(cmd|peer|media|signal)(/[A-Za-z_./-]+)?$`).MatchString(name):
			if strings.Contains(name, "NAME") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, name)); err != nil {
				t.Errorf("%s does not exist", name)
			}
		case regexp.MustCompile(`^\w+\(\)$|^[A-Z]\w+$|^(Call|Receiver|Source|source|receiver|localtrack|client|device|media|session\.expect)\.[A-Z]\w+$`).MatchString(name) && name != "NAME":
			parts := strings.Split(strings.TrimSuffix(name, "()"), ".")
			if last := parts[len(parts)-1]; !functions[last] && last != "Run" {
				t.Errorf("no function or type %s", name)
			}
		}
	}
}

// TestNamesOfTests checks that the tests exist that pages name.
func TestNamesOfTests(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && (e.Name() == "node_modules" || e.Name() == "out") {
			return cmp.Or(err, fs.SkipDir)
		}
		if e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		for _, f := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			tests[f[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range pages(t) {
		for _, test := range regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(text, -1) {
			if !tests[test] {
				t.Errorf("%s names %s, which does not exist", name, test)
			}
		}
	}
}

// TestTargets checks that the targets of the Makefile exist that pages and its comments name, and
// that none of them is a file.
func TestTargets(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets, phony := map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(string(makefile), -1) {
		targets[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`(?m)^\.PHONY: (.*)$`).FindAllStringSubmatch(string(makefile), -1) {
		for _, name := range strings.Fields(m[1]) {
			phony[name] = true
		}
	}
	for name := range targets {
		if !phony[name] {
			t.Errorf("the Makefile lacks %s in .PHONY", name)
		}
	}
	named := regexp.MustCompile("(?:`|(?m:^    |^# |: ))make ([a-z][a-z-]*)|`((?:bench|cluster)-[a-z]+)`")
	all := pages(t)
	all["Makefile"] = string(makefile)
	for page, text := range all {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if name := cmp.Or(m[1], m[2]); !targets[name] {
				t.Errorf("%s names the target %s, which does not exist", page, name)
			}
		}
	}
}
