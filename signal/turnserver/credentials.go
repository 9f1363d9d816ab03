package turnserver

import (
	"crypto/hmac"
	"crypto/sha1" // what the convention and coturn use; HMAC does not need its collision resistance
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Credentials makes and checks passwords for a limited time. The user name is "EXPIRY:NAME", EXPIRY in seconds since 1970, the
// password is base64(HMAC-SHA1(secret, user name)): draft-uberti-behave-turn-rest-00, section 2.2. A coturn with use-auth-secret and
// the same static-auth-secret takes them too.
type Credentials struct {
	// Secret is shared by those who make credentials and those who check them. Whoever has it can use the relay as anybody, for
	// ever. Needed.
	Secret string
	// TTL is how long after its making a credential can begin allocations. What was begun goes on. Default: 24 hours, what the
	// draft recommends: clients get theirs at login, and may wait long for a call.
	TTL time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

const defaultTTL = 24 * time.Hour

// Why a credential is refused.
var (
	errMalformed = errors.New("the user name is not EXPIRY:NAME")
	errExpired   = errors.New("the credential has expired")
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

// userID is a name as it stands in a credential: as it is when all implementations treat it alike, else its hash. A STUN user name
// is prepared with OpaqueString (RFC 8265), which not everybody does, and coturn splits it at a colon.
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

// check returns whose a user name is and the password that proves it, which the caller compares. Expiry counts only when
// something begins: a call that is up must not die with its credential, and refreshes carry the same one.
func (c Credentials) check(username string, begins bool) (user, password string, err error) {
	expiry, user, ok := strings.Cut(username, ":")
	seconds, numberErr := strconv.ParseInt(expiry, 10, 64)
	switch {
	case !ok || user == "" || numberErr != nil:
		return "", "", errMalformed
	case begins && seconds < c.now().Unix():
		return "", "", errExpired
	}
	return user, c.password(username), nil
}
