package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
)

// jwtKey is a key to verify tokens with, and the only algorithm it is for: what a token says of itself decides nothing.
type jwtKey struct {
	id        string // kid, "" for none
	algorithm string
	key       any
}

const (
	minSecret  = 32   // bytes, as long as the hash of HS256 (RFC 7518, 3.2)
	minModulus = 2048 // bits, of RS256 (RFC 7518, 3.3)
)

func parseJWTKeys(file []byte) ([]jwtKey, error) {
	trimmed := bytes.TrimSpace(file)
	switch {
	case bytes.HasPrefix(trimmed, []byte("-----BEGIN ")):
		return parsePEMKeys(trimmed)
	case bytes.HasPrefix(trimmed, []byte("{")):
		return parseJWKs(trimmed)
	case len(trimmed) < minSecret:
		return nil, fmt.Errorf("as a secret its %d bytes are too few; use at least %d, made by chance", len(trimmed), minSecret)
	}
	return []jwtKey{{algorithm: "HS256", key: trimmed}}, nil
}

func parsePEMKeys(file []byte) ([]jwtKey, error) {
	var keys []jwtKey
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		key, err := publicKeyOf(block)
		if err != nil {
			return nil, fmt.Errorf("its key cannot be used: %w", err)
		}
		k, err := jwtKeyOf(key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("its PEM is damaged")
	}
	return keys, nil
}

func publicKeyOf(block *pem.Block) (any, error) {
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
	return nil, fmt.Errorf("a %.100q is of no use here; give the public key", block.Type)
}

// jwtKeyOf returns a key with the algorithm of its kind.
func jwtKeyOf(key any) (jwtKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return jwtKey{algorithm: "EdDSA", key: k}, nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return jwtKey{algorithm: "ES256", key: k}, nil
		}
		return jwtKey{}, errors.New("its curve is not P-256")
	case *rsa.PublicKey:
		if k.N.BitLen() >= minModulus {
			return jwtKey{algorithm: "RS256", key: k}, nil
		}
		return jwtKey{}, fmt.Errorf("its RSA key has %d bits, fewer than %d", k.N.BitLen(), minModulus)
	}
	return jwtKey{}, fmt.Errorf("a key of the kind %T is not used for tokens here; use Ed25519, P-256 or RSA", key)
}

// jwk is a JSON Web Key (RFC 7517) of the kinds that are used here (RFC 7518, 6; RFC 8037).
type jwk struct {
	Type    string `json:"kty"`
	ID      string `json:"kid"`
	Use     string `json:"use"`
	Curve   string `json:"crv"`
	X, Y    string
	N, E    string
	Secret  string `json:"k"`
	Private string `json:"d"`
	Keys    []jwk  `json:"keys"`
}

func parseJWKs(file []byte) ([]jwtKey, error) {
	var set jwk
	if err := json.Unmarshal(file, &set); err != nil {
		return nil, fmt.Errorf("it is neither a JWK nor a set of them: %w", err)
	}
	if set.Type != "" {
		set.Keys = []jwk{set}
	}
	var keys []jwtKey
	for _, k := range set.Keys {
		if k.Use != "" && k.Use != "sig" {
			continue
		}
		key, err := k.key()
		if err != nil {
			return nil, err
		}
		key.id = k.ID
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key for signatures")
	}
	return keys, nil
}

func (k jwk) key() (jwtKey, error) {
	if k.Private != "" {
		return jwtKey{}, errors.New("it holds a private key; give the public one, the server has no use for another")
	}
	switch k.Type + " " + k.Curve {
	case "oct ":
		secret, err := base64.RawURLEncoding.DecodeString(k.Secret)
		if err != nil || len(secret) < minSecret {
			return jwtKey{}, fmt.Errorf("its secret is not base64url of at least %d bytes", minSecret)
		}
		return jwtKey{algorithm: "HS256", key: secret}, nil
	case "OKP Ed25519":
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return jwtKey{}, errors.New("its Ed25519 key is damaged")
		}
		return jwtKeyOf(ed25519.PublicKey(x))
	case "EC P-256":
		return k.ecdsa()
	case "RSA ":
		n, e := bigOf(k.N), bigOf(k.E)
		if n == nil || e == nil || !e.IsInt64() || e.Int64() < 3 || e.Int64() >= 1<<31 {
			return jwtKey{}, errors.New("its RSA key is damaged")
		}
		return jwtKeyOf(&rsa.PublicKey{N: n, E: int(e.Int64())})
	}
	return jwtKey{}, fmt.Errorf("a JWK of the kind %.100q is not used for tokens here; use OKP Ed25519, EC P-256, RSA or oct", k.Type+" "+k.Curve)
}

func (k jwk) ecdsa() (jwtKey, error) {
	x, errX := base64.RawURLEncoding.DecodeString(k.X)
	y, errY := base64.RawURLEncoding.DecodeString(k.Y)
	if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 {
		return jwtKey{}, errors.New("its P-256 key is damaged")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return jwtKey{}, fmt.Errorf("its P-256 key is damaged: %w", err)
	}
	return jwtKeyOf(key)
}

func bigOf(text string) *big.Int {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil
	}
	return new(big.Int).SetBytes(b)
}
