package main

import (
	"fmt"

	"github.com/rogpeppe/go-internal/testscript"

	"parley/cmd/parley/internal/e2e/e2etest"
)

// codeOfCall, as `code FILE`, sets $CODE to the verification code in a file of NDJSON.
func codeOfCall(ts *testscript.TestScript, _ bool, args []string) {
	events, err := e2etest.ReadEvents(ts.ReadFile(args[0]))
	ts.Check(err)
	for _, e := range events {
		if e["event"] == "code" {
			ts.Setenv("CODE", fmt.Sprint(e["code"]))
			return
		}
	}
	ts.Fatalf("%s has no code", args[0])
}
