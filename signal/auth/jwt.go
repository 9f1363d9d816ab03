// Package auth authorizes logins at a signaling server.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"parley/signal"
)

// JWTOptions are the options of LoadJWT. The zero value works.
type JWTOptions struct {
	// Audience must be among the aud of a token. Default: any, so a token that was made for another
	// service with the same key is accepted.
	Audience string
	// Issuer must be the iss of a token. Default: any.
	Issuer string
	// Leeway is the difference that clocks may have. Default: 30 seconds; negative: none.
	Leeway time.Duration
	// Client requests a JWK Set. Default: a client that follows no redirects.
	Client *http.Client
	// Logger gets a message when keys were read again, or cannot be used. Default: none.
	Logger *slog.Logger
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// JWT authorizes clients by their JSON Web Token (RFC 7519).
type JWT struct {
	keys   *keySet
	parser *jwt.Parser
	leeway time.Duration
	now    func() time.Time
}

// LoadJWT returns a JWT that accepts tokens signed with a key of location: the path of a file with
// a public key or certificate in PEM, with a JWK or a JWK Set (RFC 7517), or with a secret of at
// least 32 bytes; or the https URL of a JWK Set. The kind of key determines the only algorithm that
// it verifies: EdDSA, ES256, RS256 or HS256. The sub of a token is the name that its bearer may
// sign in with; exp is required, and ends the session.
//
// Keys are read again when the file changes, every five minutes from a URL, and from either when a
// token has an unknown key, so keys can be rotated. If that fails, the keys in use stay.
func LoadJWT(ctx context.Context, location string, options *JWTOptions) (*JWT, error) {
	var o JWTOptions
	if options != nil {
		o = *options
	}
	if o.Leeway == 0 {
		o.Leeway = 30 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	keys, err := newKeySet(ctx, location, o)
	if err != nil {
		return nil, err
	}
	leeway := max(o.Leeway, 0)
	opts := []jwt.ParserOption{jwt.WithValidMethods(algorithms), jwt.WithExpirationRequired(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(o.Now)}
	if o.Audience != "" {
		opts = append(opts, jwt.WithAudience(o.Audience))
	}
	if o.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(o.Issuer))
	}
	return &JWT{keys: keys, parser: jwt.NewParser(opts...), leeway: leeway, now: o.Now}, nil
}

// Authorize returns the identity of the token's subject, or a *signal.Denied.
func (a *JWT) Authorize(ctx context.Context, r signal.LoginRequest) (signal.Identity, error) {
	if r.Token == "" {
		return signal.Identity{}, &signal.Denied{Reason: "a token is needed to sign in here"}
	}
	keys := a.keys.current(ctx)
	claims, err := a.parse(r.Token, keys)
	if errors.Is(err, jwt.ErrTokenUnverifiable) || errors.Is(err, jwt.ErrTokenSignatureInvalid) {
		if keys, changed := a.keys.refresh(ctx, keys); changed {
			claims, err = a.parse(r.Token, keys)
		}
	}
	if err != nil {
		return signal.Identity{}, &signal.Denied{Reason: reason(err)}
	}
	if claims.Subject == "" || claims.Subject != r.Name && (r.Name != "" || signal.CheckName(claims.Subject) != nil) {
		return signal.Identity{}, &signal.Denied{Reason: "the token is for another name"}
	}
	expires := claims.ExpiresAt.Time
	if !expires.After(a.now()) { // only the leeway is left
		expires = expires.Add(a.leeway)
	}
	return signal.Identity{Name: claims.Subject, Subject: claims.Subject, Expires: expires}, nil
}

func (a *JWT) parse(token string, keys []verificationKey) (claims jwt.RegisteredClaims, err error) {
	_, err = a.parser.ParseWithClaims(token, &claims, func(t *jwt.Token) (any, error) { return matching(keys, t) })
	return claims, err
}

// matching returns the keys that a token may be signed with: those of its algorithm, and of its kid
// if both have one.
func matching(keys []verificationKey, t *jwt.Token) (any, error) {
	kid, _ := t.Header["kid"].(string)
	var set jwt.VerificationKeySet
	for _, k := range keys {
		if k.algorithm == t.Method.Alg() && (kid == "" || k.id == "" || k.id == kid) {
			set.Keys = append(set.Keys, k.key)
		}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("unknown key")
	}
	return set, nil
}

// reason says no more than the bearer can read in the token.
func reason(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "the token has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "the token is not valid yet"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return "the token is for another audience"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return "the token is from another issuer"
	}
	return "invalid token"
}
