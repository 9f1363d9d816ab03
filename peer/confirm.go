package peer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"parley/peer/internal/jsep"
)

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
func (c *Call) verify(d *jsep.Description, parts []part) error {
	theirs := d.Fingerprints()
	if c.layout.Unbundled {
		known, err := c.knowsCertificates(d, parts)
		if known || err != nil {
			return err
		}
		theirs = append(theirs, c.certified...) // by which the rest of the call goes on
	}
	code := jsep.VerificationCode([]string{c.cfg.fingerprint}, theirs)
	switch {
	case code == c.code:
		return nil
	case c.layout.Unbundled:
	case c.code != "" && c.conns[0].remoteSet:
		// Pion would keep to the old certificate without a word, and so does
		// DTLS: RFC 8842 §5.5 wants a new association for that.
		return errOtherCertificate
	case c.cfg.Verification.Code != "" && digits(c.cfg.Verification.Code) != digits(code):
		return &Error{Verification, fmt.Errorf("the verification code is %s, which is not the one expected; "+
			"either the other side uses another key, or somebody sits in between", code)}
	}
	c.code, c.certified = code, theirs
	c.cfg.OnEvent(VerificationCode{code, c.cfg.Verification.Code != ""})
	return nil
}

// knowsCertificates tells if all certificates of a later description of several transports
// are known. webrtcbin has one for each transport; a new one may come with a new
// transport, unless somebody relies on the code that was.
func (c *Call) knowsCertificates(d *jsep.Description, parts []part) (known bool, err error) {
	stranger := func(d *jsep.Description) bool {
		return slices.ContainsFunc(d.Fingerprints(), func(f string) bool { return !slices.Contains(c.certified, f) })
	}
	if !stranger(d) {
		return true, nil
	}
	for _, part := range parts {
		switch {
		case part.Transport != nil && part.Transport.remoteSet && stranger(part.Description):
			return false, errOtherCertificate
		case (c.cfg.Verification.Code != "" || c.cfg.Verification.Required) && stranger(part.Description):
			return false, errors.New("its new transport has a certificate of its own, which is not in the verification code")
		}
	}
	return false, nil
}

// confirmVerification lets go what was held.
func (c *Call) confirmVerification() {
	if !c.cfg.held.Swap(false) {
		return
	}
	close(c.cfg.free)
	for _, conn := range c.conns {
		sent, _ := conn.streams.all(conn.pc)
		for _, out := range sent {
			out.RequestKeyFrame()
		}
	}
	c.cfg.OnEvent(VerificationCode{c.code, true})
	c.sendText()
}

// errDeclined ends a call whose code differs.
func (c *Call) errDeclined() error {
	return &Error{Verification, fmt.Errorf("the verification code %s was not confirmed; "+
		"if the other side sees another one, somebody sits in between", c.code)}
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
