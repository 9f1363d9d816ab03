package peer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"parley/peer/internal/jsep"
)

// Posted by the methods below.
type (
	confirmed struct{}
	declined  struct{}
)

// Confirm reports that the peer has the code of the event VerificationCode. Media and text are sent
// from then on, see VerificationConfig.Required.
func (c *Call) Confirm() { c.box.post(confirmed{}) }

// Decline reports that the peer has another code than that of the event VerificationCode. It ends
// the call.
func (c *Call) Decline() { c.box.post(declined{}) }

// A verification checks the certificates that the peer's descriptions name, and keeps the
// verification code of the call. The goroutine of Run uses it.
type verification struct {
	cfg        *callConfig
	transports *transports
	text       *textSender

	code      string   // "" before the first description
	certified []string // fingerprints of the peer from which code is computed
}

var errOtherCertificate = errors.New("its certificate is not the one that this call began with")

// verify computes the verification code of a description before it is applied: a call with the
// wrong code does not connect.
func (v *verification) verify(d *jsep.Description, parts []part) error {
	theirs := d.Fingerprints()
	if v.transports.layout.Unbundled {
		known, err := v.knowsCertificates(d, parts)
		if known || err != nil {
			return err
		}
		theirs = append(theirs, v.certified...) // of the connections that stay
	}
	code := jsep.VerificationCode([]string{v.cfg.fingerprint}, theirs)
	switch {
	case code == v.code:
		return nil
	case v.transports.layout.Unbundled:
	case v.code != "" && v.transports.conns[0].remoteSet:
		// Pion keeps the DTLS association. RFC 8842 section 5.5 requires a new one.
		return errOtherCertificate
	case v.cfg.Verification.Code != "" && digits(v.cfg.Verification.Code) != digits(code):
		return &Error{Verification, fmt.Errorf("the verification code is %s, not the expected one; "+
			"the peer has another key, or a third party intercepts the call", code)}
	}
	v.code, v.certified = code, theirs
	v.cfg.OnEvent(VerificationCode{code, v.cfg.Verification.Code != ""})
	return nil
}

// knowsCertificates reports whether all certificates of a later description of several transports
// are known. webrtcbin has one for each transport. A new transport may have a new one, unless the
// call relies on the verification code.
func (v *verification) knowsCertificates(d *jsep.Description, parts []part) (known bool, err error) {
	unknown := func(d *jsep.Description) bool {
		return slices.ContainsFunc(d.Fingerprints(), func(f string) bool { return !slices.Contains(v.certified, f) })
	}
	if !unknown(d) {
		return true, nil
	}
	for _, part := range parts {
		switch {
		case part.Transport != nil && part.Transport.remoteSet && unknown(part.Description):
			return false, errOtherCertificate
		case (v.cfg.Verification.Code != "" || v.cfg.Verification.Required) && unknown(part.Description):
			return false, errors.New("its new transport has a certificate of its own, which is not in the verification code")
		}
	}
	return false, nil
}

// confirm lets media and text be sent.
func (v *verification) confirm() {
	if !v.cfg.gate.open() {
		return
	}
	for _, conn := range v.transports.conns {
		sent, _ := conn.streams.all(conn.pc)
		for _, out := range sent {
			out.RequestKeyFrame()
		}
	}
	v.cfg.OnEvent(VerificationCode{v.code, true})
	v.text.send()
}

// errDeclined returns the error of Decline.
func (v *verification) errDeclined() error {
	return &Error{Verification, fmt.Errorf("the verification code %s was not confirmed; "+
		"if the peer has another one, a third party intercepts the call", v.code)}
}

// A gate holds back media and text until the peer is verified. Any goroutine may use it.
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

// IsCode reports whether s is a verification code, in any grouping of digits.
func IsCode(s string) bool {
	return len(digits(s)) == jsep.CodeGroups*jsep.CodeDigits && strings.Trim(s, "0123456789 -") == ""
}

// digits returns the digits of a code.
func digits(code string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, code)
}
