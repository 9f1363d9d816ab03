package peer

import (
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/pion/ice/v4"
	"github.com/pion/webrtc/v4"
)

// candidateBook keeps the candidates of a connection for its statistics, also
// those that are gone.
type candidateBook struct {
	mu     sync.Mutex // protects following
	all    []Object
	known  map[string]string // address of a candidate to its id
	number int
}

func newCandidateBook() *candidateBook { return &candidateBook{known: map[string]string{}} }

// note writes a candidate down, once, and returns its id.
func (b *candidateBook) note(remote bool, kind, protocol, address string, port int, priority uint32, more Object) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	side, letter := "local-candidate", "L"
	if remote {
		side, letter = "remote-candidate", "R"
	}
	key := fmt.Sprint(side, kind, protocol, address, port)
	if id, ok := b.known[key]; ok {
		return id
	}
	b.number++
	o := Object{
		"id": fmt.Sprintf("I%s%d", letter, b.number), "type": side, "timestamp": stamp(time.Now()),
		"candidateType": kind, "protocol": protocol, "address": address, "port": port, "priority": priority,
	}
	for k, v := range more {
		o[k] = v
	}
	id := o["id"].(string)
	b.known[key] = id
	b.all = append(b.all, o)
	return id
}

// remote notes a candidate of the other side.
func (b *candidateBook) remote(c ice.Candidate) string {
	more := Object{"foundation": c.Foundation()}
	if r := c.RelatedAddress(); r != nil {
		more["relatedAddress"], more["relatedPort"] = r.Address, r.Port
	}
	return b.note(true, c.Type().String(), c.NetworkType().NetworkShort(), c.Address(), c.Port(), c.Priority(), more)
}

// of notes a candidate as Pion tells it: one of ours, or of the selected pair,
// which may be peer-reflexive and known from there only.
func (b *candidateBook) of(remote bool, c *webrtc.ICECandidate) string {
	more := Object{"foundation": c.Foundation}
	if c.RelatedAddress != "" {
		more["relatedAddress"], more["relatedPort"] = c.RelatedAddress, int(c.RelatedPort)
	}
	if c.TCPType != "" {
		more["tcpType"] = c.TCPType
	}
	return b.note(remote, c.Typ.String(), c.Protocol.String(), c.Address, int(c.Port), c.Priority, more)
}

// stats notes a candidate of Pion's report; "" if there is none.
func (b *candidateBook) stats(s webrtc.Stats) string {
	c, ok := s.(webrtc.ICECandidateStats)
	if !ok {
		return ""
	}
	id := b.note(c.Type == webrtc.StatsTypeRemoteCandidate, c.CandidateType.String(), c.Protocol, c.IP, int(c.Port), uint32(c.Priority), nil)
	if c.RelayProtocol != "" {
		b.complete(id, "relayProtocol", c.RelayProtocol)
	}
	return id
}

// complete adds what is known of a candidate later than the candidate. Who has the
// objects reads them all the while, so there is a new one.
func (b *candidateBook) complete(id, name, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, o := range b.all {
		if o["id"] == id && o[name] != value {
			b.all[i] = maps.Clone(o)
			b.all[i][name] = value
		}
	}
}

// objects are all candidates so far.
func (b *candidateBook) objects() []Object {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Object(nil), b.all...)
}

// adopt takes over the other side's candidates of a connection that is replaced.
func (b *candidateBook) adopt(old *candidateBook) {
	for _, o := range old.objects() {
		if o["type"] == "remote-candidate" {
			b.note(true, o["candidateType"].(string), o["protocol"].(string), o["address"].(string), o["port"].(int), o["priority"].(uint32), nil)
		}
	}
}
