package jsep

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A verification code has CodeGroups groups of CodeDigits digits.
const CodeGroups, CodeDigits = 6, 5

// VerificationCode returns the code that both ends compute from the DTLS fingerprints of both, so
// it is the same at both only if nobody between them, the signaling server above all, has put in a
// certificate of its own (RFC 8827 section 5.6.4 leaves that to the applications). Two people
// compare it by voice or video.
//
// It has six groups of five digits, near 100 bits. An attacker must find two certificates whose
// codes agree within the time of a call; half as many digits would not prevent that.
//
// The page computes the same: the fingerprints of a description, as "sha-256 aa:bb…" in lower case,
// sorted and each once, joined by ","; those of both descriptions, sorted, joined by a line feed;
// SHA-256 of that; and each group is five bytes of it as a big-endian number modulo 100,000.
func VerificationCode(ours, theirs []string) string {
	both := []string{strings.Join(distinct(ours), ","), strings.Join(distinct(theirs), ",")}
	slices.Sort(both)
	sum := sha256.Sum256([]byte(strings.Join(both, "\n")))
	groups := make([]string, CodeGroups)
	for i := range groups {
		var number [8]byte
		copy(number[3:], sum[5*i:5*i+5])
		groups[i] = fmt.Sprintf("%0*d", CodeDigits, binary.BigEndian.Uint64(number[:])%100_000)
	}
	return strings.Join(groups, " ")
}

// distinct returns fingerprints in lower case, sorted, each once.
func distinct(fingerprints []string) (all []string) {
	for _, f := range fingerprints {
		all = append(all, strings.ToLower(strings.TrimSpace(f)))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Fingerprints returns the certificate fingerprints of the session and all sections (RFC 8122), in
// lower case, sorted, each once.
func (d *Description) Fingerprints() []string {
	var all []string
	for _, a := range d.sdp.Attributes {
		if a.Key == "fingerprint" {
			all = append(all, a.Value)
		}
	}
	for _, m := range d.sdp.MediaDescriptions {
		for _, a := range m.Attributes {
			if a.Key == "fingerprint" {
				all = append(all, a.Value)
			}
		}
	}
	return distinct(all)
}
