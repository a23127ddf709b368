package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/identity"
)

func init() { caddy.RegisterModule(new(JWTIdentity)) }

// JWTIdentity takes the identity from tokens (JWT, RFC 7519) that the site takes for
// sessions: it verifies them as the site does, and asks nobody but the issuer for its
// keys.
//
// Every kind of session that the site accepts has to be described. Where a request bears
// several tokens, all have to be good and of one player, or the request is refused. A
// text that is no token of these keys, and a token that has expired, count as nobody's. A
// token that the issuer did sign and that cannot be taken, as one for another audience,
// makes the request unavailable (503), and the log says why: the site may look at less.
type JWTIdentity struct {
	// Where the site looks for a token. At least one is required.
	Sessions []SessionPlace `json:"sessions,omitempty"`

	// The URL of the issuer's public keys (a JWK Set), such as
	// `https://login.casino.example/.well-known/jwks.json`: https, or http on this machine
	// or in a private network. New keys are fetched when a token names one, once in ten
	// seconds at most; withdrawn ones count for five minutes more, or for an hour while
	// the URL does not answer.
	JWKS string `json:"jwks,omitempty"`
	// Files with the issuer's public keys instead, in PEM or as JWK or JWK Set. They are
	// read at load.
	KeyFiles []string `json:"key_files,omitempty"`
	// A file with the secret that issuer and site share, instead of public keys: 32 bytes
	// or more for HS256, 48 for HS384, 64 for HS512; a line's end after it does not count.
	// DANGER: whoever reads it can make tokens.
	SecretFile string `json:"secret_file,omitempty"`
	// The signatures that are taken: RS256 to RS512, PS256 to PS512, ES256 to ES512, EdDSA,
	// and HS256 to HS512 with a secret. Default: RS256, PS256, ES256 and EdDSA; with a
	// secret HS256.
	Algorithms []string `json:"algorithms,omitempty"`

	// What the claim `iss` has to be. Required.
	Issuer string `json:"issuer,omitempty"`
	// The site's own names, of which the claim `aud` has to have one. Required.
	Audience []string `json:"audience,omitempty"`
	// What the header `typ` has to be, such as `at+jwt`. Default: `JWT`, `at+jwt` or none.
	Type string `json:"type,omitempty"`
	// Claims that a token has to have, and the texts of which each has to be one, such as
	// `token_type` and `access`. Default: none.
	Require map[string][]string `json:"require,omitempty"`
	// By how much the issuer's clock may differ, up to 5m. Default: 1m. DANGER: less than
	// the site allows makes a visitor of whoever sends a token that has just expired.
	Skew caddy.Duration `json:"skew,omitempty"`

	// The claims under which these stand. Names are joined by dots where one stands inside
	// of another; a dot in a name is written `\.`. Default of subject: `sub`. The subject
	// must never pass from one account to another, and the phone, which protects a first
	// enrolment, must be one that a stolen session cannot change.
	Subject string `json:"subject,omitempty"`
	Login   string `json:"login,omitempty"`
	Email   string `json:"email,omitempty"`
	Phone   string `json:"phone,omitempty"`
	// Visitors have tokens without a subject, or with one that is null, empty or 0.
	AnonymousMissing bool `json:"anonymous_missing,omitempty"`

	// What a step-up is bound to: `credential`, which is the default; `subject`, as in
	// identity upstream; or `claim`, for tokens that are renewed all the time.
	Bind string `json:"bind,omitempty"`
	// With bind `claim`, its name: an id of the session that all its tokens share and no
	// other session has, such as `sid`.
	BindClaim string `json:"bind_claim,omitempty"`

	// How long asking for the keys may take. Default: 3s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// Allows issuer, audience or both to be left out, for the reason that is given here.
	// DANGER: every token that the same keys sign then counts, whatever it was made for.
	// The reason is logged at start.
	UnsafeUnscoped string `json:"unsafe_unscoped,omitempty"`

	*identity.JWT `json:"-"`
}

const (
	bindClaim = "claim"

	maxKeyFile = 256 << 10 // bytes
)

// CaddyModule returns the Caddy module information.
func (*JWTIdentity) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: identityNamespace + ".jwt", New: func() caddy.Module { return new(JWTIdentity) }}
}

