package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"parley/cmd/parley/scenario"
	wire "parley/signal"
)

// keep writes what was seen in a call to the folder of --evidence, and returns
// where. What cannot be written is told, and is no verdict.
func (p *prober) keep(a *attempt, r *scenario.Result) string {
	if p.evidence == "" {
		return ""
	}
	folder := filepath.Join(p.evidence, r.Scenario.Name)
	err := os.MkdirAll(folder, 0o700)
	for name, data := range a.evidence(r) {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, name), data, 0o600))
	}
	if err != nil {
		p.report.warn("--evidence: %v", err)
	}
	return folder
}

// evidence are the files, by name.
func (a *attempt) evidence(r *scenario.Result) map[string][]byte {
	w := a.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	files := map[string][]byte{"events.ndjson": a.events.Bytes()}
	var signaling bytes.Buffer
	e := json.NewEncoder(&signaling)
	for i, s := range w.talk {
		direction := "in"
		if s.out {
			direction = "out"
		}
		if s.m.SDP != "" {
			files[fmt.Sprintf("%03d-%s-%s.sdp", i, direction, s.m.Type)] = []byte(s.m.SDP)
		}
		_ = e.Encode(struct { // strings alone, into memory: it does not fail
			Time      string          `json:"time"`
			Direction string          `json:"direction"`
			Type      wire.Type       `json:"type"`
			SDP       string          `json:"sdp,omitempty"`
			Candidate *wire.Candidate `json:"candidate,omitempty"`
			Text      string          `json:"text,omitempty"`
		}{s.at.Format("2006-01-02T15:04:05.000Z07:00"), direction, s.m.Type, s.m.SDP, s.m.Candidate, s.m.Text})
	}
	files["signaling.ndjson"] = signaling.Bytes()
	for name, v := range map[string]any{"statistics.json": w.stats, "facts.json": w.facts, "verdict.json": map[string]any{
		"scenario": r.Scenario.Name, "specs": r.Scenario.Specs, "verdict": r.Verdict, "reason": r.Reason, "step": r.Step, "metrics": w.metrics}} {
		if data, err := json.MarshalIndent(v, "", "  "); err == nil {
			files[name] = append(data, '\n')
		}
	}
	return files
}
