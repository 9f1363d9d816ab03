//go:build packages

package packages

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// service is a service of compose.yaml with what an engine does for it.
type service struct {
	Image, Build, Restart string
	Command               []string
	Environment           map[string]string
	Ports, Volumes        []string
	NetworkMode           string   `yaml:"network_mode"`
	ReadOnly              bool     `yaml:"read_only"`
	CapDrop               []string `yaml:"cap_drop"`
	SecurityOpt           []string `yaml:"security_opt"`
	StopGracePeriod       string   `yaml:"stop_grace_period"`
	Profiles              []string
	Healthcheck           struct {
		Test              []string
		Interval, Timeout string
	}
	DependsOn map[string]struct{ Condition string } `yaml:"depends_on"`
}

// image is what an engine needs of an image to start a container.
type image struct {
	root                             string
	user                             string
	entrypoint, command, env, health []string
}

// interpolate replaces ${NAME:-DEFAULT} and ${NAME:?MESSAGE}, as compose does.
func interpolate(text string, variables map[string]string) (string, error) {
	var failure error
	text = regexp.MustCompile(`\$\{(\w+):([-?])([^}]*)\}`).ReplaceAllStringFunc(text, func(s string) string {
		parts := regexp.MustCompile(`\$\{(\w+):([-?])([^}]*)\}`).FindStringSubmatch(s)
		value := variables[parts[1]]
		switch {
		case value != "":
			return value
		case parts[2] == "?":
			failure = fmt.Errorf("%s: %s", parts[1], parts[3])
		}
		return parts[3]
	})
	return text, failure
}

// quote returns words for a shell.
func quote(words ...string) string {
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

// natsImage makes the file system of the image of NATS, with the server of the version in go.mod,
// which has to be that of the image, and BusyBox.
func natsImage(t *testing.T, name string) image {
	t.Helper()
	version := strings.TrimSpace(run(t, root, "go", "list", "-m", "-f", "{{.Version}}", "github.com/nats-io/nats-server/v2"))
	minor := regexp.MustCompile(`^v(\d+\.\d+)\.`).FindStringSubmatch(version)
	if minor == nil || name != "nats:"+minor[1]+"-alpine" {
		t.Errorf("compose.yaml has the image %s, the tests run NATS %s", name, version)
	}
	dir := t.TempDir()
	for _, folder := range []string{"bin", "data"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "bin", "nats-server"), "github.com/nats-io/nats-server/v2")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	run(t, root, "cp", "/bin/busybox", filepath.Join(dir, "bin", "wget"))
	return image{root: dir, user: "0:0", entrypoint: []string{"/bin/nats-server"}}
}

// checkCompose starts all services of compose.yaml in namespaces, with their commands,
// environments, users, networks, ports, volumes and health checks, in the order of their
// dependencies, calls through each of them, and stops them.
func checkCompose(t *testing.T, parley image) {
	t.Helper()
	text := read(t, "compose.yaml")
	if _, err := interpolate(text, nil); err == nil || !strings.Contains(err.Error(), "PARLEY_TURN_SECRET") {
		t.Errorf("without a secret: got %v", err)
	}
	const address = "203.0.113.1"
	text, err := interpolate(text, map[string]string{"PARLEY_TURN_SECRET": "a secret", "PARLEY_HOST": address, "PARLEY_IP": address})
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Services map[string]*service }
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "set -e\ndeclare -A pids\nwork=%s parley=%s PARLEY_IP=%s\n. %s\nhost\n",
		quote(t.TempDir()), quote(filepath.Join(parley.root, "usr/bin/parley")), address, quote(absolute(t, "testdata/compose.sh")))
	order := startOrder(t, c.Services)
	for i, name := range order {
		if s := c.Services[name]; s.NetworkMode == "" {
			fmt.Fprintf(&b, "network %s containers 172.18.0.%d/16 172.18.0.1\necho 172.18.0.%[2]d %[1]s >>\"$work/hosts\"\n", name, i+10)
			for _, port := range s.Ports {
				outside, inside, _ := strings.Cut(port, ":")
				fmt.Fprintf(&b, "publish %s 172.18.0.%d %s\n", outside, i+10, inside)
			}
		}
	}
	b.WriteString("network alice clients 203.0.113.2/24 ''\nnetwork bob clients 203.0.113.3/24 ''\n")
	for _, name := range order {
		s := c.Services[name]
		img := parley
		if s.Image != "parley" {
			img = natsImage(t, s.Image)
		}
		writeService(t, &b, name, s, img)
		for _, other := range order {
			if _, ok := c.Services[other].DependsOn[name]; ok {
				fmt.Fprintf(&b, "healthy %s\n", name)
				break
			}
		}
	}
	for _, name := range order {
		fmt.Fprintf(&b, "healthy %s\n", name)
	}
	fmt.Fprintf(&b, `calls "through server" ws://%[1]s:9090 ws://%[1]s:9090
calls "through node1 and node3" ws://%[1]s:9101 ws://%[1]s:9103
calls "through node2, by TURN" ws://%[1]s:9102 ws://%[1]s:9102 --ice-policy relay
grep -q '"event":"pair".*"relayed":true' "$work/alice.log" || fail "the call was not relayed"
`, address)
	slices.Reverse(order)
	for _, name := range order {
		grace := strings.TrimSuffix(c.Services[name].StopGracePeriod, "s")
		if grace == "" {
			grace = "10"
		}
		fmt.Fprintf(&b, "stop %s %s\n", name, grace)
	}
	b.WriteString("echo all services ran\n")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", script)
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	t.Logf("%s", &out)
	if err != nil || !strings.HasSuffix(out.String(), "all services ran\n") {
		t.Errorf("%v; the script was:\n%s", err, b.String())
	}
}

