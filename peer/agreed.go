package peer

import (
	"strings"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
)

// agreed is what a connection's statistics know of its transport from elsewhere than Pion, which does not tell.
type agreed struct {
	mu      sync.Mutex // protects following
	role    string     // in DTLS: client or server
	cipher  string     // of DTLS, by IANA's name. Only a server sees what was chosen
	srtp    string     // likewise
	changes int        // of the selected candidate pair
}

// as takes note of our role as SDP writes it.
func (a *agreed) as(setup string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.role = map[string]string{"active": "client", "passive": "server"}[setup]
}

// selected counts a change of the candidate pair.
func (a *agreed) selected() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changes++
}

// hello looks at the ServerHello that we send, which it leaves as it is.
func (a *agreed) hello(m handshake.MessageServerHello) handshake.Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.CipherSuiteID != nil {
		a.cipher = dtls.CipherSuiteName(dtls.CipherSuiteID(*m.CipherSuiteID))
	}
	for _, e := range m.Extensions {
		if use, ok := e.(*extension.UseSRTP); ok && len(use.ProtectionProfiles) == 1 {
			a.srtp = srtpName(use.ProtectionProfiles[0])
		}
	}
	return &m
}

// srtpName is IANA's name of a profile that Pion has, "" for others.
func srtpName(profile extension.SRTPProtectionProfile) string {
	return map[extension.SRTPProtectionProfile]string{
		extension.SRTP_AES128_CM_HMAC_SHA1_80: "SRTP_AES128_CM_HMAC_SHA1_80", extension.SRTP_AES128_CM_HMAC_SHA1_32: "SRTP_AES128_CM_HMAC_SHA1_32",
		extension.SRTP_AEAD_AES_128_GCM: "SRTP_AEAD_AES_128_GCM", extension.SRTP_AEAD_AES_256_GCM: "SRTP_AEAD_AES_256_GCM",
	}[profile]
}

// report adds what is known to a transport that is up.
func (a *agreed) report(t Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for member, value := range map[string]string{"dtlsRole": a.role, "dtlsCipher": a.cipher, "srtpCipher": a.srtp} {
		if value != "" && !strings.HasPrefix(value, "0x") { // a number is no name
			t[member] = value
		}
	}
	if a.changes > 0 {
		t["selectedCandidatePairChanges"] = a.changes
	}
}
