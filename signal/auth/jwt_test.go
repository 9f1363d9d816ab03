package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parley/signal"
	"parley/signal/auth"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

const secret = "0123456789abcdef0123456789abcdef"

func write(t *testing.T, content []byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pemOf(t *testing.T, public any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func sign(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func claims(more ...any) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "alice", "exp": 2000}
	for i := 0; i < len(more); i += 2 {
		if more[i+1] == nil {
			delete(c, more[i].(string))
		} else {
			c[more[i].(string)] = more[i+1]
		}
	}
	return c
}

// TestJWT brings tokens of every kind, good and bad, at the second 1000 of a clock.
func TestJWT(t *testing.T) {
	edPublic, ed, _ := ed25519.GenerateKey(rand.Reader)
	_, edOther, _ := ed25519.GenerateKey(rand.Reader)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	point, err := ec.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	set, _ := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "OKP", "crv": "Ed25519", "x": b64(edPublic), "kid": "one"},
		{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:]), "kid": "two"},
		{"kty": "RSA", "n": b64(rs.N.Bytes()), "e": "AQAB", "kid": "three", "use": "sig"},
		{"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"},
		{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"},
		{"kty": "unheard of"},
	}})
	oct, _ := json.Marshal(map[string]string{"kty": "oct", "k": b64([]byte(secret))})
	edFile, ecFile, rsFile := pemOf(t, edPublic), pemOf(t, &ec.PublicKey), pemOf(t, &rs.PublicKey)
	const good, none = "", "invalid token"
	for name, tc := range map[string]struct {
		file  []byte
		token string
		want  string
	}{
		"Ed25519":                            {edFile, sign(t, jwt.SigningMethodEdDSA, ed, claims(), ""), good},
		"P-256":                              {ecFile, sign(t, jwt.SigningMethodES256, ec, claims(), ""), good},
		"RSA":                                {rsFile, sign(t, jwt.SigningMethodRS256, rs, claims(), ""), good},
		"a secret":                           {[]byte(secret + "\n"), sign(t, jwt.SigningMethodHS256, []byte(secret), claims(), ""), good},
		"a JWK":                              {oct, sign(t, jwt.SigningMethodHS256, []byte(secret), claims(), ""), good},
		"several keys in PEM":                {append(append([]byte{}, edFile...), ecFile...), sign(t, jwt.SigningMethodES256, ec, claims(), ""), good},
		"a set, the first":                   {set, sign(t, jwt.SigningMethodEdDSA, ed, claims(), "one"), good},
		"a set, the second":                  {set, sign(t, jwt.SigningMethodES256, ec, claims(), "two"), good},
		"a set, the third, unnamed":          {set, sign(t, jwt.SigningMethodRS256, rs, claims(), ""), good},
		"a set, the wrong name":              {set, sign(t, jwt.SigningMethodRS256, rs, claims(), "one"), none},
		"within the leeway":                  {edFile, sign(t, jwt.SigningMethodEdDSA, ed, claims("exp", 971, "nbf", 1029), ""), good},
		"expired":                            {edFile, sign(t, jwt.SigningMethodEdDSA, ed, claims("exp", 960), ""), "the token has expired"},
		"without end":                        {edFile, sign(t, jwt.SigningMethodEdDSA, ed, claims("exp", nil), ""), none},
		"not yet":                            {edFile, sign(t, jwt.SigningMethodEdDSA, ed, claims("nbf", 1040), ""), "the token is not valid yet"},
		"for bob":                            {edFile, sign(t, jwt.SigningMethodEdDSA, ed, claims("sub", "bob"), ""), "the token is for another name"},
		"for nobody":                         {edFile, sign(t, jwt.SigningMethodEdDSA, ed, claims("sub", nil), ""), "the token is for another name"},
		"another key":                        {edFile, sign(t, jwt.SigningMethodEdDSA, edOther, claims(), ""), none},
		"unsigned":                           {edFile, sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(), ""), none},
		"unsigned, for a secret":             {[]byte(secret), sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(), ""), none},
		"the public key as a secret":         {rsFile, sign(t, jwt.SigningMethodHS256, rsFile, claims(), ""), none},
		"the trimmed public key as a secret": {rsFile, sign(t, jwt.SigningMethodHS256, []byte(strings.TrimSpace(string(rsFile))), claims(), ""), none},
		"another hash":                       {[]byte(secret), sign(t, jwt.SigningMethodHS512, []byte(secret), claims(), ""), none},
		"another padding":                    {rsFile, sign(t, jwt.SigningMethodPS256, rs, claims(), ""), none},
		"nothing":                            {edFile, "", "a token is needed to sign in here"},
		"nonsense":                           {edFile, "nonsense", none},
		"a changed claim":                    {edFile, changed(sign(t, jwt.SigningMethodEdDSA, ed, claims("sub", "bob"), "")), none},
	} {
		t.Run(name, func(t *testing.T) {
			tokens, err := auth.LoadJWT(t.Context(), write(t, tc.file), &auth.JWTOptions{Now: func() time.Time { return time.Unix(1000, 0) }})
			if err != nil {
				t.Fatal(err)
			}
			grant, err := tokens.Authorize(t.Context(), signal.LoginRequest{Name: "alice", Token: tc.token})
			var refusal *signal.Denied
			switch {
			case tc.want == good && (err != nil || grant.Name != "alice" || grant.Subject != "alice" || !grant.Expires.Equal(time.Unix(map[bool]int64{true: 971 + 30, false: 2000}[name == "within the leeway"], 0))):
				t.Errorf("got %+v, %v", grant, err)
			case tc.want != good && (!errors.As(err, &refusal) || refusal.Reason != tc.want):
				t.Errorf("got %v, %v", grant, err)
			}
		})
	}
}

