package caddymodule

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/identity"
)

// UnmarshalCaddyfile sets up the source from Caddyfile tokens:
//
//	identity jwt {
//		cookie     <name>
//		bearer
//		header     <name>
//		jwks       <url>
//		key        <file> ...
//		secret     <file>
//		algorithms <name> ...
//		issuer     <text>
//		audience   <text> ...
//		type       <typ>
//		require    <claim> <text> ...
//		skew       <duration>
//		subject    <claim>
//		login      <claim>
//		email      <claim>
//		phone      <claim>
//		anonymous  missing
//		bind       credential | subject | claim <claim>
//		timeout    <duration>
//		unsafe_unscoped <reason>
//	}
//
// cookie, header and require may stand more than once. One of jwks, key and secret has to
// be there.
func (j *JWTIdentity) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	err := parseBlock(d, "identity jwt", []option{
		{name: "cookie", many: true, parse: parseSession(&j.Sessions, "the name of the cookie in which the site keeps its token")},
		{name: "bearer", parse: parseSession(&j.Sessions, "")},
		{name: "header", many: true, parse: parseSession(&j.Sessions, "the name of the header that carries the site's token")},
		text("jwks", "the URL of the issuer's keys, such as https://login.casino.example/.well-known/jwks.json", &j.JWKS),
		list("key", "one or more files of public keys, such as /etc/stepgate/issuer.pem", &j.KeyFiles),
		text("secret", "the file of the secret that issuer and site share, such as /run/secrets/jwt", &j.SecretFile),
		list("algorithms", "one or more algorithms, such as RS256", &j.Algorithms),
		text("issuer", "the issuer as its tokens name it in iss, such as https://login.casino.example", &j.Issuer),
		list("audience", "the site's own name, as tokens name it in aud", &j.Audience),
		text("type", "the typ of the site's tokens, such as at+jwt", &j.Type),
		{name: "require", many: true, parse: j.parseRequire},
		duration("skew", "1m", &j.Skew),
		text("subject", "the claim of the account's id, such as sub", &j.Subject),
		text("login", "the claim of the login name, such as preferred_username", &j.Login),
		text("email", "the claim of the e-mail address, such as email", &j.Email),
		text("phone", "the claim of the phone number, such as phone_number", &j.Phone),
		{name: "anonymous", parse: j.parseAnonymous},
		{name: "bind", parse: j.parseBind},
		duration("timeout", "3s", &j.Timeout),
		text("unsafe_unscoped", `the reason why no other token is signed with these keys, such as "the site alone has the secret"`, &j.UnsafeUnscoped),
	})
	if err != nil {
		return err
	}
	return j.try(d)
}

// try checks what is known before files are read.
func (j *JWTIdentity) try(d *caddyfile.Dispenser) error {
	config, err := j.config()
	if err != nil {
		return d.WrapErr(err)
	}
	switch {
	case j.SecretFile != "":
		config.Secret = make([]byte, 64) // long enough for each algorithm
	case len(j.KeyFiles) > 0 || strings.Contains(config.JWKS, "{"):
		config.JWKS = "https://issuer.invalid"
	}
	if _, err := identity.NewJWT(config); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (j *JWTIdentity) parseRequire(d *caddyfile.Dispenser) error {
	words, err := arguments(d, "a claim and the texts of which it has to be one, such as require token_type access")
	if err != nil {
		return err
	}
	claim, values := words[0], words[1:]
	switch {
	case len(values) == 0:
		return d.Errf("require %s needs the texts of which it has to be one, such as require token_type access", claim)
	case j.Require[claim] != nil:
		return d.Errf("require %s stands twice: write it once, with all texts of which one is enough", claim)
	case j.Require == nil:
		j.Require = map[string][]string{}
	}
	j.Require[claim] = values
	return nil
}

func (j *JWTIdentity) parseAnonymous(d *caddyfile.Dispenser) error {
	word, err := argument(d, "what visitors' tokens are like, which is missing")
	if err != nil {
		return err
	}
	if word != "missing" {
		return unknown(d, word, "kind of visitors' tokens", []string{"missing"})
	}
	j.AnonymousMissing = true
	return nil
}

func (j *JWTIdentity) parseBind(d *caddyfile.Dispenser) error {
	word, err := argument(d, "what a step-up is bound to: credential, subject, or claim and its name")
	if err != nil {
		return err
	}
	known := []string{bindCredential, bindSubject, bindClaim}
	if !slices.Contains(known, word) {
		return unknown(d, word, "thing that a step-up is bound to", known)
	}
	j.Bind = word
	if word == bindClaim {
		j.BindClaim, err = argument(d, "the name of a claim that all tokens of a session share, such as sid")
	}
	return err
}
