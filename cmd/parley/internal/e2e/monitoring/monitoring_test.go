// Package monitoring queries the dashboards and alerts in packaging with Prometheus.
package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	schema "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	query "github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"parley/cmd/parley/internal/e2e/e2etest"
)

func TestMain(m *testing.M) { e2etest.Main(m, nil) }

const packaging = "../../../../../packaging"

// TestRules checks the rules and the example of a configuration, and for each alert when it fires.
func TestRules(t *testing.T) {
	for _, args := range []string{"check rules parley.rules.yml", "check config prometheus.yml", "test rules parley.rules.test.yml"} {
		cmd := exec.Command("promtool", strings.Fields(args)...)
		cmd.Dir = filepath.Join(packaging, "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
	alerts, err := os.ReadFile(filepath.Join(packaging, "prometheus", "parley.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile(filepath.Join(packaging, "prometheus", "parley.rules.test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(alerts)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "- alert: "); ok {
			for _, does := range []string{"fires", "does not fire"} {
				if !strings.Contains(string(tests), "- name: "+name+" "+does+"\n") {
					t.Errorf("there is no test that %s %s", name, does)
				}
			}
		}
	}
}

// dashboard is what the tests read of a dashboard.
type dashboard struct {
	text       []byte
	UID        string
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		Title   string
		Type    string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr, LegendFormat string }
	}
}

// dashboards returns the dashboards of packaging.
func dashboards(t *testing.T) (all []dashboard) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(packaging, "grafana", "*.json"))
	if err != nil || len(paths) != 2 {
		t.Fatalf("got %q, %v", paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d := dashboard{text: text}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, d)
	}
	return all
}

// TestSchema checks the dashboards against the schema of Grafana: all fields are known, and have
// values of their types.
func TestSchema(t *testing.T) {
	r := cog.NewRuntime()
	r.RegisterPanelcfgVariant(stat.VariantConfig())
	r.RegisterPanelcfgVariant(timeseries.VariantConfig())
	r.RegisterDataqueryVariant(query.VariantConfig())
	for _, d := range dashboards(t) {
		//lint:ignore SA1019 version 1 is what all versions of Grafana import
		var parsed schema.Dashboard
		for _, err := range []error{parsed.UnmarshalJSONStrict(d.text), parsed.Validate()} {
			if err != nil && err.Error() != "" { // it may be an empty list
				t.Errorf("%s: %v", d.UID, err)
			}
		}
	}
}

// TestLayout checks that no two panels of a dashboard overlap, and that all fit its 24 columns.
func TestLayout(t *testing.T) {
	for _, d := range dashboards(t) {
		taken := map[[2]int]string{}
		for _, p := range d.Panels {
			if g := p.GridPos; g.X < 0 || g.X+g.W > 24 || g.W < 1 || g.H < 1 {
				t.Errorf("%s: %q is at %v", d.UID, p.Title, g)
			}
			for x := range p.GridPos.W {
				for y := range p.GridPos.H {
					at := [...]int{p.GridPos.X + x, p.GridPos.Y + y}
					if other, ok := taken[at]; ok {
						t.Fatalf("%s: %q is over %q", d.UID, p.Title, other)
					}
					taken[at] = p.Title
				}
			}
		}
	}
}

// prometheus is a running Prometheus.
type prometheus struct{ address, targets string }

// start runs Prometheus with rules until the test ends. It scrapes each second.
func start(t *testing.T, rules string) prometheus {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := prometheus{l.Addr().String(), filepath.Join(dir, "targets.json")}
	_ = l.Close()
	p.scrape(t, nil)
	path := filepath.Join(dir, "prometheus.yml")
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%s]\nscrape_configs:\n"+
		"  - {job_name: parley, file_sd_configs: [{files: [%s], refresh_interval: 1s}]}\n", rules, p.targets)
	if err := os.WriteFile(path, []byte(config), 0o666); err != nil {
		t.Fatal(err)
	}
	process := e2etest.Launch(t, exec.Command("prometheus", "--config.file="+path, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+p.address), nil)
	process.Says(t, "Server is ready to receive web requests")
	return p
}

