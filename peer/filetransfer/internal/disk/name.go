package disk

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unicode/utf8"
)

const (
	maxName  = 4096 // bytes of a name
	maxPart  = 255  // bytes of a part of a name, the limit of most file systems
	maxDepth = 100
)

// CheckName returns an error if an entry of this name cannot be stored on this system.
func CheckName(name string) error { return checkNameFor(name, runtime.GOOS == "windows") }

func checkNameFor(name string, windows bool) error {
	switch {
	case name == "":
		return errors.New("name is empty")
	case len(name) > maxName:
		return fmt.Errorf("name is too long: got %d bytes, want at most %d", len(name), maxName)
	case !utf8.ValidString(name):
		return errors.New("name is not UTF-8")
	case strings.Count(name, "/") >= maxDepth:
		return fmt.Errorf("name is more than %d folders deep", maxDepth)
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
		return errors.New("name leads out of the folder")
	case len(part) > maxPart:
		return fmt.Errorf("part of the name is too long: got %d bytes, want at most %d", len(part), maxPart)
	case strings.HasSuffix(strings.ToLower(part), PartialSuffix):
		return fmt.Errorf("name ends in %s, which marks partial files", PartialSuffix)
	}
	for _, r := range part {
		if r < 0x20 || r == 0x7f {
			return errors.New("name contains control characters")
		}
	}
	if windows {
		return checkWindowsPart(part)
	}
	return nil
}

// checkWindowsPart rejects names that Windows reserves:
// https://learn.microsoft.com/windows/win32/fileio/naming-a-file
func checkWindowsPart(part string) error {
	if strings.ContainsAny(part, `<>:"\|?*`) {
		return errors.New(`name contains one of < > : " \ | ? *, which Windows reserves`)
	}
	if strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") {
		return errors.New("name ends in a dot or space, which Windows removes")
	}
	base, _, _ := strings.Cut(part, ".")
	switch base = strings.ToUpper(strings.TrimRight(base, " ")); base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return errors.New("name is that of a Windows device")
	}
	number, isPort := strings.CutPrefix(base, "COM")
	if !isPort {
		number, isPort = strings.CutPrefix(base, "LPT")
	}
	if isPort && strings.Contains("0123456789¹²³", number) && utf8.RuneCountInString(number) == 1 {
		return errors.New("name is that of a Windows device")
	}
	return nil
}
