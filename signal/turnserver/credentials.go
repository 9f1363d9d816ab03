package turnserver

import (
	"crypto/hmac"
	"crypto/sha1" // what the draft and coturn use; HMAC does not need collision resistance
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Credentials makes and checks time-limited passwords. The user name is "EXPIRY:NAME" with EXPIRY
// in seconds since 1970, the password is base64(HMAC-SHA1(secret, user name)):
// draft-uberti-behave-turn-rest-00 section 2.2. A coturn with use-auth-secret and the same
// static-auth-secret accepts them too.
type Credentials struct {
	// Secret is shared by those who make credentials and those who check them. With it anybody can
	// use the TURN server under any name. Required.
	Secret string
	// TTL is how long a credential can begin allocations. Allocations outlive it. Default: 24
	// hours, as in the draft: clients get credentials at login, and may wait long for a call.
	TTL time.Duration
	// Now returns the current time. Default: time.Now.
	Now func() time.Time
}

const defaultTTL = 24 * time.Hour

// Errors of credentials.
var (
	errMalformed = errors.New("malformed user name: want EXPIRY:NAME")
	errExpired   = errors.New("credential has expired")
)

// Make returns a user name and its password for name.
func (c Credentials) Make(name string) (username, password string) {
	ttl := c.TTL
	if ttl <= 0 {
		ttl = defaultTTL
	}
	username = strconv.FormatInt(c.now().Add(ttl).Unix(), 10) + ":" + userID(name)
	return username, c.password(username)
}

// userID returns the name part of a user name: the name if all implementations treat it alike, else
// its hash. STUN prepares user names with OpaqueString (RFC 8265), which some implementations do
// not, and coturn splits them at colons.
func userID(name string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.@", r)
	}
	if name != "" && strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "x" + hex.EncodeToString(sum[:12])
}

func (c Credentials) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c Credentials) password(username string) string {
	mac := hmac.New(sha1.New, []byte(c.Secret))
	mac.Write([]byte(username))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// check returns the name in a user name and the password that the client must have. The expiry
// counts only when allocating: an allocation outlives its credential, and refreshes carry the same
// one.
func (c Credentials) check(username string, allocating bool) (user, password string, err error) {
	expiry, user, ok := strings.Cut(username, ":")
	seconds, numberErr := strconv.ParseInt(expiry, 10, 64)
	switch {
	case !ok || user == "" || numberErr != nil:
		return "", "", errMalformed
	case allocating && seconds < c.now().Unix():
		return "", "", errExpired
	}
	return user, c.password(username), nil
}
