package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// DefaultSkew is by how much the clock of a token's issuer may differ from ours.
	DefaultSkew = time.Minute
	// MaxSkew is the largest difference that can be allowed.
	MaxSkew = 5 * time.Minute

	maxToken = 16 << 10 // bytes of a token
)

// Algorithms are the signatures that a [JWT] can be told to take (RFC 7518 section 3.1,
// RFC 8037). "none" is not among them.
var Algorithms = []string{
	"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512",
}

// defaultAlgorithms are what is taken that is not said, of public keys.
var defaultAlgorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}

// JWTConfig says which tokens a site takes for sessions, and what they say of the player.
type JWTConfig struct {
	// Sessions are the places where the site looks for a token, at least one, as in
	// [UpstreamConfig]. In a cookie the token stands by itself; in a header it may follow
	// one word, such as "JWT".
	Sessions []Session

	// JWKS is the URL at which the issuer publishes its public keys, a JWK Set (RFC 7517):
	// https, or http on this machine or in a private network. It is asked when a key is
	// needed: again when what is known is five minutes old, and when a token names a key
	// that is not known, but not twice within ten seconds. No redirect is followed. If it
	// does not answer, what is known counts for an hour.
	JWKS string
	// Keys are public keys, instead: the contents of files in PEM (PKIX, PKCS #1 or
	// certificates, of which the key alone counts) or of a JWK or JWK Set.
	Keys [][]byte
	// Secret is the key that issuer and site share, instead of public keys: as many bytes
	// as the algorithm's hash has, or more. DANGER: whoever reads it makes tokens.
	Secret []byte
	// Algorithms are the signatures that are taken. Default: RS256, PS256, ES256 and EdDSA,
	// or HS256 with a Secret.
	Algorithms []string

	// Issuer is what the claim "iss" has to be.
	Issuer string
	// Audience is what the claim "aud" has to name, one of these at least: the site's own
	// name at the issuer.
	Audience []string
	// Unscoped allows Issuer, Audience or both to be left out; what is left out is not
	// looked at. DANGER: every token that the same keys have signed then counts, whatever it
	// was made for.
	Unscoped bool
	// Type is what the header "typ" has to be, such as at+jwt (RFC 9068). Default: JWT,
	// at+jwt or nothing. Neither case nor "application/" in front counts.
	Type string
	// Require is what else a token has to say: the place of a claim and the texts of which
	// it has to be one. It keeps tokens apart that an issuer makes for several purposes.
	Require map[string][]string
	// Skew is by how much the issuer's clock may differ from ours, up to [MaxSkew]. Default:
	// [DefaultSkew]. DANGER: less than the site itself allows makes a visitor of whoever
	// sends a token that has just expired, and that the site still takes.
	Skew time.Duration

	// Subject, Login, Email and Phone say under which claim each stands: names, joined by
	// dots where one stands inside of another; a dot that is part of a name is written \.
	// Default of Subject: sub. Others: none.
	Subject string
	Login   string
	Email   string
	Phone   string
	// Missing says that the site gives visitors tokens without a subject.
	Missing bool
	// BindSubject and BindClaim bind step-ups to the subject or to a claim, such as "sid",
	// instead of to the token, for tokens that are renewed all the time: see
	// [Identity.Binding]. At most one. A token without the claim is an error.
	BindSubject bool
	BindClaim   string

	// Timeout is how long asking for the keys may take. Default: [DefaultTimeout].
	Timeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// JWT learns identities from tokens that their issuer has signed (RFC 7519), as the site
// does. It verifies each anew and remembers nothing.
//
// # What is a visitor, and what an error
//
// Rules may let visitors through that stop players, as one about new devices does. So
// what counts as a visitor's here must be nobody's at the site:
//
//   - A text that is no token of these keys: broken, forged, under an algorithm that is
//     not allowed or a key that the issuer does not publish. The site, which verifies with
//     the same keys, refuses it. What it takes beside them has to be described here.
//   - A token that has expired, by more than the clocks may differ.
//
// A token that the issuer did sign, and that has not expired, is never a visitor's. If it
// names another audience or issuer, is not valid yet, has no end, no subject or none of
// what is required, the site may honour it all the same, because it looks at less than we
// do. We do not know whose request that is, and say so with an error that names the claim
// and not what stands in it. The same goes for keys that cannot be had.
//
// # The attacks
//
// RFC 8725 has the list; jwt_attack_test.go goes through it. What a token's header says
// is a hint for choosing among the keys that we have ("kid"), and is compared with what
// the key is for ("alg"). It brings no key along: "jwk", "jku", "x5u" and "x5c" are not
// looked at. Extensions ("crit") and tokens in tokens ("cty") are refused.
type JWT struct {
	Finder
	keys       keySource
	algorithms []jose.SignatureAlgorithm
	expected   expected
	skew       time.Duration
	now        func() time.Time
}

// keySource finds the keys with which a token may be signed.
type keySource interface {
	// find returns the keys that fit what a token's header says; none if there are none.
	// An error says that the keys could not be had, or must not be used.
	find(ctx context.Context, id string, algorithm jose.SignatureAlgorithm) ([]any, error)
}

// NewJWT returns an error that says what is wrong with c, if anything is. It asks
// nothing.
func NewJWT(c JWTConfig) (*JWT, error) {
	finder, err := NewFinder(c.Sessions...)
	if err != nil {
		return nil, fmt.Errorf("identity jwt: %w", err)
	}
	j := &JWT{Finder: finder, skew: c.Skew, now: c.Now}
	if j.now == nil {
		j.now = time.Now
	}
	if j.skew == 0 {
		j.skew = DefaultSkew
	}
	switch {
	case j.skew < 0 || j.skew > MaxSkew:
		return nil, fmt.Errorf("identity jwt: skew is %s: want up to %s", c.Skew, MaxSkew)
	case c.Timeout < 0:
		return nil, fmt.Errorf("identity jwt: timeout is %s: want more than 0", c.Timeout)
	case c.Timeout == 0:
		c.Timeout = DefaultTimeout
	}
	if j.algorithms, err = c.algorithms(); err != nil {
		return nil, fmt.Errorf("identity jwt: %w", err)
	}
	if j.keys, err = c.keys(j.algorithms, j.now); err != nil {
		return nil, fmt.Errorf("identity jwt: %w", err)
	}
	if j.expected, err = newExpected(c); err != nil {
		return nil, fmt.Errorf("identity jwt: %w", err)
	}
	return j, nil
}

// algorithms returns the allow-list. One that had both kinds would let whoever knows a
// public key sign with it as if it were a secret.
func (c *JWTConfig) algorithms() ([]jose.SignatureAlgorithm, error) {
	names := c.Algorithms
	if len(names) == 0 {
		names = defaultAlgorithms
		if c.Secret != nil {
			names = []string{"HS256"}
		}
	}
	var list []jose.SignatureAlgorithm
	for _, name := range names {
		switch symmetric := strings.HasPrefix(name, "HS"); {
		case !slices.Contains(Algorithms, name):
			return nil, fmt.Errorf("algorithm %q: want one or more of %s", name, strings.Join(Algorithms, ", "))
		case symmetric && c.Secret == nil:
			return nil, fmt.Errorf("algorithm %s is for a shared secret, and there is none: want one such as RS256 or ES256", name)
		case !symmetric && c.Secret != nil:
			return nil, fmt.Errorf("algorithm %s is for public keys, and a secret is given: want HS256, HS384 or HS512", name)
		}
		list = append(list, jose.SignatureAlgorithm(name))
	}
	return list, nil
}

// keys returns where the keys come from.
func (c *JWTConfig) keys(algorithms []jose.SignatureAlgorithm, now func() time.Time) (keySource, error) {
	given := 0
	for _, is := range []bool{c.JWKS != "", len(c.Keys) > 0, c.Secret != nil} {
		if is {
			given++
		}
	}
	switch {
	case given == 0:
		return nil, errors.New("want the URL of the issuer's keys, or its public keys")
	case given > 1:
		return nil, errors.New("want the URL of the issuer's keys, or its public keys, or a secret: one of the three")
	case c.JWKS != "":
		return newJWKS(c.JWKS, c.Timeout, now)
	case c.Secret != nil:
		return newSecret(c.Secret, algorithms)
	default:
		return newStatic(c.Keys, algorithms)
	}
}

// Identify verifies each token that the request bears. It returns [ErrAnonymous] for what
// the site cannot honour, [ErrAmbiguous] if there are several that are not of one player
// or of which one is not known, and another error for what the issuer did sign and cannot
// be taken, as JWT describes. r is not used.
func (j *JWT) Identify(ctx context.Context, _ *http.Request, c Credential) (Identity, error) {
	id, _, err := agree(c, false, func(one Credential) (Identity, *Memo, error) {
		id, err := j.verify(ctx, one)
		return id, new(Memo), err
	})
	return id, err
}

// verify is Identify for one credential.
func (j *JWT) verify(ctx context.Context, c Credential) (Identity, error) {
	switch {
	case c.Value == "":
		return Identity{}, ErrAnonymous
	case !j.looksFor(c):
		return Identity{}, errors.New("reading a token: the credential is not of its kind")
	}
	text := c.Value
	if _, after, ok := strings.Cut(text, " "); ok && c.Kind == Header {
		text = after
	}
	token, ok := parseToken(text, j.algorithms)
	if !ok {
		return Identity{}, ErrAnonymous
	}
	keys, err := j.keys.find(ctx, token.keyID, token.algorithm)
	if err != nil {
		return Identity{}, fmt.Errorf("reading a token: %w", err)
	}
	payload, ok := token.verify(keys)
	if !ok {
		return Identity{}, ErrAnonymous
	}
	id, err := j.expected.read(token, payload, j.now(), j.skew)
	if err != nil && !errors.Is(err, ErrAnonymous) {
		return Identity{}, fmt.Errorf("reading a token of the issuer's: %w", err)
	}
	return id, err
}

var _ Source = (*JWT)(nil)
