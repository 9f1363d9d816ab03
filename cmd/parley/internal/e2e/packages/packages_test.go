//go:build packages

package packages

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// The tests of this file want root, and write below the folder in PARLEY_PACKAGES. make packages
// runs them.

// run runs a command and returns its output.
func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// folder returns a folder below that in PARLEY_PACKAGES.
func folder(t *testing.T, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(os.Getenv("PARLEY_PACKAGES"), name))
	if err != nil || os.Getenv("PARLEY_PACKAGES") == "" {
		t.Fatalf("set PARLEY_PACKAGES to a folder: %v", err)
	}
	return dir
}

// release makes a release of a clone of this repository, without a network, and returns the
// folder with its files. With a date it is one of a commit of that date, for Linux amd64 only and
// without SBOM, and with a tag if one is given.
func release(t *testing.T, clone, date, tag string) string {
	t.Helper()
	if err := os.RemoveAll(clone); err != nil {
		t.Fatal(err)
	}
	run(t, root, "git", "clone", "-q", ".", clone)
	args := []string{"release", "--snapshot", "--clean", "--parallelism", "1"}
	if date != "" {
		config := filepath.Join(clone, ".goreleaser.yaml")
		text, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		text = regexp.MustCompile(`(?m)^    targets: .*`).ReplaceAll(text, []byte("    targets: [linux_amd64]"))
		text = regexp.MustCompile(`(?sm)^  - id: parley-full\n.*?\n\n`).ReplaceAll(text, []byte("\n"))
		if err := os.WriteFile(config, text, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Setenv("GIT_COMMITTER_DATE", date)
		run(t, clone, "git", "-c", "user.name=parley", "-c", "user.email=parley@localhost", "commit", "-q", "-a", "--no-verify", "-m", "older")
		if tag != "" {
			run(t, clone, "git", "tag", tag)
		}
		args = append(args, "--skip", "sbom")
	}
	cmd := exec.Command("unshare", append([]string{"--net", "goreleaser"}, args...)...)
	cmd.Dir = clone
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("goreleaser: %v\n%s", err, out)
	}
	return filepath.Join(clone, "out", "release")
}

// files returns the SHA-256 of each file of a release by its name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !regexp.MustCompile(`\.(tar\.gz|zip|deb|rpm|cdx\.json)$|^SHA256SUMS$`).MatchString(e.Name()) {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sums[e.Name()] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return sums
}

