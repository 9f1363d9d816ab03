package names

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"parley/signal/cluster"
)

// Version is the version of keys and values.
const Version = 1

// Record says who holds a name. The zero Record is that of a name that nobody holds.
type Record struct {
	// Session is the holder.
	Session cluster.SessionID
	// Identity is hashed.
	Identity string
	// Resume is the hash of the secret, zero for none.
	Resume cluster.SecretHash
}

// value is the JSON value of a name.
type value struct {
	Version  int    `json:"v"`
	Node     string `json:"node"`
	Number   uint64 `json:"session"`
	Identity string `json:"identity,omitempty"`
	Resume   []byte `json:"resume,omitempty"`
}

// NewRecord returns the record of a name after a claim.
func NewRecord(c *cluster.Claim) Record {
	return Record{Session: c.Session, Identity: c.Identity, Resume: c.Resume}
}

// Value returns the value of a name with this record.
func (r Record) Value() []byte {
	v := value{Version: Version, Node: r.Session.Node.String(), Number: r.Session.Number, Identity: r.Identity}
	if r.Resume != (cluster.SecretHash{}) {
		v.Resume = r.Resume[:]
	}
	text, _ := json.Marshal(v) // never fails: it has only strings, numbers and bytes
	return text
}

// ParseRecord parses the value of a name.
func ParseRecord(text []byte) (Record, error) {
	var v value
	if err := json.Unmarshal(text, &v); err != nil {
		return Record{}, fmt.Errorf("value of a name: %w", err)
	}
	r := Record{Identity: v.Identity}
	id, ok := cluster.ParseNodeID(v.Node)
	if !ok || v.Number == 0 || v.Version != Version || len(v.Resume) != 0 && len(v.Resume) != len(r.Resume) {
		return Record{}, fmt.Errorf("value of a name: got version %d, node %q and session %d, want version %d", v.Version, v.Node, v.Number, Version)
	}
	r.Session = cluster.SessionID{Node: id, Number: v.Number}
	copy(r.Resume[:], v.Resume)
	return r, nil
}

// Key returns the key of a name: a KV key may have letters, digits and few other characters.
func Key(name cluster.Name) string {
	encode := func(s string) string {
		if s == "" {
			return "="
		}
		return base64.RawURLEncoding.EncodeToString([]byte(s))
	}
	return encode(name.Space) + "." + encode(name.Text)
}