// changed makes a token of bob one of alice.
func changed(token string) string {
	parts := strings.Split(token, ".")
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	parts[1] = b64([]byte(strings.Replace(string(payload), "bob", "alice", 1)))
	return strings.Join(parts, ".")
}

func TestJWTAudienceAndIssuer(t *testing.T) {
	tokens, err := auth.LoadJWT(t.Context(), write(t, []byte(secret)), &auth.JWTOptions{
		Audience: "parley", Issuer: "https://id.example", Now: func() time.Time { return time.Unix(1000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		aud, iss any
		want     string
	}{
		"good":             {"parley", "https://id.example", ""},
		"one of two":       {[]string{"other", "parley"}, "https://id.example", ""},
		"another audience": {"other", "https://id.example", "the token is for another audience"},
		"no audience":      {nil, "https://id.example", "invalid token"},
		"another issuer":   {"parley", "https://evil.example", "the token is from another issuer"},
		"no issuer":        {"parley", nil, "invalid token"},
	} {
		token := sign(t, jwt.SigningMethodHS256, []byte(secret), claims("aud", tc.aud, "iss", tc.iss), "")
		_, err := tokens.Authorize(t.Context(), signal.LoginRequest{Name: "alice", Token: token})
		if got := deniedReason(err); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

// deniedReason returns the reason of a *signal.Denied, "" for no error.
func deniedReason(err error) string {
	var denied *signal.Denied
	if errors.As(err, &denied) {
		return denied.Reason
	}
	if err != nil {
		return "error: " + err.Error()
	}
	return ""
}

// TestJWTKeyFiles gives files that hold no key of use; the error names the next step.
func TestJWTKeyFiles(t *testing.T) {
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	t.Setenv("GODEBUG", "rsa1024min=0")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	private, _ := x509.MarshalPKCS8PrivateKey(ed)
	large := &rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int), 16_384, 1), E: 65_537}
	many := `{"keys":[` + strings.Repeat(`{"kty":"oct","k":"`+b64([]byte(secret))+`"},`, 64) + `{"kty":"oct","k":"` + b64([]byte(secret)) + `"}]}`
	for want, file := range map[string][]byte{
		"got 4 bytes, want at least 32":      []byte("hush"),
		"want PUBLIC KEY":                    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"give the public one":                []byte(`{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}`),
		"invalid JWK \"k\": it is a private": []byte(`{"keys":[{"kid":"k","kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}]}`),
		"got curve P-384":                    pemOf(t, &p384.PublicKey),
		"got 1024 bits, want 2048 to 8192":   pemOf(t, &small.PublicKey),
		"got 16385 bits":                     []byte(`{"kty":"RSA","n":"` + b64(large.N.Bytes()) + `","e":"AQAB"}`),
		"invalid PEM block":                  []byte("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----"),
		"no complete block":                  []byte("-----BEGIN PUBLIC KEY-----\nAAAA"),
		"OKP key should be 32 bytes":         []byte(`{"kty":"OKP","crv":"Ed25519","x":"AA"}`),
		"not on the specified curve":         []byte(`{"kty":"EC","crv":"P-256","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}`),
		"crv \"secp256k1\"":                  []byte(`{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}`),
		"none of its 0 keys":                 []byte(`{"keys":[]}`),
		"none of its 2 keys":                 []byte(`{"keys":[{"kty":"XYZ"},{"kty":"oct","k":"` + b64([]byte(secret)) + `","use":"enc"}]}`),
		"got alg \"HS512\", want HS256":      []byte(`{"kty":"oct","alg":"HS512","k":"` + b64([]byte(secret)) + `"}`),
		"got 3 bytes, want at least 32":      []byte(`{"kty":"oct","k":"AAAA"}`),
		"invalid JWK Set":                    []byte(`{"kty":5}`),
		"is out of range":                    []byte(`{"kty":"RSA","n":"AQAB","e":"AA"}`),
		"got more than 131072 bytes":         []byte(strings.Repeat("x", 128<<10+1)),
		"too many keys: got 65":              []byte(many),
	} {
		if _, err := auth.LoadJWT(t.Context(), write(t, file), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := auth.LoadJWT(t.Context(), filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// A client that requests no name, as those of a gateway, gets that of the token, if it is one.
func TestJWTNamesTheClient(t *testing.T) {
	tokens, err := auth.LoadJWT(t.Context(), write(t, []byte(secret)), &auth.JWTOptions{Now: func() time.Time { return time.Unix(1000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	for subject, valid := range map[string]bool{"alice": true, "": false, "a  b": false, strings.Repeat("x", 65): false} {
		token := sign(t, jwt.SigningMethodHS256, []byte(secret), jwt.MapClaims{"sub": subject, "exp": 2000}, "")
		grant, err := tokens.Authorize(t.Context(), signal.LoginRequest{Token: token})
		if valid && (err != nil || grant.Name != subject) || !valid && !errors.As(err, new(*signal.Denied)) {
			t.Errorf("%.20q: got %+v, %v", subject, grant, err)
		}
	}
}