// Provision checks the configuration, reads its files, and tells of what is weaker in it.
// It asks nothing.
func (j *JWTIdentity) Provision(ctx caddy.Context) error {
	config, err := j.config()
	if err != nil {
		return err
	}
	files, secret := slices.Clone(j.KeyFiles), j.SecretFile
	config.Audience = slices.Clone(config.Audience)
	texts := []*string{&config.JWKS, &config.Issuer, &secret}
	for _, list := range [][]string{config.Audience, files} {
		for i := range list {
			texts = append(texts, &list[i])
		}
	}
	known := caddy.NewReplacer()
	for _, text := range texts {
		if *text, err = known.ReplaceOrErr(*text, true, true); err != nil {
			return fmt.Errorf("identity jwt: %w", err)
		}
	}
	for _, file := range files {
		text, err := readKeyFile(file)
		if err != nil {
			return fmt.Errorf("identity jwt: reading key: %w", err)
		}
		config.Keys = append(config.Keys, text)
	}
	if secret != "" {
		if config.Secret, err = readKeyFile(secret); err != nil {
			return fmt.Errorf("identity jwt: reading secret: %w", err)
		}
		config.Secret = bytes.TrimSuffix(bytes.TrimSuffix(config.Secret, []byte("\n")), []byte("\r"))
	}
	if j.JWT, err = identity.NewJWT(config); err != nil {
		return err
	}
	if config.BindSubject {
		ctx.Logger().Warn("step-ups are bound to the player and not to the session: they do not end when the session does")
	}
	if config.Unscoped {
		ctx.Logger().Warn("tokens count whose issuer or audience nobody looks at", zap.String("reason", j.UnsafeUnscoped))
	}
	return nil
}

// readKeyFile reads a file of keys, which is never large.
func readKeyFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(text) > maxKeyFile {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxKeyFile)
	}
	return text, err
}

// config returns what the configuration says, without what stands in files.
func (j *JWTIdentity) config() (identity.JWTConfig, error) {
	c := identity.JWTConfig{
		JWKS: j.JWKS, Algorithms: j.Algorithms, Issuer: j.Issuer, Audience: j.Audience, Unscoped: j.UnsafeUnscoped != "",
		Type: j.Type, Require: j.Require, Skew: time.Duration(j.Skew), Subject: j.Subject, Login: j.Login, Email: j.Email, Phone: j.Phone,
		Missing: j.AnonymousMissing, BindSubject: j.bindsSubject(), BindClaim: j.BindClaim, Timeout: time.Duration(j.Timeout),
	}
	for _, s := range j.Sessions {
		c.Sessions = append(c.Sessions, identity.Session{Kind: sessionKinds[s.Kind], Name: s.Name})
	}
	switch {
	case !slices.Contains([]string{"", bindCredential, bindSubject, bindClaim}, j.Bind):
		return c, fmt.Errorf("identity jwt: bind %q: want credential, subject or claim", j.Bind)
	case (j.Bind == bindClaim) != (j.BindClaim != ""):
		return c, errors.New("identity jwt: bind claim and the name of the claim, such as sid, belong together")
	}
	given := 0
	for _, is := range []bool{j.JWKS != "", len(j.KeyFiles) > 0, j.SecretFile != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return c, errors.New("identity jwt: want jwks and the URL of the issuer's keys, or key and files of public keys, or secret and a file: one of the three")
	}
	return c, nil
}

// bindsSubject reports whether step-ups outlive the session.
func (j *JWTIdentity) bindsSubject() bool { return j.Bind == bindSubject }

// seesLogins reports whether a login that goes through the gateway shows the session that
// it gives out: a token in an answer's body is not looked for.
func (j *JWTIdentity) seesLogins() bool {
	return slices.ContainsFunc(j.Sessions, func(s SessionPlace) bool { return sessionKinds[s.Kind] == identity.Cookie })
}

var (
	_ caddy.Provisioner     = (*JWTIdentity)(nil)
	_ caddyfile.Unmarshaler = (*JWTIdentity)(nil)
	_ identity.Source       = (*JWTIdentity)(nil)
)
