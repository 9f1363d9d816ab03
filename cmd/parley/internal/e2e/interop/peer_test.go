//go:build unix

package interop

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/turnserver"
	"parley/signal/web/webtest"
)

// stranger is a peer that is not ours, in one call. What it sees is a JSON object, see
// testdata/wire.py.
type stranger interface {
	saw() (map[string]any, error)
}

// calling is what a stranger is started with.
type calling struct {
	Server   string         `json:"server"`
	Dialect  string         `json:"dialect"`
	Name     string         `json:"name"`
	Partner  string         `json:"partner"`
	Label    string         `json:"label"`
	Offers   bool           `json:"offers"`
	Audio    bool           `json:"audio"`
	Video    string         `json:"video"`
	Data     bool           `json:"data"`
	Complete bool           `json:"complete"`
	Apart    bool           `json:"apart"` // nothing is bundled
	Relay    map[string]any `json:"relay"`
}

// calling describes the call of an encounter; turn is where coturn is, with the secret "north".
func (c encounter) calling(server, turn string) calling {
	k := calling{Server: server, Dialect: "call", Name: c.Peer, Partner: "parley", Label: "channel1", Offers: c.Offers,
		Audio: c.audio(), Video: c.video(), Data: c.data(), Complete: c.What == "complete"}
	if c.What == "hello" {
		k.Dialect, k.Label, k.Name, k.Partner = "relay", "GandalfSaruman", "Saruman", "Gandalf"
		if c.Offers {
			k.Name, k.Partner = k.Partner, k.Name
		}
	}
	if c.What == "relay" {
		user, password := turnserver.Credentials{Secret: "north"}.Make(c.Peer)
		k.Relay = map[string]any{"urls": "turn:" + turn + "?transport=udp", "host": turn, "username": user, "credential": password}
	}
	return k
}

// begin starts a stranger.
func (k calling) begin(t *testing.T, peer, pages string) stranger {
	t.Helper()
	config, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	switch peer {
	case "chromium":
		return inTab{e2etest.Browsers().Chromium(t, nil).Open(pages + "/browser_peer.html?config=" + url.QueryEscape(string(config)))}
	case "firefox":
		return inTab{e2etest.Browsers().Firefox(t, nil).Open(pages + "/browser_peer.html?config=" + url.QueryEscape(string(config)))}
	}
	for _, by := range [][2]string{{".py", "/usr/bin/python3"}, {".js", "node"}} { // Debian's packages are in Debian's Python
		file, err := filepath.Abs("testdata/" + peer + "_peer" + by[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(file); err != nil {
			continue
		}
		cmd := exec.Command(by[1], file, string(config))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		p := e2etest.Launch(t, cmd, nil)
		t.Cleanup(func() { _ = syscall.Kill(-p.Cmd.Process.Pid, syscall.SIGKILL) }) // and what it has started
		return inProgram{p}
	}
	t.Fatalf("there is no %s in testdata", peer)
	return nil
}

// inTab is a stranger in a browser.
type inTab struct{ tab *webtest.Tab }

func (s inTab) saw() (saw map[string]any, err error) { return saw, s.tab.Eval("seen", &saw) }

// inProgram is a stranger that is a program.
type inProgram struct{ p *e2etest.Process }

func (s inProgram) saw() (map[string]any, error) {
	saw := map[string]any{}
	for line := range strings.Lines(s.p.Out.Complete()) {
		if err := json.Unmarshal([]byte(line), &saw); err != nil && strings.HasPrefix(line, "{") {
			return nil, err
		}
	}
	select {
	case <-s.p.Exited:
		if saw["cannot"] == nil && saw["error"] == nil {
			saw["error"] = "it ended: " + lastLine(s.p.Err.String())
		}
	default:
	}
	return saw, nil
}

func lastLine(text string) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return all[len(all)-1]
}
