//go:build !quick

package packages

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"parley/cmd/parley/internal/e2e/e2etest"
)

const workflowFile = "packaging/github/parley.yml"

// workflow is what the tests read of a workflow of GitHub.
type workflow struct {
	On struct {
		WorkflowCall struct {
			Inputs map[string]struct{ Default any }
		} `yaml:"workflow_call"`
	}
	Jobs map[string]struct {
		Env   map[string]string
		Steps []struct {
			Name, If, Uses, Run string
			Env, With           map[string]string
		}
	}
}

// TestWorkflowSyntax checks the workflow, and the example of the topic testing that calls it, with
// actionlint.
func TestWorkflowSyntax(t *testing.T) {
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(read(t, "cmd/parley/docs/testing.md"))
	if example == nil {
		t.Fatal("the topic testing has no example")
	}
	for _, test := range []struct{ name, old, new, want string }{
		{"as it is", "", "", ""},
		{"another input", "inputs.version", "inputs.versoin", `"versoin"`},
		{"an unknown one in the example", "      peer: answer", "      pear: answer", `"pear"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			repository := t.TempDir()
			folder := filepath.Join(repository, ".github", "workflows")
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			var files []string
			for name, text := range map[string]string{"parley.yml": read(t, workflowFile), "tests.yml": "on: push\n" + example[1]} {
				files = append(files, filepath.Join(folder, name))
				if err := os.WriteFile(files[len(files)-1], []byte(strings.ReplaceAll(text, cmp.Or(test.old, "\x00"), test.new)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			run := exec.Command("go", append([]string{"-C", filepath.Join(root, "packaging"), "tool", "actionlint"}, files...)...)
			if out, err := exec.Command("git", "init", "-q", repository).CombinedOutput(); err != nil {
				t.Fatalf("git init: %v\n%s", err, out)
			}
			out, err := run.CombinedOutput()
			if (err == nil) != (test.want == "") || !strings.Contains(string(out), test.want) {
				t.Errorf("actionlint: %v\n%s\nwant an error of %q", err, out, test.want)
			}
		})
	}
}

// gh stands for the client of GitHub: it copies files of the release in $RELEASE.
const gh = `#!/bin/bash -e
[ "$1 $2 $3 $4 $5 $6" = "release download v1.0.0 --repo example/parley --dir" ] || { echo "gh: got $*" >&2; exit 1; }
folder=$7
shift 7
while [ $# -gt 0 ]; do
	[ "$1" = --pattern ] || { echo "gh: got $1" >&2; exit 1; }
	cp "$RELEASE"/$2 "$folder/"
	shift 2
done
`

// fakeRelease makes a folder with an archive of parley and its checksum, and a gh that has them.
func fakeRelease(t *testing.T) (folder string) {
	t.Helper()
	binary, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	folder = t.TempDir()
	script := fmt.Sprintf(`set -e
tar -c --use-compress-program='gzip -1' -f parley_1.0.0_linux_amd64.tar.gz -C '%s' parley
sha256sum parley_1.0.0_linux_amd64.tar.gz >SHA256SUMS
echo "$(printf '%%064d' 0)  parley_1.0.0_darwin_arm64.tar.gz" >>SHA256SUMS
cat >gh
chmod +x gh`, filepath.Dir(binary))
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir, cmd.Stdin = folder, strings.NewReader(gh)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return folder
}

// TestWorkflow runs the steps of the workflow as GitHub does, for several users.
func TestWorkflow(t *testing.T) {
	var w workflow
	if err := yaml.Unmarshal([]byte(read(t, workflowFile)), &w); err != nil {
		t.Fatal(err)
	}
	release := fakeRelease(t)
	tampered := t.TempDir()
	if out, err := exec.Command("bash", "-c", `cp -r "$0"/. "$1" && echo >>"$1/parley_1.0.0_linux_amd64.tar.gz"`, release, tampered).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const expects = `answer --as agent --timeout 3s --expect text=hello`
	for _, test := range []struct {
		name    string
		inputs  map[string]string
		release string
		failed  string // the step that fails
		reports []string
	}{
		{"a peer that answers", map[string]string{"peer": `answer --as agent --video test --say 'two words'`,
			"run": `parley call agent --quiet --expect 'text=two words' --expect 'video.frames>=1'; echo ok >result.xml`, "reports": "result.xml"},
			release, "", []string{"peer.ndjson", "serve.log", "result.xml"}},
		{"expectations that hold", map[string]string{"peer": expects, "run": "parley call agent --quiet --say hello --duration 300ms"}, release, "", []string{"peer.ndjson"}},
		{"one that does not hold", map[string]string{"peer": expects, "run": "parley call agent --quiet --say hullo --duration 300ms"}, release, "Check the peer", []string{"peer.ndjson"}},
		{"a page that never calls", map[string]string{"peer": expects, "run": "true"}, release, "Check the peer", []string{"peer.ndjson"}},
		{"tests that fail", map[string]string{"peer": "echo --as agent", "run": "false; true"}, release, "Run the tests", []string{"peer.ndjson"}},
		{"a peer that does not start", map[string]string{"peer": "answer --as"}, release, "Start the peer", []string{"peer.log"}},
		{"scenarios", map[string]string{"prepare": "parley echo --as page >page.log 2>&1 &", "scenario": "--wait 20s --suite data text-comes-back"}, release, "", []string{"probe.xml"}},
		{"a scenario that fails", map[string]string{"prepare": "parley answer --as page >page.log 2>&1 &", "scenario": "--wait 20s --suite data --peer-type echo --timeout 2s text-comes-back"},
			release, "Run the scenarios", []string{"probe.xml", "evidence"}},
		{"a changed archive", nil, tampered, "Install Parley", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			failed, reports, log := runWorkflow(t, &w, test.inputs, test.release)
			if failed != test.failed {
				t.Errorf("the step %q failed, want %q\n%s", failed, test.failed, log)
			}
			for _, want := range test.reports {
				if !slices.ContainsFunc(reports, func(r string) bool { return filepath.Base(r) == want }) {
					t.Errorf("got reports %q, want %s\n%s", reports, want, log)
				}
			}
		})
	}
}

// runWorkflow runs the steps of the only job in a folder and a network of their own. It returns
// the name of the first step that failed and the files that were uploaded.
func runWorkflow(t *testing.T, w *workflow, inputs map[string]string, release string) (failed string, reports []string, log string) {
	t.Helper()
	work, temporary := t.TempDir(), t.TempDir()
	values := map[string]string{"github.token": "none", "github.repository": "example/app", "env.REPORTS": "parley-reports"}
	for name, input := range w.On.WorkflowCall.Inputs {
		if values["inputs."+name] = ""; input.Default != nil {
			values["inputs."+name] = fmt.Sprint(input.Default)
		}
	}
	values["inputs.version"], values["inputs.repository"] = "v1.0.0", "example/parley"
	for name, value := range inputs {
		if _, ok := values["inputs."+name]; !ok {
			t.Fatalf("the workflow has no input %s", name)
		}
		values["inputs."+name] = value
	}
	job := w.Jobs["calls"]
	// The driver runs the steps one after the other: what they leave in the background goes on.
	driver := strings.Builder{}
	driver.WriteString("ip link set lo up\nfailed=\nsearch=" + release + ":$PATH\n")
	names := map[string]string{}
	for i, step := range job.Steps {
		always := step.If == "always()"
		if step.If != "" && !always && !holds(t, step.If, values) {
			continue
		}
		if step.Uses != "" {
			if strings.HasPrefix(step.Uses, "actions/upload-artifact@") {
				fmt.Fprintf(&driver, "echo uploaded >'%s/uploaded'\n", temporary)
				for pattern := range strings.FieldsSeq(expand(t, step.With["path"], values)) {
					fmt.Fprintf(&driver, "cp -r %s '%s/artifact/'\n", pattern, temporary)
				}
			}
			continue
		}
		script := filepath.Join(temporary, fmt.Sprintf("step%d.sh", i))
		if err := os.WriteFile(script, []byte(step.Run), 0o644); err != nil {
			t.Fatal(err)
		}
		names[fmt.Sprint(i)] = step.Name
		env := maps.Clone(job.Env)
		maps.Copy(env, step.Env)
		fmt.Fprintf(&driver, "[ -n \"$failed\" ] || env -i HOME=\"$HOME\" PATH=\"$search\" CI=true RUNNER_ARCH=X64 RUNNER_TEMP='%[1]s' GITHUB_PATH='%[1]s/path' RELEASE='%[2]s'", temporary, release)
		for name, value := range env {
			fmt.Fprintf(&driver, " %s='%s'", name, strings.ReplaceAll(expand(t, value, values), "'", `'\''`))
		}
		fmt.Fprintf(&driver, " bash -e '%s' || failed=%d\n", script, i)
		fmt.Fprintf(&driver, "[ ! -e '%[1]s/path' ] || { search=\"$(tac '%[1]s/path' | tr '\\n' :)$search\"; rm '%[1]s/path'; }\n", temporary)
	}
	driver.WriteString("echo \"failed step: $failed\"\n")
	if err := os.Mkdir(filepath.Join(temporary, "artifact"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-Urn", "--pid", "--fork", "--kill-child", "bash", "-s")
	cmd.Dir, cmd.Stdin = work, strings.NewReader(driver.String())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	if _, err := os.Stat(filepath.Join(temporary, "uploaded")); err != nil {
		t.Error("no reports were uploaded")
	}
	if err := filepath.WalkDir(filepath.Join(temporary, "artifact"), func(path string, _ os.DirEntry, err error) error {
		reports = append(reports, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	end := regexp.MustCompile(`(?m)^failed step: (\d*)$`).FindStringSubmatch(out.String())
	if end == nil {
		t.Fatalf("the steps did not end\n%s", &out)
	}
	return names[end[1]], reports, out.String()
}

// expand replaces the expressions of a workflow, each a value, a text, or a || of these.
func expand(t *testing.T, text string, values map[string]string) string {
	t.Helper()
	return regexp.MustCompile(`\$\{\{ (.*?) \}\}`).ReplaceAllStringFunc(text, func(expression string) string {
		result := ""
		for part := range strings.SplitSeq(expression[4:len(expression)-3], " || ") {
			if literal, ok := strings.CutPrefix(part, "'"); ok {
				result = strings.TrimSuffix(literal, "'")
			} else if value, ok := values[part]; ok {
				result = value
			} else {
				t.Fatalf("no value for %s", part)
			}
			if result != "" {
				break
			}
		}
		return result
	})
}

// holds returns the result of the condition of a step: a comparison of an input with an empty text.
func holds(t *testing.T, condition string, values map[string]string) bool {
	t.Helper()
	parts := regexp.MustCompile(`^(inputs\.\w+) (==|!=) ''$`).FindStringSubmatch(condition)
	if parts == nil {
		t.Fatalf("the condition %q is not known", condition)
	}
	value, ok := values[parts[1]]
	if !ok {
		t.Fatalf("no value for %s", parts[1])
	}
	return (value == "") == (parts[2] == "==")
}
