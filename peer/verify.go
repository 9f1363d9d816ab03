package peer

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A code has codeGroups groups of codeDigits digits.
const codeGroups, codeDigits = 6, 5

// verificationCode is computed by both sides from the DTLS fingerprints of both,
// so it is the same at both ends only if nobody between them, the signaling
// server above all, has put in a certificate of its own (RFC 8827 §5.6.4 leaves
// that to the applications). Two people compare it by voice or picture.
//
// It has six groups of five digits, near 100 bits. Whoever sits between must
// find two certificates whose codes agree within the time of a call; half as
// many digits would not keep them from it.
//
// The page computes the same: the fingerprints of a description, as
// "sha-256 aa:bb…" in lower case, sorted and each once, joined by ","; those of
// both descriptions, sorted, joined by a line feed; SHA-256 of that; and each
// group is five bytes of it as a big-endian number modulo 100,000.
func verificationCode(ours, theirs string) string {
	both := []string{fingerprints(ours), fingerprints(theirs)}
	slices.Sort(both)
	sum := sha256.Sum256([]byte(strings.Join(both, "\n")))
	groups := make([]string, codeGroups)
	for i := range groups {
		var number [8]byte
		copy(number[3:], sum[5*i:5*i+5])
		groups[i] = fmt.Sprintf("%0*d", codeDigits, binary.BigEndian.Uint64(number[:])%100_000)
	}
	return strings.Join(groups, " ")
}

// fingerprints are those of a description, see verificationCode.
func fingerprints(sdp string) string {
	var all []string
	for _, line := range strings.Split(sdp, "\n") {
		if f, ok := strings.CutPrefix(strings.TrimSpace(line), "a=fingerprint:"); ok {
			all = append(all, strings.ToLower(f))
		}
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}
