package names

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"parley/signal/cluster"
)

// Version is the version of keys and values.
const Version = 1

// Record is the JSON value of a name: who holds it.
type Record struct {
	Version  int    `json:"v"`
	Node     string `json:"node"`
	Number   uint64 `json:"session"`
	Identity string `json:"identity,omitempty"` // hashed
	Resume   []byte `json:"resume,omitempty"`   // hash of the secret
}

// NewRecord returns the value of a name after a claim.
func NewRecord(c *cluster.Claim) Record {
	r := Record{Version: Version, Node: c.Session.Node.String(), Number: c.Session.Number, Identity: c.Identity}
	if c.Resume != (cluster.SecretHash{}) {
		r.Resume = c.Resume[:]
	}
	return r
}

// ParseRecord parses the value of a name. holder is the session in it.
func ParseRecord(value []byte) (r Record, holder cluster.SessionID, err error) {
	if err := json.Unmarshal(value, &r); err != nil {
		return r, holder, fmt.Errorf("value of a name: %w", err)
	}
	id, ok := cluster.ParseNodeID(r.Node)
	if !ok || r.Number == 0 || r.Version != Version || len(r.Resume) != 0 && len(r.Resume) != len(cluster.SecretHash{}) {
		return r, holder, fmt.Errorf("value of a name: got version %d, node %q and session %d, want version %d", r.Version, r.Node, r.Number, Version)
	}
	return r, cluster.SessionID{Node: id, Number: r.Number}, nil
}

// Secret returns the hash of the secret, zero for none.
func (r *Record) Secret() (hash cluster.SecretHash) {
	copy(hash[:], r.Resume)
	return hash
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
