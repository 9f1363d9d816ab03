package peer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"parley/peer/internal/jsep"
)

// A verification checks the certificates that the peer's descriptions name, and keeps the
// verification code of the call. It is used by the goroutine of Run.
type verification struct {
	cfg        *callConfig
	transports *transports
	text       *textSender

	code      string   // "" before the first description
	certified []string // fingerprints of the peer from which code is computed
}

// A gate holds back media and text until the peer is verified. It is used by any goroutine.
type gate struct {
	closed atomic.Bool
	opened chan struct{} // closed when the gate is opened
}

// newGate returns a gate, closed or open.
func newGate(closed bool) *gate {
	g := &gate{opened: make(chan struct{})}
	g.closed.Store(closed)
	if !closed {
		close(g.opened)
	}
	return g
}

// open opens the gate. It reports false if the gate was open.
func (g *gate) open() bool {
	if !g.closed.Swap(false) {
		return false
	}
	close(g.opened)
	return true
}

var errOtherCertificate = errors.New("its certificate is not the one that this call began with")

// Posted by the methods below.
type (
	confirmed struct{}
	declined  struct{}
)

// Confirm lets media and text go, see VerificationConfig.Required: the code that VerificationCode told
// is what the other side sees.
func (c *Call) Confirm() { c.box.post(confirmed{}) }

// Decline ends the call: the code that VerificationCode told is not what the other side
// sees.
func (c *Call) Decline() { c.box.post(declined{}) }

// verify computes the verification code of a description before anything of it
// is applied: a call with the wrong one never connects.
func (v *verification) verify(d *jsep.Description, parts []part) error {
	theirs := d.Fingerprints()
	if v.transports.layout.Unbundled {
		known, err := v.knowsCertificates(d, parts)
		if known || err != nil {
			return err
		}
		theirs = append(theirs, v.certified...) // by which the rest of the call goes on
	}
	code := jsep.VerificationCode([]string{v.cfg.fingerprint}, theirs)
	switch {
	case code == v.code:
		return nil
	case v.transports.layout.Unbundled:
	case v.code != "" && v.transports.conns[0].remoteSet:
		// Pion would keep to the old certificate without a word, and so does
		// DTLS: RFC 8842 §5.5 wants a new association for that.
		return errOtherCertificate
	case v.cfg.Verification.Code != "" && digits(v.cfg.Verification.Code) != digits(code):
		return &Error{Verification, fmt.Errorf("the verification code is %s, which is not the one expected; "+
			"either the other side uses another key, or somebody sits in between", code)}
	}
	v.code, v.certified = code, theirs
	v.cfg.OnEvent(VerificationCode{code, v.cfg.Verification.Code != ""})
	return nil
}

// knowsCertificates tells if all certificates of a later description of several transports
// are known. webrtcbin has one for each transport; a new one may come with a new
// transport, unless somebody relies on the code that was.
func (v *verification) knowsCertificates(d *jsep.Description, parts []part) (known bool, err error) {
	stranger := func(d *jsep.Description) bool {
		return slices.ContainsFunc(d.Fingerprints(), func(f string) bool { return !slices.Contains(v.certified, f) })
	}
	if !stranger(d) {
		return true, nil
	}
	for _, part := range parts {
		switch {
		case part.Transport != nil && part.Transport.remoteSet && stranger(part.Description):
			return false, errOtherCertificate
		case (v.cfg.Verification.Code != "" || v.cfg.Verification.Required) && stranger(part.Description):
			return false, errors.New("its new transport has a certificate of its own, which is not in the verification code")
		}
	}
	return false, nil
}

// confirmVerification lets go what was held.
func (v *verification) confirm() {
	if !v.cfg.gate.open() {
		return
	}
	for _, conn := range v.transports.conns {
		sent, _ := conn.senders.streams.all(conn.pc)
		for _, out := range sent {
			out.RequestKeyFrame()
		}
	}
	v.cfg.OnEvent(VerificationCode{v.code, true})
	v.text.send()
}

// errDeclined ends a call whose code differs.
func (v *verification) errDeclined() error {
	return &Error{Verification, fmt.Errorf("the verification code %s was not confirmed; "+
		"if the other side sees another one, somebody sits in between", v.code)}
}

// IsCode tells if s is a verification code, however its groups are divided.
func IsCode(s string) bool {
	return len(digits(s)) == jsep.CodeGroups*jsep.CodeDigits && strings.Trim(s, "0123456789 -") == ""
}

// digits are those of a code, without what divides its groups.
func digits(code string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, code)
}
