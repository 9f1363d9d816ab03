package capture

import "testing"

// TestUfragsOfNoCheck: what is no connectivity check contains no username fragment.
func TestUfragsOfNoCheck(t *testing.T) {
	for _, data := range [][]byte{nil, {0}, make([]byte, 20), append([]byte{0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 40)...)} {
		if all := ufragsIn(data); len(all) > 0 && all[0] != "" {
			t.Errorf("%x: got username fragments %q, want none", data, all)
		}
	}
}
