package probe

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"parley/cmd/parley/internal/exit"
	"parley/cmd/parley/internal/mediain"
	"parley/cmd/parley/internal/probe/sdptext"
	"parley/cmd/parley/internal/resources"
	"parley/cmd/parley/internal/scenario"
	"parley/cmd/parley/internal/session"
	"parley/peer/capture"
)

// keep writes what was seen in a call to the folder of --evidence, and returns
// where. What cannot be written is reported, and is no verdict.
func (p *prober) keep(a *call, r *scenario.Result) string {
	if p.Evidence == "" {
		return ""
	}
	folder := filepath.Join(p.Evidence, r.Scenario.Name)
	err := os.MkdirAll(folder, 0o700)
	for name, data := range a.artifactFiles(r) {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, name), data, 0o600))
	}
	err = errors.Join(err, a.artifacts.copyTo(folder))
	if err != nil {
		p.Resources.Report.Warnf("--evidence: %v", err)
	}
	return folder
}

// artifactFiles returns the files of --evidence, by name.
func (a *call) artifactFiles(r *scenario.Result) map[string][]byte {
	files := a.observed.Files()
	files["events.ndjson"] = a.events.Bytes()
	verdict := map[string]any{"scenario": r.Scenario.Name, "specs": r.Scenario.Specs, "verdict": r.Verdict, "reason": r.Reason, "step": r.Step, "metrics": a.observed.Metrics()}
	if data, err := json.MarshalIndent(verdict, "", "  "); err == nil {
		files["verdict.json"] = append(data, '\n')
	}
	return files
}

// artifacts are the files that a call is written to while it goes on, for --evidence: its packets
// with the keys, and what is received. Nil writes nothing.
type artifacts struct {
	folder string // temporary
	demux  *capture.Demux
	file   *os.File
	pcapng *capture.Pcapng // nil once ended
}

// Names of the files of --evidence.
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

// sends takes the ICE credentials of a description of ours, by which the packets of the call are
// known on a shared port.
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
