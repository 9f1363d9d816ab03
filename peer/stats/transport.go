package stats

import (
	"strings"
	"sync"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/protocol/extension"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
)

// Transport records what Pion does not report of a transport. The zero value is ready.
type Transport struct {
	mu      sync.Mutex // guards the following
	role    string     // in DTLS: client or server
	cipher  string     // of DTLS, by IANA's name. Only a server sees what was chosen
	srtp    string     // likewise
	changes int        // of the selected candidate pair
}

// SetDTLSRole sets our role by the value of a=setup in our answer.
func (t *Transport) SetDTLSRole(setup string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.role = map[string]string{"active": "client", "passive": "server"}[setup]
}

// CandidatePairChanged counts a change of the selected pair.
func (t *Transport) CandidatePairChanged() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes++
}

// ServerHello records the ciphers of a ServerHello that we send, and returns it unchanged.
func (t *Transport) ServerHello(m handshake.MessageServerHello) handshake.Message {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.CipherSuiteID != nil {
		t.cipher = dtls.CipherSuiteName(dtls.CipherSuiteID(*m.CipherSuiteID))
	}
	for _, e := range m.Extensions {
		if use, ok := e.(*extension.UseSRTP); ok && len(use.ProtectionProfiles) == 1 {
			t.srtp = srtpName(use.ProtectionProfiles[0])
		}
	}
	return &m
}

// srtpName returns the IANA name of a profile, "" for one that Pion does not have.
func srtpName(profile extension.SRTPProtectionProfile) string {
	return map[extension.SRTPProtectionProfile]string{
		extension.SRTP_AES128_CM_HMAC_SHA1_80: "SRTP_AES128_CM_HMAC_SHA1_80", extension.SRTP_AES128_CM_HMAC_SHA1_32: "SRTP_AES128_CM_HMAC_SHA1_32",
		extension.SRTP_AEAD_AES_128_GCM: "SRTP_AEAD_AES_128_GCM", extension.SRTP_AEAD_AES_256_GCM: "SRTP_AEAD_AES_256_GCM",
	}[profile]
}

// addTo adds the members to a transport object.
func (t *Transport) addTo(o Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for member, value := range map[string]string{"dtlsRole": t.role, "dtlsCipher": t.cipher, "srtpCipher": t.srtp} {
		if value != "" && !strings.HasPrefix(value, "0x") { // has no name
			o[member] = value
		}
	}
	if t.changes > 0 {
		o["selectedCandidatePairChanges"] = t.changes
	}
}