// writeService writes the lines that start a service and the function that checks its health.
func writeService(t *testing.T, b *strings.Builder, name string, s *service, img image) {
	t.Helper()
	network := name
	if s.NetworkMode == "host" {
		network = "host"
	} else if s.NetworkMode != "" {
		t.Fatalf("%s: unknown network mode %q", name, s.NetworkMode)
	}
	bounds := "+all"
	if slices.Contains(s.CapDrop, "ALL") {
		bounds = "-all,+sys_chroot,+setuid,+setgid" // those that chroot needs, and that the user does not have
		if !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s can get privileges", name)
		}
	}
	var volumes []string
	for _, v := range s.Volumes {
		_, folder, _ := strings.Cut(v, ":")
		volumes = append(volumes, folder)
	}
	env := slices.DeleteFunc(slices.Clone(img.env), func(e string) bool {
		variable, _, _ := strings.Cut(e, "=")
		_, replaced := s.Environment[variable]
		return replaced
	})
	for variable, value := range s.Environment {
		env = append(env, variable+"="+value)
	}
	command := s.Command
	if len(command) == 0 {
		command = img.command
	}
	health := img.health
	if len(s.Healthcheck.Test) > 0 {
		if s.Healthcheck.Test[0] != "CMD" {
			t.Fatalf("%s: unknown health check %q", name, s.Healthcheck.Test)
		}
		health = s.Healthcheck.Test[1:]
	}
	if len(health) == 0 {
		t.Fatalf("%s has no health check", name)
	}
	enter := fmt.Sprintf("inside %s %s %s %s", name, network, img.user, quote(bounds))
	fmt.Fprintf(b, "VOLUMES=%s root %s %s %t\n", quote(strings.Join(volumes, " ")), name, quote(img.root), s.ReadOnly)
	fmt.Fprintf(b, "health_%s() { ENVIRONMENT=(%s); %s %s; }\n", name, quote(slices.Clone(env)...), enter, quote(slices.Clone(health)...))
	fmt.Fprintf(b, "(ENVIRONMENT=(%s); %s %s) >\"$work/%s.log\" 2>&1 & pids[%[4]s]=$!\n", quote(env...), enter, quote(append(slices.Clone(img.entrypoint), command...)...), name)
	if img.user != "0:0" {
		fmt.Fprintf(b, "until grep -q '^CapEff:\\s0000000000000000$' /proc/${pids[%[1]s]}/status && grep -q '^NoNewPrivs:\\s1$' /proc/${pids[%[1]s]}/status; do kill -0 ${pids[%[1]s]} || fail '%[1]s has ended'; sleep 0.05; done\n", name)
	}
}

// startOrder returns the names of services, each after those that it depends on.
func startOrder(t *testing.T, services map[string]*service) (order []string) {
	t.Helper()
	var names []string
	for name := range services {
		names = append(names, name)
	}
	slices.Sort(names)
	for len(order) < len(names) {
		before := len(order)
		for _, name := range names {
			ready := !slices.Contains(order, name)
			for other, d := range services[name].DependsOn {
				if d.Condition != "service_healthy" {
					t.Fatalf("%s waits for %s to be %q", name, other, d.Condition)
				}
				ready = ready && slices.Contains(order, other)
			}
			if ready {
				order = append(order, name)
			}
		}
		if len(order) == before {
			t.Fatalf("services depend on each other: %q", names)
		}
	}
	return order
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
