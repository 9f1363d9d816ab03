package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"parley/cmd/parley/internal/certtest"
	"parley/cmd/parley/internal/e2e/e2etest"
)

// servingScript NAME ARGS... runs `parley serve ARGS` at a free port, and sets $PARLEY_SERVER,
// $PAGE, $ADMIN and $TURN to where it is.
func servingScript(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: serving NAME ARGS...")
	}
	path, err := exec.LookPath("parley")
	for _, dir := range strings.Split(ts.Getenv("PATH"), ":") {
		if _, statErr := os.Stat(dir + "/parley"); statErr == nil {
			path, err = dir+"/parley", nil
			break
		}
	}
	ts.Check(err)
	cmd := exec.Command(path, append([]string{"serve", "--listen", "127.0.0.1:0", "--output", "ndjson"}, args[1:]...)...)
	cmd.Dir = ts.MkAbs(".")
	for _, v := range []string{"PATH", "HOME", "TMPDIR", "NO_COLOR"} {
		cmd.Env = append(cmd.Env, v+"="+ts.Getenv(v))
	}
	p, err := e2etest.StartProcess(cmd)
	ts.Check(err)
	ts.Defer(func() { _ = cmd.Process.Kill(); <-p.Exited })
	ts.Value("running").(map[string]*e2etest.Process)[args[0]] = p
	ts.Check(p.Until(`"event":"listening".*\n`))
	events, err := e2etest.ReadEvents(p.Out.String())
	ts.Check(err)
	for _, e := range events {
		url := strings.TrimSuffix(fmt.Sprint(e["url"]), "/")
		switch e["event"] {
		case "listening":
			ts.Setenv("PAGE", url)
			ts.Setenv("PARLEY_SERVER", "ws"+strings.TrimPrefix(url, "http"))
		case "admin":
			ts.Setenv("ADMIN", url)
		case "turn-listening":
			ts.Setenv("TURN", fmt.Sprint(e["urls"].([]any)[0]))
		}
	}
}

// get URL STATUS [PATTERN] asks until the answer has that status, and its body matches.
func get(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: get URL STATUS [PATTERN]")
	}
	re := regexp.MustCompile(strings.Join(args[2:], " "))
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	last := ""
	for deadline := time.Now().Add(e2etest.Patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		response, err := client.Get(args[0])
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		last = fmt.Sprintf("%s\n%s", response.Status, body)
		if err == nil && fmt.Sprint(response.StatusCode) == args[1] && re.Match(body) {
			return
		}
	}
	ts.Fatalf("%s: %s", args[0], last)
}

// certificate NAME HOST writes NAME.crt and NAME.key for a host, signed by itself.
func certificate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: certificate NAME HOST")
	}
	cert, key, err := certtest.New(args[1], time.Now().UnixNano())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".crt"), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), key, 0o600))
}
