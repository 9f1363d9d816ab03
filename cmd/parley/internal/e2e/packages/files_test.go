//go:build !quick

package packages

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v3"
	"go.yaml.in/yaml/v3"

	"parley/cmd/parley/internal/cli"
	"parley/cmd/parley/internal/stdio"
)

const root = "../../../../.."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestUnits checks that systemd reads the units, and how exposed they are.
func TestUnits(t *testing.T) {
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"parley-serve.socket", "parley-serve.service", "parley-answer@.service"} {
		unit := strings.Replace(name, "@.", "@bob.", 1)
		text := strings.ReplaceAll(read(t, "packaging/systemd/"+name), "/usr/bin/parley", "/bin/true")
		if err := os.WriteFile(filepath.Join(dir, unit), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		units = append(units, filepath.Join(dir, unit))
	}
	verify := exec.Command("systemd-analyze", append([]string{"verify", "--man=false", "--recursive-errors=no"}, units...)...)
	if out, err := verify.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	for _, unit := range units[1:] {
		out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit).CombinedOutput()
		found := regexp.MustCompile(`Overall exposure level for \S+: (\d+\.\d) `).FindSubmatch(out)
		if err != nil || found == nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
			continue
		}
		if exposure, err := strconv.ParseFloat(string(found[1]), 64); err != nil || exposure > 2 {
			t.Errorf("%s has an exposure of %s, more than 2.0", unit, found[1])
		}
	}
}

// compose is what the tests read of compose.yaml.
type compose struct {
	Services map[string]struct {
		Image       string
		Build       string
		Command     []string
		Environment map[string]string
		Profiles    []string
		Healthcheck struct{ Test []string }
		DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	}
}

// TestCompose checks that compose.yaml has a server, TURN, NATS and three nodes, and only
// commands, flags and variables that parley has.
func TestCompose(t *testing.T) {
	var c compose
	if err := yaml.Unmarshal([]byte(read(t, "compose.yaml")), &c); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(c.Services)), []string{"nats", "node1", "node2", "node3", "server", "turn"}; !slices.Equal(got, want) {
		t.Errorf("got services %q, want %q", got, want)
	}
	for name, s := range c.Services {
		for other := range s.DependsOn {
			if _, ok := c.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is no service", name, other)
			}
		}
		if s.Image != "parley" {
			continue
		}
		if s.Build != "." {
			t.Errorf("%s is built from %q", name, s.Build)
		}
		checkCommand(t, s.Command)
		if len(s.Healthcheck.Test) > 0 {
			checkCommand(t, s.Healthcheck.Test[2:])
		}
		for variable := range s.Environment {
			checkVariable(t, "compose.yaml", variable)
		}
	}
}

// TestVariables checks the variables of the files with options of the services, also of those
// that are comments.
func TestVariables(t *testing.T) {
	for _, name := range []string{"packaging/systemd/serve.env", "packaging/systemd/answer.env", "packaging/systemd/parley-serve.service", "Dockerfile"} {
		variables := regexp.MustCompile(`(?m)^(?:#|ENV |Environment=)?(PARLEY_\w+)=`).FindAllStringSubmatch(read(t, name), -1)
		if len(variables) == 0 {
			t.Errorf("%s has no variables", name)
		}
		for _, v := range variables {
			checkVariable(t, name, v[1])
		}
	}
}

// checkCommand checks that parley has the command and its flags.
func checkCommand(t *testing.T, words []string) {
	t.Helper()
	command := cli.Root(stdio.Streams{}).Command(words[0])
	if command == nil {
		t.Errorf("parley has no command %q", words[0])
		return
	}
	for _, word := range words[1:] {
		flag, ok := strings.CutPrefix(word, "--")
		if ok && !slices.ContainsFunc(command.Flags, func(f urfave.Flag) bool { return slices.Contains(f.Names(), flag) }) {
			t.Errorf("parley %s has no flag --%s", words[0], flag)
		}
	}
}

// checkVariable checks that a flag has this environment variable.
func checkVariable(t *testing.T, file, variable string) {
	t.Helper()
	for _, c := range cli.Root(stdio.Streams{}).Commands {
		for _, f := range c.Flags {
			if d, ok := f.(urfave.DocGenerationFlag); ok && slices.Contains(d.GetEnvVars(), variable) {
				return
			}
		}
	}
	t.Errorf("%s: no flag has the variable %s", file, variable)
}

// TestRelease checks that the files exist that the release consists of.
func TestRelease(t *testing.T) {
	text := read(t, ".goreleaser.yaml")
	var config map[string]any
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	sources := regexp.MustCompile(`(?:src|postinstall|preremove|postremove): ([\w@./*-]+)`).FindAllStringSubmatch(text, -1)
	for _, source := range sources {
		if found, err := filepath.Glob(filepath.Join(root, source[1])); !strings.HasPrefix(source[1], "out/") && (err != nil || len(found) == 0) {
			t.Errorf("%s does not exist: %v", source[1], err)
		}
	}
	if len(sources) < 10 {
		t.Errorf("got %d files: %q", len(sources), sources)
	}
}
