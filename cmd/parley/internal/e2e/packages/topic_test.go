//go:build packages

package packages

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// commands returns the commands of a section of the topic install as a script. What follows
// systemctl edit, indented once more, is what its editor writes.
func commands(t *testing.T, section string) string {
	t.Helper()
	_, text, found := strings.Cut(read(t, "cmd/parley/docs/install.md"), "\n## "+section+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var b strings.Builder
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line, ok := strings.CutPrefix(lines[i], "    ")
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "echo %s\n", quote("$ "+line))
		if !strings.HasPrefix(line, "systemctl edit ") {
			b.WriteString(line + "\n")
			continue
		}
		fmt.Fprintf(&b, "edit %s <<'END'\n", strings.TrimPrefix(line, "systemctl edit "))
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "        ") {
			i++
			b.WriteString(strings.TrimSpace(lines[i]) + "\n")
		}
		b.WriteString("END\n")
	}
	if !found || b.Len() == 0 {
		t.Fatalf("the topic install has no commands in %q", section)
	}
	return b.String()
}

// checkTopic follows the topic install in booted systems that have nothing of parley: each command
// of its sections on packages, archives and services, as it is written, with the files of a
// release.
func checkTopic(t *testing.T, system, releases string) {
	for _, test := range []struct{ name, pattern, script string }{
		{"deb", "parley_*_amd64.deb", commands(t, "Debian and its relatives") +
			"echo from apt install to the end of the first call: $((($(date +%s%N) - begin) / 1000000)) ms\n" +
			"certificate\n" + commands(t, "The server as a service") + "served\n" + commands(t, "Answering as a service") + "answered\n"},
		{"rpm", "parley-*.x86_64.rpm", "system\n" + commands(t, "Fedora and its relatives") + "called\n"},
		{"archive", "parley_*_linux_amd64.tar.gz", commands(t, "Any other system") +
			"for f in man1/parley.1 man7/parley-install.7; do [ -s /usr/local/share/man/$f ]; done\nparley serve --quiet &\nuntil_true bash -c 'echo >/dev/tcp/localhost/9090'\ncalled\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found, err := filepath.Glob(filepath.Join(releases, test.pattern))
			if err != nil || len(found) != 1 {
				t.Fatalf("got %q, %v, want one %s", found, err, test.pattern)
			}
			out := t.TempDir()
			copyFile(t, found[0], filepath.Join(out, filepath.Base(found[0])))
			if err := os.WriteFile(filepath.Join(out, "commands.sh"), []byte(". ./topic.sh\n"+test.script), 0o644); err != nil {
				t.Fatal(err)
			}
			boot(t, system, out, "commands.sh")
		})
	}
}
