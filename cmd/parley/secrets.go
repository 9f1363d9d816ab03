package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/net/http/httpguts"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
)

// maxSecretFile bounds a file with a token, a secret or headers, in bytes.
const maxSecretFile = 64 << 10

// readSecretFile returns the content of a file without the white space around it.
func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	content = bytes.TrimSpace(content)
	switch {
	case err != nil:
		return "", err
	case len(content) > maxSecretFile:
		return "", fmt.Errorf("%s: got more than %d bytes", sanitize.Text(path), maxSecretFile)
	case len(content) == 0:
		return "", fmt.Errorf("%s is empty", sanitize.Text(path))
	}
	return string(content), nil
}

// secretFlag returns the value of a flag, or the content of the file that the flag with -file names.
func secretFlag(cmd *cli.Command, name string) (string, error) {
	value, file := cmd.String(name), cmd.String(name+"-file")
	switch {
	case file == "":
		return value, nil
	case value != "":
		return "", exit.Usagef("--%s and --%s-file: give one of them, not both", name, name)
	}
	value, err := readSecretFile(file)
	if err != nil {
		return "", exit.Errorf(exit.Device, "--%s-file: %w", name, err)
	}
	return value, nil
}

// tokenSource returns a function that returns the token of --token or --token-file, whose file it reads every time.
func tokenSource(cmd *cli.Command) (func() (string, error), error) {
	token, err := secretFlag(cmd, "token")
	if err != nil {
		return nil, err
	}
	if file := cmd.String("token-file"); file != "" {
		return func() (string, error) { return readSecretFile(file) }, nil
	}
	return func() (string, error) { return token, nil }, nil
}

// expandFiles replaces each value @FILE of a repeatable flag by the lines of the file.
func expandFiles(flag string, values []string) ([]string, error) {
	var expanded []string
	for _, value := range values {
		file, ok := strings.CutPrefix(value, "@")
		if !ok {
			expanded = append(expanded, value)
			continue
		}
		content, err := readSecretFile(file)
		if err != nil {
			return nil, exit.Errorf(exit.Device, "--%s: %w", flag, err)
		}
		for line := range strings.Lines(content) {
			if line = strings.TrimSpace(line); line != "" {
				expanded = append(expanded, line)
			}
		}
	}
	return expanded, nil
}

// parseHeaders parses the values of a flag: 'NAME: VALUE', or @FILE. Errors do not show values, which may be secrets.
func parseHeaders(flag string, values []string) (http.Header, error) {
	lines, err := expandFiles(flag, values)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, exit.Usagef("invalid --%s: want 'NAME: VALUE'", flag)
		}
		header.Add(name, value)
	}
	return header, nil
}
