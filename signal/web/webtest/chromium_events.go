package webtest

import (
	"encoding/json"
	"strings"
)

func (p *devtoolsPage) event(f frame) {
	switch f.Method {
	case "Page.lifecycleEvent":
		var e struct{ LoaderID, Name string }
		if json.Unmarshal(f.Params, &e) == nil && e.Name == "load" {
			select {
			case p.loaded <- e.LoaderID:
			default: // nobody is waiting for any of the 64 before it
			}
		}
	case "Runtime.consoleAPICalled":
		p.consoleCall(f.Params)
	case "Runtime.exceptionThrown":
		var e struct{ ExceptionDetails exception }
		_ = json.Unmarshal(f.Params, &e)
		p.log.add(true, "exception: "+e.ExceptionDetails.text())
	case "Log.entryAdded":
		var e struct {
			Entry struct{ Source, Level, Text, URL string }
		}
		_ = json.Unmarshal(f.Params, &e)
		p.log.add(e.Entry.Level == "error", e.Entry.Source+" "+e.Entry.Level+": "+e.Entry.Text+" "+e.Entry.URL)
	case "Page.javascriptDialogOpening":
		var e struct{ Type, Message string }
		_ = json.Unmarshal(f.Params, &e)
		p.log.add(true, "dialog: "+e.Type+": "+e.Message)
		// The page stands still until somebody answers.
		go func() {
			_, _, _ = p.browser.send(p.session, "Page.handleJavaScriptDialog", map[string]any{"accept": true})
		}()
	case "Inspector.targetCrashed":
		p.log.add(true, "the page crashed")
	}
}

func (p *devtoolsPage) consoleCall(params json.RawMessage) {
	var e struct {
		Type string
		Args []struct {
			Value       json.RawMessage
			Description string
		}
	}
	_ = json.Unmarshal(params, &e)
	words := []string{e.Type + ":"}
	for _, a := range e.Args {
		var s string
		switch {
		case a.Description != "":
			words = append(words, a.Description)
		case json.Unmarshal(a.Value, &s) == nil:
			words = append(words, s)
		default:
			words = append(words, string(a.Value))
		}
	}
	p.log.add(e.Type == "error" || e.Type == "assert", strings.Join(words, " "))
}
