package stats

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// Candidates has the candidates of a connection, also former ones.
type Candidates struct {
	mu     sync.Mutex // guards the following
	all    []Object
	known  map[string]string // from the address of a candidate to its id
	number int
}

// NewCandidates returns an empty collection.
func NewCandidates() *Candidates { return &Candidates{known: map[string]string{}} }

// add adds a candidate once and returns its id.
func (s *Candidates) add(remote bool, kind, protocol, address string, port int, priority uint32, more Object) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	side, letter := "local-candidate", "L"
	if remote {
		side, letter = "remote-candidate", "R"
	}
	key := fmt.Sprint(side, kind, protocol, address, port)
	if id, ok := s.known[key]; ok {
		return id
	}
	s.number++
	o := Object{
		"id": fmt.Sprintf("I%s%d", letter, s.number), "type": side, "timestamp": timestamp(time.Now()),
		"candidateType": kind, "protocol": protocol, "address": address, "port": port, "priority": priority,
	}
	for k, v := range more {
		o[k] = v
	}
	id := o["id"].(string)
	s.known[key] = id
	s.all = append(s.all, o)
	return id
}

// AddRemote adds a candidate of the peer.
func (s *Candidates) AddRemote(c ice.Candidate) string {
	more := Object{"foundation": c.Foundation()}
	if r := c.RelatedAddress(); r != nil {
		more["relatedAddress"], more["relatedPort"] = r.Address, r.Port
	}
	return s.add(true, c.Type().String(), c.NetworkType().NetworkShort(), c.Address(), c.Port(), c.Priority(), more)
}

// Add adds a candidate of ours, or of the selected pair, which may be peer-reflexive, and returns
// its id.
func (s *Candidates) Add(remote bool, c *webrtc.ICECandidate) string {
	more := Object{"foundation": c.Foundation}
	if c.RelatedAddress != "" {
		more["relatedAddress"], more["relatedPort"] = c.RelatedAddress, int(c.RelatedPort)
	}
	if c.TCPType != "" {
		more["tcpType"] = c.TCPType
	}
	return s.add(remote, c.Typ.String(), c.Protocol.String(), c.Address, int(c.Port), c.Priority, more)
}

// addStats adds a candidate of Pion's report and returns its id, "" for none.
func (s *Candidates) addStats(stats webrtc.Stats) string {
	c, ok := stats.(webrtc.ICECandidateStats)
	if !ok {
		return ""
	}
	id := s.add(c.Type == webrtc.StatsTypeRemoteCandidate, c.CandidateType.String(), c.Protocol, c.IP, int(c.Port), uint32(c.Priority), nil)
	if c.RelayProtocol != "" {
		s.setMember(id, "relayProtocol", c.RelayProtocol)
	}
	return id
}

// setMember sets a member of a candidate. The object is replaced: it may be read at the same time.
func (s *Candidates) setMember(id, name, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.all {
		if o["id"] == id && o[name] != value {
			s.all[i] = maps.Clone(o)
			s.all[i][name] = value
		}
	}
}

// objects returns all candidates so far.
func (s *Candidates) objects() []Object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Object(nil), s.all...)
}

// AddRemoteOf adds the candidates of the peer from a connection that is replaced.
func (s *Candidates) AddRemoteOf(old *Candidates) {
	for _, o := range old.objects() {
		if o["type"] == "remote-candidate" {
			s.add(true, o["candidateType"].(string), o["protocol"].(string), o["address"].(string), o["port"].(int), o["priority"].(uint32), nil)
		}
	}
}
