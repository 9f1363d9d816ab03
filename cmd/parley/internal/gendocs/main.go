// Command gendocs writes the man pages and completion scripts of parley into a folder.
//
//	go run ./cmd/parley/internal/gendocs -version 1.0.0 -date 2026-11-29 DIR
//
// The folder then has man/man1 with a page for each command, man/man7 with one for each topic, and
// completions with a script for each shell.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	urfave "github.com/urfave/cli/v3"

	"parley/cmd/parley/docs"
	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
)

func main() {
	var e edition
	flag.StringVar(&e.version, "version", "", "version in the footer of the man pages")
	flag.StringVar(&e.date, "date", "", "date in the footer of the man pages, as 2006-01-02")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: gendocs [-version VERSION] [-date DATE] DIR")
		os.Exit(int(exit.Usage))
	}
	if err := generate(context.Background(), flag.Arg(0), e); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(int(exit.Failure))
	}
}

// generate writes all files below a folder.
func generate(ctx context.Context, dir string, e edition) error {
	files, err := completions(ctx)
	if err != nil {
		return err
	}
	root, err := commandTree(ctx)
	if err != nil {
		return err
	}
	files["man/man1/parley.1"] = e.programPage(root)
	for _, c := range root.Commands {
		files["man/man1/parley-"+c.Name+".1"] = e.commandPage(c)
	}
	for _, t := range docs.Topics() {
		files["man/man7/parley-"+t.Name+".7"] = e.topicPage(t)
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// commandTree returns the root of all commands. The library adds the command completion when one
// runs.
func commandTree(ctx context.Context) (*urfave.Command, error) {
	var out bytes.Buffer
	root := cli.Root(stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &out})
	return root, root.Run(ctx, []string{"parley", "version"})
}

// completions returns the completion scripts by the names that their shells expect.
func completions(ctx context.Context) (map[string]string, error) {
	files := map[string]string{}
	for shell, name := range map[string]string{"bash": "parley.bash", "zsh": "_parley", "fish": "parley.fish", "pwsh": "parley.ps1"} {
		var out, errs bytes.Buffer
		std := stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}
		if code := cli.Run(ctx, std, []string{"parley", "completion", shell}); code != exit.OK {
			return nil, fmt.Errorf("parley completion %s: exit code %d: %s", shell, code, errs.String())
		}
		files["completions/"+name] = out.String()
	}
	return files, nil
}