// scrape has Prometheus scrape addresses by the names of their jobs.
func (p prometheus) scrape(t *testing.T, jobs map[string][]string) {
	t.Helper()
	type target struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	targets := []target{}
	for job, addresses := range jobs {
		targets = append(targets, target{addresses, map[string]string{"job": job}})
	}
	text, err := json.Marshal(targets)
	if err == nil {
		err = os.WriteFile(p.targets+".new", text, 0o666)
	}
	if err == nil {
		err = os.Rename(p.targets+".new", p.targets)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// get reads a result of the API.
func (p prometheus) get(ctx context.Context, path string, parameters url.Values, data any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+"/api/v1/"+path+"?"+parameters.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	reply := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(body, &reply); err != nil || reply.Status != "success" {
		return fmt.Errorf("%s: %s, %w", path, reply.Error, err)
	}
	return nil
}

// sample is a value of a query.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// query returns the values of an expression at this moment.
func (p prometheus) query(ctx context.Context, expr string) ([]sample, error) {
	var data struct{ Result []sample }
	err := p.get(ctx, "query", url.Values{"query": {expr}}, &data)
	return data.Result, err
}

// until repeats a check until it reports that it is done.
func until(t *testing.T, what string, done func(ctx context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), e2etest.Patience)
	defer cancel()
	for {
		ok, err := done(ctx)
		switch {
		case ok:
			return
		case ctx.Err() != nil:
			t.Fatalf("never: %s", what)
		case err != nil:
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-time.After(200 * time.Millisecond): // Prometheus does not say when it has scraped
		case <-ctx.Done():
		}
	}
}

// holds waits until an expression has a value.
func (p prometheus) holds(t *testing.T, expr string) {
	t.Helper()
	until(t, expr, func(ctx context.Context) (bool, error) {
		all, err := p.query(ctx, expr)
		return len(all) > 0, err
	})
}

// expand returns an expression with the variables of a dashboard, as Grafana sets them at first.
func expand(expr string) string {
	return strings.NewReplacer("$job", ".*", "$instance", ".*", "$__rate_interval", "4s", "$__range", "1m").Replace(expr)
}

// metricsOf returns the address at which a process serves its metrics, once it is logged in.
func metricsOf(t *testing.T, process *e2etest.Process) string {
	t.Helper()
	process.Says(t, `"event":"login"`)
	all, err := e2etest.ReadEvents(process.Out.Complete())
	if err != nil || all[0]["event"] != "admin" {
		t.Fatalf("got %v, %v", all, err)
	}
	return fmt.Sprint(all[0]["address"])
}

// peer runs a command with metrics, and returns their address.
func peer(t *testing.T, server string, args ...string) (*e2etest.Process, string) {
	t.Helper()
	process := e2etest.Start(t, append(args, "--server", server, "--metrics", "127.0.0.1:0", "--output", "ndjson", "--stats-interval", "0")...)
	return process, metricsOf(t, process)
}

// adminOf returns the address of the event admin.
func adminOf(events []e2etest.Event) string {
	for _, e := range events {
		if e["event"] == "admin" {
			return fmt.Sprint(e["address"])
		}
	}
	return ""
}

// TestDashboards has Prometheus scrape a server, an echo, an answer and calls, and evaluates all
// queries of the dashboards and all rules. None is empty.
func TestDashboards(t *testing.T) {
	p := start(t, filepath.Join(absolute(t, packaging), "prometheus", "parley.rules.yml"))
	_, server, events := e2etest.ServeEvents(t, "--admin", "127.0.0.1:0", "--turn", "127.0.0.1:0", "--whip")
	_, echo := peer(t, server, "echo")
	_, bob := peer(t, server, "answer", "--as", "bob", "--video", "test")
	jobs := map[string][]string{"parley-server": {adminOf(events)}, "parley-calls": {echo, bob}}
	p.scrape(t, jobs)
	p.holds(t, `sum(up) == 3`) // counters grow after the first scrape only
	_, toEcho := peer(t, server, "call", "echo", "--video", "test", "--audio", "test", "--say", "hello")
	ending, toBob := peer(t, server, "call", "bob", "--audio", "test")
	jobs["parley-calls"] = append(jobs["parley-calls"], toEcho, toBob)
	p.scrape(t, jobs)
	wanted := map[string]string{} // expressions by panel
	for _, d := range dashboards(t) {
		for _, v := range d.Templating.List {
			if v.Type == "query" { // label_values(SERIES, LABEL)
				wanted[d.UID+": variable "+v.Name] = strings.TrimPrefix(v.Definition[:strings.LastIndex(v.Definition, ",")], "label_values(")
			}
		}
		for _, panel := range d.Panels {
			for i, target := range panel.Targets {
				wanted[fmt.Sprintf("%s: %s: query %d", d.UID, panel.Title, i)] = target.Expr
			}
		}
	}
	for name, expr := range wanted {
		until(t, name+": "+expand(expr), func(ctx context.Context) (bool, error) {
			all, err := p.query(ctx, expand(expr))
			return slices.ContainsFunc(all, func(s sample) bool { return s.Value[1] != "NaN" }), err
		})
	}
	t.Logf("%d queries have data", len(wanted))
	p.checkLabels(t)
	rules := p.rules(t)
	e2etest.Interrupt(t, ending) // one rule is about ended calls
	for _, r := range rules {
		if r.Health != "ok" || r.State != "" && r.State != "inactive" {
			t.Errorf("%s is %s, %s: %s", r.Name, r.Health, r.State, r.LastError)
		}
		if r.Type == "recording" {
			p.holds(t, r.Name)
		}
	}
}

// checkLabels checks that all labels of calls are those of the topic, with a fixed set of values:
// nothing of a peer is among them.
func (p prometheus) checkLabels(t *testing.T) {
	t.Helper()
	all, err := p.query(t.Context(), `{__name__=~"parley_(call|signaling).*"}`)
	if err != nil || len(all) < 100 {
		t.Fatalf("got %d series, %v", len(all), err)
	}
	values := map[string]string{
		"direction": "in|out", "kind": "audio|video|data", "side": "local|remote", "type": "host|srflx|prflx|relay", "local": "host|srflx|prflx|relay",
		"remote": "host|srflx|prflx|relay", "protocol": "udp|tcp", "state": "new|connecting|connected|disconnected|failed", "cause": "outage|switch|silence",
		"reason": "local-hangup|remote-hangup|timeout|failed|error", "statistic": "min|median|p95|max", "result": "success|failure|identified|lost|repeated",
	}
	for _, s := range all {
		for label, value := range s.Metric {
			if !slices.Contains([]string{"__name__", "job", "instance", "le"}, label) && !slices.Contains(strings.Split(values[label], "|"), value) {
				t.Errorf("%s=%q is a label of %s", label, value, s.Metric["__name__"])
			}
		}
	}
}

// rule is the state of a rule. The State of an alert is inactive, pending or firing.
type rule struct{ Name, Type, Health, State, LastError string }

// rules returns all rules once they have been evaluated.
func (p prometheus) rules(t *testing.T) (all []rule) {
	t.Helper()
	until(t, "all rules are evaluated", func(ctx context.Context) (bool, error) {
		var data struct{ Groups []struct{ Rules []rule } }
		err := p.get(ctx, "rules", nil, &data)
		all = nil
		for _, g := range data.Groups {
			all = append(all, g.Rules...)
		}
		return len(all) > 0 && !slices.ContainsFunc(all, func(r rule) bool { return r.Health == "unknown" }), err
	})
	return all
}

// hasty writes the rules with seconds in place of minutes, and returns their path.
func hasty(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(packaging, "prometheus", "parley.rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`for: \d+m`).ReplaceAll(text, []byte("for: 2s"))
	text = regexp.MustCompile(`\[\d+m\]`).ReplaceAll(text, []byte("[5s]"))
	path := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(path, text, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAlerts has faults happen, and waits until the alerts for them fire: where the fault is, and
// not where it is not.
func TestAlerts(t *testing.T) {
	p := start(t, hasty(t))
	serve := e2etest.Start(t, "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--output", "ndjson")
	serve.Says(t, `"event":"listening".*\n`)
	events, err := e2etest.ReadEvents(serve.Out.String())
	if err != nil {
		t.Fatal(err)
	}
	listening := events[len(events)-1]
	server := strings.Replace(fmt.Sprint(listening["url"]), "http", "ws", 1)
	_, echo := peer(t, server, "echo")
	call := func(args ...string) string {
		_, address := peer(t, server, append([]string{"call", "echo"}, args...)...)
		return address
	}
	good := call("--video", "test")
	lossy := call("--video", "test", "--impair", "loss=25%")
	cut := call("--video", "test", "--impair", "outage=10m@4s")
	data := call("--say", "hello")
	p.scrape(t, map[string][]string{"parley-server": {adminOf(events)}, "parley-calls": {echo, good, lossy, cut, data}})
	fires := func(alert, instance string) {
		t.Helper()
		p.holds(t, fmt.Sprintf(`ALERTS{alertname=%q,alertstate="firing",instance=%q}`, alert, instance))
	}
	fires("ParleyPacketsLost", lossy)
	fires("ParleyVideoStopped", cut)
	fires("ParleyCallsDisconnected", cut)
	if all, err := p.query(t.Context(), fmt.Sprintf(`ALERTS{alertstate="firing",instance=~"%s|%s"}`, good, data)); err != nil || len(all) > 0 {
		t.Errorf("alerts of calls without a fault: %v, %v", all, err)
	}
	if err := serve.Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	fires("ParleyDown", adminOf(events))
	for _, instance := range []string{echo, good, data} {
		fires("ParleySignalingLost", instance)
	}
	again := e2etest.Start(t, "serve", "--listen", fmt.Sprint(listening["address"]), "--admin", adminOf(events), "--output", "ndjson")
	again.Says(t, `"event":"listening"`)
	for _, alert := range []string{"ParleyDown", "ParleySignalingLost"} {
		p.holds(t, fmt.Sprintf(`absent(ALERTS{alertname=%q})`, alert))
	}
}
