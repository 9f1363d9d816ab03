package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
)

// verificationKey is a key that verifies tokens of one algorithm. The algorithm follows from the
// kind of key, never from a token (RFC 8725, section 3.1).
type verificationKey struct {
	id        string // kid; "" for none
	algorithm string
	key       any
}

// algorithms are the ones that a verificationKey may have.
var algorithms = []string{"EdDSA", "ES256", "RS256", "HS256"}

const (
	minSecret  = 32   // bytes, the size of the hash of HS256 (RFC 7518, section 3.2)
	minModulus = 2048 // bits, for RS256 (RFC 7518, section 3.3)
	maxModulus = 8192 // bits: verification takes time that grows with the square
	maxKeys    = 64
)

// parseKeys returns the keys in PEM, in a JWK or JWK Set (RFC 7517), or else the secret that data
// is.
func parseKeys(data []byte) ([]verificationKey, error) {
	data = bytes.TrimSpace(data)
	var keys []verificationKey
	var err error
	switch {
	case bytes.HasPrefix(data, []byte("-----BEGIN ")):
		keys, err = parsePEM(data)
	case bytes.HasPrefix(data, []byte("{")):
		keys, err = parseJWKs(data)
	case len(data) < minSecret:
		err = fmt.Errorf("invalid secret: got %d bytes, want at least %d random ones", len(data), minSecret)
	default:
		keys = []verificationKey{{algorithm: "HS256", key: data}}
	}
	if err == nil && len(keys) > maxKeys {
		err = fmt.Errorf("too many keys: got %d, want at most %d", len(keys), maxKeys)
	}
	return keys, err
}

func parsePEM(data []byte) ([]verificationKey, error) {
	var keys []verificationKey
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		public, err := parsePublicKey(block)
		if err != nil {
			return nil, fmt.Errorf("invalid PEM block: %w", err)
		}
		key, err := newVerificationKey("", public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("invalid PEM: no complete block")
	}
	return keys, nil
}

func parsePublicKey(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	return nil, fmt.Errorf("got %.40q, want PUBLIC KEY or CERTIFICATE", block.Type)
}

// errUnsupported is wrapped by the error for a key of a kind that no supported algorithm uses.
var errUnsupported = errors.New("want Ed25519, P-256, RSA or a secret")

// newVerificationKey returns a key with the algorithm of its kind.
func newVerificationKey(id string, key any) (verificationKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return verificationKey{id, "EdDSA", k}, nil
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return verificationKey{}, fmt.Errorf("unsupported key: got curve %s, %w", k.Curve.Params().Name, errUnsupported)
		}
		return verificationKey{id, "ES256", k}, nil
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minModulus || bits > maxModulus {
			return verificationKey{}, fmt.Errorf("invalid RSA key: got %d bits, want %d to %d", bits, minModulus, maxModulus)
		}
		return verificationKey{id, "RS256", k}, nil
	case []byte:
		if len(k) < minSecret {
			return verificationKey{}, fmt.Errorf("invalid secret: got %d bytes, want at least %d random ones", len(k), minSecret)
		}
		return verificationKey{id, "HS256", k}, nil
	}
	return verificationKey{}, fmt.Errorf("unsupported key: got %T, %w", key, errUnsupported)
}

// parseJWKs returns the keys of a JWK or of a JWK Set. In a set, keys for encryption and keys of
// unsupported kinds are ignored (RFC 7517, section 5).
func parseJWKs(data []byte) ([]verificationKey, error) {
	var set struct {
		jwkset.JWKMarshal
		Keys []jwkset.JWKMarshal `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("invalid JWK Set: %w", err)
	}
	if set.KTY != "" {
		key, err := parseJWK(set.JWKMarshal)
		if err != nil {
			return nil, err
		}
		return []verificationKey{key}, nil
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("too many keys: got %d, want at most %d", len(set.Keys), maxKeys)
	}
	var keys []verificationKey
	for _, jwk := range set.Keys {
		key, err := parseJWK(jwk)
		switch {
		case errors.Is(err, errUnsupported):
			continue
		case err != nil:
			return nil, err
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("invalid JWK Set: none of its %d keys verifies signatures: %w", len(set.Keys), errUnsupported)
	}
	return keys, nil
}

// parsePublicJWKs returns the public keys of a JWK or of a JWK Set: what a URL returns is no
// secret.
func parsePublicJWKs(data []byte) ([]verificationKey, error) {
	data = bytes.TrimSpace(data)
	if !bytes.HasPrefix(data, []byte("{")) {
		return nil, fmt.Errorf("got %.20q, want a JWK Set", data)
	}
	keys, err := parseJWKs(data)
	if err != nil {
		return nil, err
	}
	keys = slices.DeleteFunc(keys, func(k verificationKey) bool { return k.algorithm == "HS256" })
	if len(keys) == 0 {
		return nil, errors.New("invalid JWK Set: it has no public key")
	}
	return keys, nil
}

func parseJWK(jwk jwkset.JWKMarshal) (verificationKey, error) {
	fail := func(err error) (verificationKey, error) {
		return verificationKey{}, fmt.Errorf("invalid JWK %.40q: %w", jwk.KID, err)
	}
	if jwk.D != "" {
		return fail(errors.New("it is a private key; give the public one"))
	}
	if jwk.USE != "" && jwk.USE != jwkset.UseSig || len(jwk.KEYOPS) > 0 && !slices.Contains(jwk.KEYOPS, jwkset.KeyOpsVerify) {
		return fail(fmt.Errorf("it does not verify signatures: %w", errUnsupported))
	}
	// Private lets secrets (kty oct) pass; private keys were rejected above. Keys are never fetched
	// from x5u.
	parsed, err := jwkset.NewJWKFromMarshal(jwk, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
	if errors.Is(err, jwkset.ErrUnsupportedKey) {
		return fail(fmt.Errorf("got kty %.20q and crv %.20q: %w", jwk.KTY, jwk.CRV, errUnsupported))
	}
	if err != nil {
		return fail(err)
	}
	key, err := newVerificationKey(jwk.KID, parsed.Key())
	if err != nil {
		return fail(err)
	}
	if jwk.ALG != "" && jwk.ALG.String() != key.algorithm {
		return fail(fmt.Errorf("got alg %.20q, want %s: %w", jwk.ALG, key.algorithm, errUnsupported))
	}
	return key, nil
}
