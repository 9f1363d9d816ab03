package chat

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"parley/cmd/parley/internal/chat/tui"
	"parley/cmd/parley/internal/event"
	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/sanitize"
)

// act does an action of the user.
func (c *Chat) act(ctx context.Context, a tui.Action) {
	switch a := a.(type) {
	case tui.Call:
		c.place(ctx, a.Peer, 0)
	case tui.Answer:
		c.questions.answer(a.ID, a.Yes)
	case tui.ListFiles:
		c.update(ctx, tui.Listed{Prefix: a.Prefix, Paths: listPaths(a.Prefix)})
	case tui.Print:
		c.print(a)
	case tui.Quit:
		c.quit(ctx, a)
	case tui.Say:
		if !c.inCall(a.Peer, func(s Call) { s.Say(a.Text) }) {
			c.refused.Store(true) // the state reports it with the end of the call
		}
	case tui.Hangup:
		if p := c.placing[a.Peer]; p != nil {
			p.cancel()
			return
		}
		c.inCall(a.Peer, func(s Call) { s.Hangup() })
	case tui.Send:
		c.inCall(a.Peer, func(s Call) { c.work.Go(func() { c.send(s, atHome(a.Paths)) }) })
	case tui.Stats:
		c.inCall(a.Peer, func(s Call) {
			if err := s.ReportStats(ctx); err != nil {
				c.report.Warnf("stats: %v", err)
			}
		})
	case tui.Mute:
		c.inCall(a.Peer, func(s Call) { c.mute(ctx, s, a) })
	}
}

// mute mutes what is sent, or unmutes it, after what was asked for before.
func (c *Chat) mute(ctx context.Context, s Call, a tui.Mute) {
	word := "unmute"
	if a.Muted {
		word = "mute"
	}
	earlier, over := c.muted, make(chan struct{})
	c.muted = over
	c.work.Go(func() {
		defer close(over)
		if earlier != nil {
			<-earlier
		}
		if err := s.Mute(ctx, a.Kind, a.Muted); err != nil {
			c.report.Warnf("%s: %v", word, err)
			return
		}
		c.report.Infof("%s: done", word)
	})
}

// inCall does something in a call, later if its sources are being opened. It reports false if there
// is no call.
func (c *Chat) inCall(name string, f func(Call)) bool {
	if p := c.placing[name]; p != nil && len(p.waiting) < maxWaiting {
		p.waiting = append(p.waiting, f)
		return true
	}
	if s := c.answerer.Get(name); s != nil && name != "" {
		f(s)
		return true
	}
	return false
}

// print prints what the state reports where there is no screen.
func (c *Chat) print(a tui.Print) {
	switch {
	case c.screen != nil:
	case a.Alert:
		c.report.Warnf("%s", sanitize.Lines(a.Text))
	default:
		c.report.Infof("%s", sanitize.Lines(a.Text))
	}
}

func (c *Chat) quit(ctx context.Context, q tui.Quit) {
	switch {
	case q.Interrupted:
		c.answerer.Stop(&exit.SignalError{Signal: os.Interrupt})
	case q.InputOver && c.Linger > 0:
		c.work.Go(func() {
			select {
			case <-time.After(c.Linger):
				c.answerer.Stop(errQuit)
			case <-ctx.Done():
			}
		})
	default:
		c.answerer.Stop(errQuit)
	}
}

// intercept handles events that calls report. On a screen nothing else is shown.
func (c *Chat) intercept(e event.Event) (taken bool) {
	onScreen, say := c.onScreen.Load(), e.Message
	if e.Detail && !c.report.Verbose {
		say = ""
	}
	if say == "" {
		say = e.Output
	}
	switch e.Name {
	case "text":
		c.inbox.post(tui.Said{Peer: e.Peer, Text: e.Text("text"), Mine: e.Text("direction") == "out"})
		return onScreen
	case "text-rejected":
		c.refused.Store(true)
		c.inbox.post(tui.Refused{Peer: e.Peer, Text: e.Text("text"), CallOver: e.CallOver})
		if e.CallOver { // the state reports it
			return !c.report.NDJSON
		}
	case "state":
		switch e.Text("connection") {
		case "connected":
			c.inbox.post(tui.Moved{Peer: e.Peer, To: tui.Connected})
		case "disconnected":
			c.inbox.post(tui.Moved{Peer: e.Peer, To: tui.Disconnected})
		}
	case "signaling":
		c.inbox.post(tui.Served{Lost: e.Text("state") == "lost"})
	case "end":
		c.inbox.post(func() { // a new call with the same may be up already
			if s := c.answerer.Get(e.Peer); c.placing[e.Peer] == nil && (s == nil || s.Context().Err() != nil) {
				c.inbox.post(tui.Moved{Peer: e.Peer, To: tui.Apart})
			}
		})
	case "code":
		c.inbox.post(tui.Coded{Peer: e.Peer, Code: e.Text("code")})
	case event.StatusLine:
		c.inbox.post(tui.Progress{Text: say})
		return onScreen
	}
	if say != "" && onScreen {
		c.inbox.post(tui.Noted{Peer: e.Peer, Text: say, Alert: e.Alert || e.Name == event.Warning})
	}
	return onScreen
}

// atHome puts the home folder in place of a leading ~.
func atHome(paths []string) []string {
	home, err := os.UserHomeDir()
	for i, p := range paths {
		if rest, ok := strings.CutPrefix(p, "~/"); ok && err == nil {
			paths[i] = filepath.Join(home, rest)
		}
	}
	return paths
}

// maxListed is how many paths are offered at once.
const maxListed = 200

// listPaths are the files and folders whose paths begin with prefix.
func listPaths(prefix string) (paths []string) {
	dir, base := filepath.Split(prefix)
	from := atHome([]string{dir})[0]
	if from == "" {
		from = "."
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), base) || base == "" && strings.HasPrefix(e.Name(), ".") || len(paths) == maxListed {
			continue
		}
		path := dir + e.Name()
		if e.IsDir() {
			path += string(filepath.Separator)
		}
		paths = append(paths, path)
	}
	return paths
}

// questions are what a chat asks, answered by the person's commands.
type questions struct {
	post func(any) // to the inbox

	mu   sync.Mutex // guards the following
	last int
	open map[int]func(yes bool)
}

// add asks a question. It calls then with the answer, on the goroutine that calls answer.
func (q *questions) add(peer, text string, then func(yes bool)) (id int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	if q.open == nil {
		q.open = map[int]func(bool){}
	}
	q.open[q.last] = then
	q.post(tui.Asked{ID: q.last, Peer: peer, Text: text})
	return q.last
}

// remove ends a question without an answer.
func (q *questions) remove(id int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, id)
	q.post(tui.Settled{ID: id})
}

func (q *questions) answer(id int, yes bool) {
	q.mu.Lock()
	then := q.open[id]
	delete(q.open, id)
	q.mu.Unlock()
	if then != nil {
		then(yes)
	}
}

// ask asks a question and waits for the answer.
func (q *questions) ask(ctx context.Context, peer, question string) (bool, error) {
	answers := make(chan bool, 1)
	id := q.add(peer, strings.TrimSuffix(question, " [y/N] "), func(yes bool) { answers <- yes })
	select {
	case yes := <-answers:
		return yes, nil
	case <-ctx.Done():
		q.remove(id)
		return false, ctx.Err()
	}
}
