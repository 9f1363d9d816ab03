//go:build unix

package adapter

import (
	"encoding/json"
	"strings"
	"testing"

	"parley/cmd/parley/internal/e2e/e2etest"
	"parley/signal/web/webtest"
)

// lineOf waits for the line of a terminal.
func lineOf(t *testing.T, p *e2etest.Process) string {
	t.Helper()
	p.Says(t, `"event":"manual".*\n`)
	events, err := e2etest.ReadEvents(p.Out.Complete())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e["event"] == "manual" {
			return e["line"].(string)
		}
	}
	t.Fatal("there is no line")
	return ""
}

// paste pastes a line into the page.
func paste(tab *webtest.Tab, line string) {
	tab.Type("#manualTheirs", line)
	tab.Click("#manualUseBtn")
}

// pageLine waits for the line of the page.
func pageLine(t *testing.T, tab *webtest.Tab) (line string) {
	t.Helper()
	tab.Wait(`document.querySelector('#manualOurs').value !== ''`)
	if err := tab.Eval(`document.querySelector('#manualOurs').value`, &line); err != nil {
		t.Fatal(err)
	}
	return line
}

// TestManualWithPage connects a terminal and the page by copy and paste, in both roles.
func TestManualWithPage(t *testing.T) {
	page, _ := e2etest.Serve(t)
	flags := append([]string{"--manual", "--output", "ndjson", "--stats-interval", "0"}, all[:len(all)-4]...)
	flags[len(flags)-3], flags[len(flags)-1] = "text=pong", "video.frames>=5"
	open := func(t *testing.T) *webtest.Tab {
		tab := e2etest.Browsers().Chromium(t, nil).Open(page + "/?manual=1&as=tab&say=pong")
		tab.Wait(`document.querySelector('#manualDialog').open`)
		return tab
	}
	t.Run("the terminal calls", func(t *testing.T) {
		tab, p := open(t), e2etest.StartTyping(t, append([]string{"call", "--linger", "5m"}, flags...)...)
		paste(tab, lineOf(t, p))
		tab.Click("#acceptBtn")
		p.Type(t, pageLine(t, tab))
		e2etest.ChatHas(tab, "ping")
		e2etest.SeesAndHears(t, tab, 440)
		p.Says(t, `"check":"video.frames>=5","held":true`)
		e2etest.Interrupt(t, p)
		e2etest.Idle(tab)
	})
	t.Run("the page calls", func(t *testing.T) {
		tab, p := open(t), e2etest.StartTyping(t, append([]string{"answer"}, flags...)...)
		tab.Click("#manualOfferBtn")
		line := pageLine(t, tab)
		p.Type(t, line[:90])
		p.Type(t, line[90:])
		paste(tab, lineOf(t, p))
		e2etest.ChatHas(tab, "ping")
		p.Ends(t, 0)
		e2etest.Idle(tab)
	})
}

// TestManualAnswerInFirefox: Firefox gives up about ten seconds after it has answered, and says so.
func TestManualAnswerInFirefox(t *testing.T) {
	page, _ := e2etest.Serve(t)
	tab := e2etest.Browsers().Firefox(t, nil).Open(page + "/?manual=1&as=tab")
	tab.Wait(`document.querySelector('#manualDialog').open`)
	paste(tab, lineOf(t, e2etest.StartTyping(t, "call", "--manual", "--video", "test", "--output", "ndjson", "--stats-interval", "0")))
	tab.Click("#acceptBtn")
	pageLine(t, tab)
	tab.Wait(`document.querySelector('#manualStatus').innerText.includes('this browser has given up')`)
}

// TestManualInTerminals connects two terminals by what they show. A line of the answer that is
// longer than a terminal reads at once arrives whole, and a wrong one is asked for again.
func TestManualInTerminals(t *testing.T) {
	path, err := e2etest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	answerer := e2etest.StartTyping(t, "answer", "--manual", "--output", "ndjson", "--stats-interval", "0", "--say", "pong", "--expect", "text=ping")
	x := e2etest.StartTmux(t, 200, 60, path+" call --manual --say ping --expect text=pong --linger 20s --output ndjson")
	x.Shows("the offer", func(rows []string) bool {
		return strings.Contains(strings.Join(rows, ""), `"event":"manual"`) && strings.Contains(strings.Join(rows, ""), `"}`)
	})
	x.Type("hello", "Enter")
	x.Has("this is no line of parley")
	var offer struct{ Line string }
	screen := strings.ReplaceAll(x.Run("capture-pane", "-p", "-J"), "\n", "")
	start := strings.Index(screen, `{"time"`)
	manual := screen[strings.Index(screen, `"event":"manual"`):]
	if err := json.Unmarshal([]byte("{"+manual[:strings.Index(manual, "}")+1]), &offer); err != nil || start < 0 {
		t.Fatalf("%v: %s", err, screen)
	}
	answerer.Type(t, offer.Line)
	line := lineOf(t, answerer)
	x.Type(strings.Repeat("x ", 3000)+line, "Enter")
	x.Has(`"text":"pong"`)
	answerer.Ends(t, 0)
}
