package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/probe/sdptext"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
	"parley/peer/capture"
	"parley/signal"
)

// keep writes what was seen in a call to the folder of --evidence, and returns
// where. What cannot be written is reported, and is no verdict.
func (p *prober) keep(a *call, r *scenario.Result) string {
	if p.Evidence == "" {
		return ""
	}
	folder := filepath.Join(p.Evidence, r.Scenario.Name)
	err := os.MkdirAll(folder, 0o700)
	for name, data := range a.evidence(r) {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, name), data, 0o600))
	}
	err = errors.Join(err, a.artifacts.copyTo(folder))
	if err != nil {
		p.Resources.Report.Warnf("--evidence: %v", err)
	}
	return folder
}

// evidence are the files, by name.
func (a *call) evidence(r *scenario.Result) map[string][]byte {
	w := a.observed
	w.mu.Lock()
	defer w.mu.Unlock()
	files := map[string][]byte{"events.ndjson": a.events.Bytes()}
	var signaling bytes.Buffer
	e := json.NewEncoder(&signaling)
	for i, s := range w.signalingLog {
		direction := "in"
		if s.out {
			direction = "out"
		}
		if s.m.SDP != "" {
			files[fmt.Sprintf("%03d-%s-%s.sdp", i, direction, s.m.Type)] = []byte(s.m.SDP)
		}
		_ = e.Encode(struct { // strings alone, into memory: it does not fail
			Time      string            `json:"time"`
			Direction string            `json:"direction"`
			Type      signal.Type       `json:"type"`
			SDP       string            `json:"sdp,omitempty"`
			Extension *signal.Extension `json:"parley,omitempty"`
			Candidate *signal.Candidate `json:"candidate,omitempty"`
			Text      string            `json:"text,omitempty"`
		}{s.at.Format("2006-01-02T15:04:05.000Z07:00"), direction, s.m.Type, s.m.SDP, s.m.Extension, s.m.Candidate, s.m.Text})
	}
	files["signaling.ndjson"] = signaling.Bytes()
	if w.remoteEvents.Len() > 0 {
		files["remote-events.ndjson"] = bytes.Clone(w.remoteEvents.Bytes())
	}
	for name, v := range map[string]any{"statistics.json": w.stats, "facts.json": w.Snapshot(), "verdict.json": map[string]any{
		"scenario": r.Scenario.Name, "specs": r.Scenario.Specs, "verdict": r.Verdict, "reason": r.Reason, "step": r.Step, "metrics": w.metrics}} {
		if data, err := json.MarshalIndent(v, "", "  "); err == nil {
			files[name] = append(data, '\n')
		}
	}
	return files
}

// artifacts are the files that a call is written to while it goes on, for the evidence: its packets with the keys, and what
// is received. Nil writes nothing.
type artifacts struct {
	folder string // temporary
	demux  *capture.Demux
	file   *os.File
	pcapng *capture.Pcapng // nil once ended
}

// Names of the files in the evidence.
const (
	packetsFile   = "packets.pcapng"
	recordingFile = "recording.mkv"
)

// newArtifacts has a call with these settings written to files, if there is --evidence.
func (p *prober) newArtifacts(s *session.Options, r *resources.Resources) (*artifacts, error) {
	if p.Evidence == "" {
		return nil, nil
	}
	folder, err := os.MkdirTemp("", "parley-probe-")
	if err != nil {
		return nil, exit.Errorf(exit.Device, "--evidence: %w", err)
	}
	t := &artifacts{folder: folder, demux: r.Demux}
	s.Record, r.Recordings, s.RecordPartly = filepath.Join(folder, recordingFile), mediain.NewRecordings(), true
	if t.file, err = resources.CreatePrivate("evidence", filepath.Join(folder, packetsFile)); err != nil {
		t.discard()
		return nil, err
	}
	t.pcapng = capture.NewPcapng(t.file)
	r.Pcapng = t.pcapng
	r.AddKeyLog(t.pcapng)
	return t, nil
}

// sends takes the ICE credentials of a description of ours, by which the packets of the call are known on a shared port.
func (t *artifacts) sends(sdp string) {
	if t != nil {
		t.demux.Add(sdptext.Attribute(sdp, "ice-ufrag"), t.pcapng)
	}
}

// end ends the files, once the call is over.
func (t *artifacts) end() {
	if t != nil && t.pcapng != nil {
		t.demux.Remove(t.pcapng)
		_ = errors.Join(t.pcapng.Close(), t.file.Close()) // what is missing at its end is no verdict
		t.pcapng = nil
	}
}

// copyTo copies what there is.
func (t *artifacts) copyTo(folder string) error {
	if t == nil {
		return nil
	}
	entries, all := os.ReadDir(t.folder) // of a recording there is no file, or more than one
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(t.folder, e.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, e.Name()), data, 0o600)
		}
		all = errors.Join(all, err)
	}
	return all
}

// discard removes the files.
func (t *artifacts) discard() {
	if t != nil {
		t.end()
		_ = os.RemoveAll(t.folder)
	}
}
