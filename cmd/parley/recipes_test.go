package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"go.yaml.in/yaml/v3"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/stdio"
)

// recipe is the block of README in a language.
func recipe(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)\n```" + language + "\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatalf("README.md has no block of %s", language)
	}
	return string(block[1])
}

// TestWorkflowRecipe: the workflow is YAML with steps, each of which uses an action or runs what a shell reads, with
// commands and flags that parley has.
func TestWorkflowRecipe(t *testing.T) {
	var workflow struct {
		On   any
		Jobs map[string]struct {
			RunsOn string `yaml:"runs-on"`
			Steps  []struct {
				Uses, Run, If string
				With          map[string]string
			}
		}
	}
	d := yaml.NewDecoder(strings.NewReader(recipe(t, "yaml")))
	d.KnownFields(true)
	if err := d.Decode(&workflow); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for name, job := range workflow.Jobs {
		if job.RunsOn == "" || len(job.Steps) == 0 {
			t.Errorf("the job %s runs nowhere, or nothing", name)
		}
		for _, step := range job.Steps {
			if (step.Uses == "") == (step.Run == "") {
				t.Errorf("a step uses an action or runs a command, not both: %+v", step)
			}
			ran += checkShell(t, step.Run)
		}
	}
	if workflow.On == nil || ran < 2 {
		t.Errorf("it runs on %v, with %d commands of parley", workflow.On, ran)
	}
}

// TestContainerRecipe: each line of the Dockerfile is an instruction, stages are copied from that there are, and what it
// runs is read by a shell, with a package of ours and commands that parley has.
func TestContainerRecipe(t *testing.T) {
	file, err := parser.Parse(strings.NewReader(recipe(t, "dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	var stages []string
	built, entry := false, false
	for _, n := range file.AST.Children {
		arguments := values(n.Next)
		switch strings.ToUpper(n.Value) {
		case "FROM":
			if len(arguments) == 3 && strings.EqualFold(arguments[1], "as") {
				stages = append(stages, arguments[2])
			}
		case "RUN":
			checkShell(t, strings.Join(arguments, " "))
			built = built || strings.Contains(n.Original, "go build") && strings.Contains(n.Original, "./cmd/parley")
		case "COPY":
			for _, flag := range n.Flags {
				if from, ok := strings.CutPrefix(flag, "--from="); ok && !slices.Contains(stages, from) {
					t.Errorf("there is no stage %s", from)
				}
			}
		case "ENTRYPOINT":
			entry = len(arguments) > 0 && arguments[0] == "parley"
		case "WORKDIR", "EXPOSE", "CMD":
		default:
			t.Errorf("line %d: no instruction %q", n.StartLine, n.Value)
		}
	}
	if !built || !entry {
		t.Errorf("it builds parley: %v, and runs it: %v", built, entry)
	}
}

func values(n *parser.Node) (all []string) {
	for ; n != nil; n = n.Next {
		all = append(all, n.Value)
	}
	return all
}

var commandForm = regexp.MustCompile(`(?m)(?:^|[&|;] *)\s*parley ([a-z]+)([^|;&>]*)`)

// checkShell checks that a shell can read a script, and that parley has the commands and flags in it; it returns how many
// commands there are.
func checkShell(t *testing.T, script string) int {
	t.Helper()
	cmd := exec.Command("bash", "-n")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", script, err, out)
	}
	commands := commandForm.FindAllStringSubmatch(script, -1)
	for _, c := range commands {
		var out, said bytes.Buffer
		if code := run(context.Background(), stdio.Streams{In: strings.NewReader(""), Out: &out, Err: &said}, []string{"parley", c[1], "--help"}); code != exit.OK || !strings.Contains(out.String(), "parley "+c[1]) {
			t.Errorf("there is no parley %s", c[1])
		}
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(c[2], -1) {
			if !regexp.MustCompile(flag + `\b`).MatchString(out.String()) {
				t.Errorf("parley %s has no %s", c[1], flag)
			}
		}
	}
	return len(commands)
}