// TestReleases makes a release twice, in two folders, and checks that the files are the same,
// complete and described by checksums and SBOM.
func TestReleases(t *testing.T) {
	first, second := release(t, folder(t, "first"), "", ""), release(t, folder(t, "second"), "", "")
	sums := files(t, first)
	for name, sum := range files(t, second) {
		if sums[name] != sum {
			t.Errorf("%s differs in the second build", name)
		}
	}
	kinds := map[string]int{}
	listed, err := os.ReadFile(filepath.Join(first, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	for name, sum := range sums {
		kinds[regexp.MustCompile(`\.(tar\.gz|zip|deb|rpm|cdx\.json)$`).FindString(name)]++
		if name != "SHA256SUMS" && !strings.Contains(string(listed), sum+"  "+name+"\n") {
			t.Errorf("SHA256SUMS lacks %s", name)
		}
		info, err := os.Stat(filepath.Join(first, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%9d bytes %s", info.Size(), name)
	}
	for kind, want := range map[string]int{".tar.gz": 5, ".zip": 2, ".deb": 2, ".rpm": 2, ".cdx.json": 7} {
		if kinds[kind] != want {
			t.Errorf("got %d files %s, want %d", kinds[kind], kind, want)
		}
	}
	checkBinaries(t, first)
}

// checkBinaries checks each binary of a release: its version, and that its SBOM names all its
// modules.
func checkBinaries(t *testing.T, dir string) {
	t.Helper()
	binaries, err := filepath.Glob(filepath.Join(dir, "parley*", "parley*"))
	if err != nil || len(binaries) != 7 {
		t.Fatalf("got binaries %q, %v", binaries, err)
	}
	boms, err := filepath.Glob(filepath.Join(dir, "*.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range binaries {
		info, err := buildinfo.ReadFile(b)
		if err != nil {
			t.Fatal(err)
		}
		stat, err := os.Stat(b)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%9d bytes %s %s", stat.Size(), filepath.Base(filepath.Dir(b)), info.Main.Version)
		target := "_" + setting(info, "GOOS") + "_" + setting(info, "GOARCH") + ".cdx.json"
		full := setting(info, "CGO_ENABLED") == "1"
		i := slices.IndexFunc(boms, func(name string) bool {
			return strings.HasSuffix(name, target) && strings.Contains(name, "-full") == full
		})
		if i < 0 {
			t.Errorf("%s has no SBOM: %q", b, boms)
			continue
		}
		checkBOM(t, boms[i], info)
	}
	out := run(t, dir, filepath.Join(dir, "parley_linux_amd64_v1", "parley"), "version")
	commit := strings.TrimSpace(run(t, root, "git", "rev-parse", "HEAD"))
	if !regexp.MustCompile(`(?m)^parley v\S+-` + commit[:12] + ` \(go1\.\S+, linux/amd64, cgo off\)\ncommit ` + commit + ` of \d{4}-\d\d-\d\dT[\d:]+Z$`).MatchString(out) {
		t.Errorf("got version %s, want one of commit %s", out, commit)
	}
}

func setting(info *buildinfo.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// checkBOM checks that an SBOM names the modules of a binary, each with a version, a hash and a
// licence.
func checkBOM(t *testing.T, path string, info *buildinfo.BuildInfo) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat string
		Metadata  struct {
			Component struct {
				Version string
				BOMRef  string `json:"bom-ref"`
			}
		}

		Components []struct {
			Name, Version string
			Licenses      []any
			Hashes        []any
		}
	}
	if err := json.Unmarshal(text, &bom); err != nil || bom.BOMFormat != "CycloneDX" {
		t.Fatalf("%s: %v, %q", path, err, bom.BOMFormat)
	}
	version := bom.Metadata.Component.Version
	if version != info.Main.Version || !strings.HasPrefix(bom.Metadata.Component.BOMRef, "pkg:golang/parley@"+version+"?") {
		t.Errorf("%s: got version %s and reference %s, want %s", filepath.Base(path), version, bom.Metadata.Component.BOMRef, info.Main.Version)
	}
	undetected := []string{"std", "github.com/cenkalti/backoff/v5"} // BSD and MIT: cyclonedx-gomod does not find them
	found := map[string]bool{}
	for _, c := range bom.Components {
		found[c.Name+"@"+c.Version] = true
		if len(c.Licenses) == 0 && !slices.Contains(undetected, c.Name) {
			t.Errorf("%s: %s has no licence", filepath.Base(path), c.Name)
		}
	}
	for _, m := range info.Deps {
		if m.Replace != nil { // a copy in this tree, with the version of the tree
			m = &debug.Module{Path: m.Path, Version: version}
		}
		if !found[m.Path+"@"+m.Version] {
			t.Errorf("%s lacks %s %s", filepath.Base(path), m.Path, m.Version)
		}
	}
}

// TestSBOM checks the version in the SBOM of a binary from a commit that was not committed when it
// was written, without a tag, with a tag before it and with one of its own.
func TestSBOM(t *testing.T) {
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, root, "git", "clone", "-q", ".", clone)
	git := func(args ...string) {
		run(t, clone, "git", append([]string{"-c", "user.name=parley", "-c", "user.email=parley@localhost"}, args...)...)
	}
	git("commit", "-q", "--allow-empty", "--no-verify", "--date=2026-01-02T03:04:05Z", "-m", "older")
	dir := filepath.Join(clone, "out", "release")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CGO_ENABLED", "0")
	for _, tag := range [][]string{nil, {"v1.2.3", "HEAD~1"}, {"v1.2.4", "HEAD"}} {
		if tag != nil {
			git(append([]string{"tag"}, tag...)...)
		}
		run(t, clone, "go", "build", "-trimpath", "-buildvcs=true", "-o", dir, "./cmd/parley")
		run(t, dir, "sh", "../../packaging/scripts/sbom.sh", "parley", "sbom.json")
		info, err := buildinfo.ReadFile(filepath.Join(dir, "parley"))
		if err != nil {
			t.Fatal(err)
		}
		t.Log(info.Main.Version)
		checkBOM(t, filepath.Join(dir, "sbom.json"), info)
	}
}

// debian returns the root file system of a small Debian with systemd, rpm, dnf, git and
// certificates.
func debian(t *testing.T) string {
	t.Helper()
	dir := folder(t, "debian")
	if _, err := os.Stat(filepath.Join(dir, "usr", "bin", "dnf")); err == nil {
		return dir
	}
	if err := os.RemoveAll(dir); err != nil { // one that lacks packages
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	sources := "deb http://deb.debian.org/debian bookworm main"
	if list, err := os.ReadFile("/etc/apt/sources.list.d/debian.sources"); err == nil {
		sources = string(list)
	}
	cmd := exec.Command("mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd,systemd-sysv,rpm,dnf,git,ca-certificates", "bookworm", dir, "-")
	cmd.Stdin = strings.NewReader(sources)
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		t.Fatalf("mmdebstrap: %v\n%s", err, out)
	}
	return dir
}

// TestPackages installs, runs, upgrades and removes the .deb and the .rpm in a booted system, and
// follows the topic install there.
func TestPackages(t *testing.T) {
	system := debian(t)
	older, newer := release(t, folder(t, "older"), "2026-01-02T03:04:05Z", ""), release(t, folder(t, "newer"), "2026-01-03T03:04:05Z", "v1.0.0")
	for format, name := range map[string]string{"deb": "parley_*_amd64.deb", "rpm": "parley-*.x86_64.rpm"} {
		t.Run(format, func(t *testing.T) {
			out := t.TempDir()
			for age, dir := range map[string]string{"old": older, "new": newer} {
				found, err := filepath.Glob(filepath.Join(dir, name))
				if err != nil || len(found) != 1 {
					t.Fatalf("got %q, %v, want one %s in %s", found, err, name, dir)
				}
				copyFile(t, found[0], filepath.Join(out, age+"."+format))
			}
			boot(t, system, out, format+".sh")
		})
	}
	t.Run("topic", func(t *testing.T) { checkTopic(t, system, newer) })
}

// boot boots a system and runs a script of the folder out or of testdata there.
func boot(t *testing.T, system, out, script string) {
	t.Helper()
	scripts, err := filepath.Glob("testdata/*.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scripts {
		copyFile(t, s, filepath.Join(out, filepath.Base(s)))
	}
	messages, err := exec.Command("bash", "testdata/boot.sh", system, out, script).CombinedOutput()
	log, _ := os.ReadFile(filepath.Join(out, "log"))
	t.Logf("%s%s", messages, log)
	if err != nil {
		t.Error(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestImage builds the Dockerfile with buildah, on an image with Go that it makes of this
// machine's, and checks the files, the user, the health check and a call in containers.
func TestImage(t *testing.T) {
	system, work := debian(t), t.TempDir()
	build := func(args ...string) string { t.Helper(); return strings.TrimSpace(run(t, root, "buildah", args...)) }
	goroot := strings.TrimSpace(run(t, root, "go", "env", "GOROOT"))
	base := build("from", "scratch")
	defer func() { _ = exec.Command("buildah", "rm", base).Run() }()
	mounted := build("mount", base)
	run(t, root, "cp", "-a", system+"/.", mounted)
	run(t, root, "mkdir", "-p", mounted+"/usr/local")
	run(t, root, "cp", "-a", goroot, mounted+"/usr/local/go")
	build("config", "--env", "PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin", "--env", "HOME=/root",
		"--env", "GOPROXY=off", "--env", "GOTOOLCHAIN=local", base)
	build("commit", "--quiet", base, "localhost/parley-go")
	defer func() { _ = exec.Command("buildah", "rmi", "-f", "localhost/parley-go", "localhost/parley-test").Run() }()
	clone := filepath.Join(work, "clone")
	run(t, root, "git", "clone", "-q", ".", clone)
	run(t, clone, "go", "mod", "download") // the build has this machine's modules, but perhaps not its network
	build("bud", "--quiet", "--isolation", "chroot", "--format", "docker", "--build-arg", "GO=localhost/parley-go",
		"--volume", strings.TrimSpace(run(t, root, "go", "env", "GOMODCACHE"))+":/root/go/pkg/mod",
		"--volume", strings.TrimSpace(run(t, root, "go", "env", "GOCACHE"))+":/root/.cache/go-build", "--tag", "localhost/parley-test", clone)

	var description struct {
		Docker struct {
			Config struct {
				User            string
				Env             []string
				Cmd, Entrypoint []string
				Healthcheck     struct{ Test []string }
			}
		}
	}
	if err := json.Unmarshal([]byte(build("inspect", "--type", "image", "localhost/parley-test")), &description); err != nil {
		t.Fatal(err)
	}
	config := description.Docker.Config
	if config.User != "65532:65532" || !slices.Equal(config.Cmd, []string{"serve"}) || len(config.Healthcheck.Test) < 4 || config.Healthcheck.Test[0] != "CMD" {
		t.Errorf("got configuration %+v", config)
	}
	container := build("from", "localhost/parley-test")
	defer func() { _ = exec.Command("buildah", "rm", container).Run() }()
	img := image{build("mount", container), config.User, config.Entrypoint, config.Cmd, config.Env, config.Healthcheck.Test[1:]}
	t.Run("container", func(t *testing.T) { checkImage(t, img.root, img.entrypoint, img.command, img.health, img.env) })
	t.Run("compose", func(t *testing.T) { checkCompose(t, img) })
}

// checkImage checks the files of an image, and runs its commands there as its user, without
// capabilities.
func checkImage(t *testing.T, dir string, entrypoint, command, health, env []string) {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			info, err := e.Info()
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
			t.Logf("%9d bytes %s", info.Size(), name)
		}
		return err
	})
	if want := []string{"etc/ssl/certs/ca-certificates.crt", "usr/bin/parley"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("got files %q, %v, want %q", names, err, want)
	}
	script := filepath.Join(t.TempDir(), "script")
	quoted := func(words []string) string { return "'" + strings.Join(words, "' '") + "'" }
	text := fmt.Sprintf(`set -e
ip link set lo up
printf '127.0.0.1 localhost\n' >%[1]s/etc/hosts
inside() { exec env -i %[2]s chroot --userspec=65532:65532 --groups= %[1]s "$@"; } # in a subshell
inside %[3]s %[4]s & server=$!
for i in $(seq 100); do (inside %[5]s) && break; [ $i -lt 100 ]; sleep 0.1; done
inside %[3]s echo --quiet & echo=$!
(inside %[3]s call echo --quiet --wait 20s --video test --expect 'video.frames>=1')
awk '/^Uid/ { print "uid " $2 } /^CapEff/ { print "capabilities " $2 }' /proc/$server/status
kill $echo
wait $echo || true
kill $server
wait $server
! (inside %[5]s)
`, dir, quoted(env), quoted(entrypoint), quoted(command), quoted(health))
	if err := os.WriteFile(script, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command("unshare", "--net", "--pid", "--fork", "--mount-proc", "bash", script)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "uid 65532\ncapabilities 0000000000000000\n") || !strings.Contains(out.String(), "ok    health     ready") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestRename changes the module path of a clone and builds it.
func TestRename(t *testing.T) {
	clone := filepath.Join(t.TempDir(), "clone")
	run(t, root, "git", "clone", "-q", ".", clone)
	run(t, clone, "packaging/rename.sh", "example.org/us/parley")
	binary := filepath.Join(clone, "parley")
	run(t, clone, "go", "build", "-o", binary, "./cmd/parley")
	info, err := buildinfo.ReadFile(binary)
	if err != nil || info.Main.Path != "example.org/us/parley" || info.Path != "example.org/us/parley/cmd/parley" {
		t.Errorf("got %v, %+v", err, info)
	}
	if left, err := exec.Command("git", "-C", clone, "grep", "-nE", `"parley/(cmd|peer|signal|media)[/"]`).Output(); err == nil {
		t.Errorf("left:\n%s", left)
	}
	run(t, clone, "go", "test", "-count=1", "./cmd/parley/internal/exit", "./media", "./signal")
}
