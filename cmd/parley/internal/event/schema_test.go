package event_test

import (
	"encoding/json"
	"strings"
	"testing"

	"parley/cmd/parley/internal/event/eventtest"
)

func TestSchemaRejectsInvalidEvents(t *testing.T) {
	const good = `{"time":"2026-11-20T22:47:26.376Z","event":"text","peer":"a","label":"l","direction":"in","text":"t"}`
	if err := eventtest.Validate("event", good); err != nil {
		t.Fatal(err)
	}
	for old, wrong := range map[string]string{
		`"event":"text"`: `"event":"txt"`, `"direction":"in"`: `"direction":"up"`, `"text":"t"`: `"text":7`,
		`,"label":"l"`: ``, `2026-11-20T22:47:26.376Z`: `yesterday`,
	} {
		bad := strings.Replace(good, old, wrong, 1)
		if !json.Valid([]byte(bad)) || bad == good {
			t.Fatal(bad)
		}
		if eventtest.Validate("event", bad) == nil {
			t.Errorf("the schema takes %s", bad)
		}
	}
	for _, object := range []string{`{"id":"x","type":"outbound-rtp","timestamp":1}`, `{"id":"x","type":"nonsense","timestamp":1}`,
		`{"id":"x","type":"candidate-pair","timestamp":1,"localCandidateId":"l","remoteCandidateId":"r","state":"s","nominated":true,"currentRoundTripTime":0}`} {
		line := `{"time":"2026-11-20T22:47:26.376Z","event":"stats","peer":"a","tracks":[],"channels":[],"report":[` + object + `]}`
		if eventtest.Validate("event", line) == nil {
			t.Errorf("the schema takes %s", line)
		}
	}
}
