package files

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"
	"unicode/utf8"
)

const (
	maxName  = 4096 // bytes of a whole name
	maxPart  = 255  // bytes of one part of it, which is what file systems allow
	maxDepth = 100

	partSuffix = ".parley-part"
)

// checkName tells what is wrong with the name of an entry.
func checkName(name string) error { return checkNameFor(name, runtime.GOOS == "windows") }

func checkNameFor(name string, windows bool) error {
	switch {
	case name == "":
		return errors.New("it is empty")
	case len(name) > maxName:
		return fmt.Errorf("it has %d bytes, at most %d are allowed", len(name), maxName)
	case !utf8.ValidString(name):
		return errors.New("it is no UTF-8")
	case strings.Count(name, "/") >= maxDepth:
		return fmt.Errorf("it is more than %d folders deep", maxDepth)
	}
	for part := range strings.SplitSeq(name, "/") {
		if err := checkPart(part, windows); err != nil {
			return err
		}
	}
	return nil
}

func checkPart(part string, windows bool) error {
	switch {
	case part == "", part == ".", part == "..":
		return errors.New("it leads out of the folder")
	case len(part) > maxPart:
		return fmt.Errorf("a part of it has %d bytes, at most %d are allowed", len(part), maxPart)
	case strings.HasSuffix(strings.ToLower(part), partSuffix):
		return errors.New("it ends as files do that are under way")
	}
	for _, r := range part {
		if r < 0x20 || r == 0x7f {
			return errors.New("it has control characters")
		}
	}
	if windows {
		return checkWindowsPart(part)
	}
	return nil
}

// checkWindowsPart refuses what Windows takes for something else than a file:
// https://learn.microsoft.com/windows/win32/fileio/naming-a-file
func checkWindowsPart(part string) error {
	if strings.ContainsAny(part, `<>:"\|?*`) {
		return errors.New(`it has one of < > : " \ | ? *, which Windows keeps for itself`)
	}
	if strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") {
		return errors.New("it ends with a dot or a space, which Windows removes")
	}
	base, _, _ := strings.Cut(part, ".")
	switch base = strings.ToUpper(strings.TrimRight(base, " ")); base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return errors.New("it is the name of a device")
	}
	number, isPort := strings.CutPrefix(base, "COM")
	if !isPort {
		number, isPort = strings.CutPrefix(base, "LPT")
	}
	if isPort && strings.Contains("0123456789¹²³", number) && utf8.RuneCountInString(number) == 1 {
		return errors.New("it is the name of a device")
	}
	return nil
}

// check looks at the names of all entries, each on its own and together.
func (o *Offer) check() error {
	seen := make(map[string]bool, len(o.Entries)) // name: is a folder
	for i := range o.Entries {
		e := &o.Entries[i]
		if err := checkName(e.Name); err != nil {
			return &Refused{Code: CodeName, Reason: fmt.Sprintf("the name %q is not taken: %v", cut(e.Name, 100), err)}
		}
		if _, twice := seen[e.Name]; twice {
			return &Refused{Code: CodeName, Reason: fmt.Sprintf("the name %q is there twice", cut(e.Name, 100))}
		}
		seen[e.Name] = e.Dir
	}
	for name := range seen {
		for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
			if isDir, ok := seen[parent]; ok && !isDir {
				return &Refused{Code: CodeName, Reason: fmt.Sprintf("the name %q is a file, and a folder too", cut(parent, 100))}
			}
		}
	}
	return nil
}
