// Package auth decides who may sign in at a signaling server, and with which name.
package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parley/signal"
)

// JWTOptions are the choices of LoadJWT. The zero value works.
type JWTOptions struct {
	// Audience must be among the aud of a token. Default: any, so that a token made for another service with the same key is good.
	Audience string
	// Leeway is what clocks may differ by. Default: 30 seconds; negative: not at all.
	Leeway time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// JWT authorizes clients by their JSON Web Token (RFC 7519).
type JWT struct {
	keys   []jwtKey
	parser *jwt.Parser
}

// LoadJWT returns a JWT that accepts tokens signed with a key of the file at path: a public key or certificate in PEM, a JWK or
// a set of them, or a secret of at least 32 bytes as it is. The kind of key decides the only algorithm that goes with it: EdDSA, ES256,
// RS256 or HS256. A token's sub is the name that its bearer may sign in with; it has to have an exp.
func LoadJWT(path string, options *JWTOptions) (*JWT, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the key for tokens cannot be read: %w", err)
	}
	keys, err := parseJWTKeys(file)
	if err != nil {
		return nil, fmt.Errorf("%s holds no key for tokens: %w", path, err)
	}
	if options == nil {
		options = &JWTOptions{}
	}
	return &JWT{keys: keys, parser: jwt.NewParser(options.parserOptions(keys)...)}, nil
}

func (o JWTOptions) parserOptions(keys []jwtKey) []jwt.ParserOption {
	leeway := o.Leeway
	if leeway == 0 {
		leeway = 30 * time.Second
	}
	var algorithms []string
	for _, k := range keys {
		if !slices.Contains(algorithms, k.algorithm) {
			algorithms = append(algorithms, k.algorithm)
		}
	}
	opts := []jwt.ParserOption{jwt.WithValidMethods(algorithms), jwt.WithExpirationRequired(), jwt.WithLeeway(max(leeway, 0))}
	if o.Audience != "" {
		opts = append(opts, jwt.WithAudience(o.Audience))
	}
	if o.Now != nil {
		opts = append(opts, jwt.WithTimeFunc(o.Now))
	}
	return opts
}

// Authorize returns the identity of a token's subject, or a *signal.Denied.
func (a *JWT) Authorize(_ context.Context, l signal.LoginRequest) (signal.Identity, error) {
	if l.Token == "" {
		return signal.Identity{}, &signal.Denied{Reason: "a token is needed to sign in here"}
	}
	var claims jwt.RegisteredClaims
	if _, err := a.parser.ParseWithClaims(l.Token, &claims, a.key); err != nil {
		return signal.Identity{}, &signal.Denied{Reason: jwtReason(err)}
	}
	if claims.Subject == "" || claims.Subject != l.Name {
		return signal.Identity{}, &signal.Denied{Reason: "the token is for another name"}
	}
	return signal.Identity{Name: l.Name}, nil
}

// key returns the keys that a token may be signed with: those of its algorithm, and of its kid, if both have one.
func (a *JWT) key(t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	var set jwt.VerificationKeySet
	for _, k := range a.keys {
		if k.algorithm == t.Method.Alg() && (kid == "" || k.id == "" || k.id == kid) {
			set.Keys = append(set.Keys, k.key)
		}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("no key fits")
	}
	return set, nil
}

// jwtReason tells no more than its bearer can read in the token.
func jwtReason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "the token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "the token is not valid yet"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "the token is for another audience"
	}
	return "the token is not good"
}
