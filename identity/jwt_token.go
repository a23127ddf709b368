package identity

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// token is what a token's header says, and what it has signed. Nothing of it is verified.
type token struct {
	keyID     string
	algorithm jose.SignatureAlgorithm
	kind      string // "typ"
	signed    *jose.JSONWebSignature
}

// refusedHeaders change what a token means or what is signed, and have to be understood
// by whoever takes it.
var refusedHeaders = []string{"crit", "b64", "zip", "enc", "cty"}

// parseToken reads a signed token in compact form. It is not ok for everything else: an
// encrypted one, one in JSON, one under an algorithm that is not allowed.
func parseToken(text string, allowed []jose.SignatureAlgorithm) (token, bool) {
	if len(text) > maxToken {
		return token{}, false
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return token{}, false
	}
	// Two spellings of one token would be two credentials, and decoders differ in what
	// else they take.
	for _, part := range parts {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(raw) == 0 || base64.RawURLEncoding.EncodedLen(len(raw)) != len(part) {
			return token{}, false
		}
	}
	// This checks the algorithm, and refuses a name that stands twice.
	signed, err := jose.ParseSignedCompact(text, allowed)
	if err != nil || len(signed.Signatures) != 1 {
		return token{}, false
	}
	head, err := base64.RawURLEncoding.DecodeString(parts[0])
	var header map[string]json.RawMessage
	if err != nil || json.Unmarshal(head, &header) != nil {
		return token{}, false
	}
	for _, name := range refusedHeaders {
		if _, there := header[name]; there {
			return token{}, false
		}
	}
	t := token{keyID: signed.Signatures[0].Header.KeyID, algorithm: jose.SignatureAlgorithm(signed.Signatures[0].Header.Algorithm), signed: signed}
	if kind, there := header["typ"]; there && json.Unmarshal(kind, &t.kind) != nil {
		return token{}, false
	}
	return t, true
}

// verify returns what a token says, if one of the keys has signed it.
func (t token) verify(keys []any) ([]byte, bool) {
	for _, key := range keys {
		if payload, err := t.signed.Verify(key); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// expected is what a token has to say, and where it says what is wanted.
type expected struct {
	issuer   string
	audience []string
	kinds    []string
	required []requirement
	fields   fields
	missing  bool

	bindSubject bool
	bind        path
	bindName    string
}

// requirement is a claim and the texts of which it has to be one.
type requirement struct {
	name   string
	path   path
	values []string
}

func newExpected(c JWTConfig) (expected, error) {
	if c.Subject == "" {
		c.Subject = "sub"
	}
	cl := expected{
		issuer: c.Issuer, audience: slices.Clone(c.Audience), kinds: []string{"", "jwt", "at+jwt"}, missing: c.Missing,
		bindSubject: c.BindSubject, bindName: c.BindClaim,
	}
	switch {
	case c.Issuer == "" && !c.Unscoped:
		return cl, errors.New("want the issuer, as its tokens name it in iss, such as https://login.casino.example")
	case len(c.Audience) == 0 && !c.Unscoped:
		return cl, errors.New("want the audience, as tokens for this site name it in aud")
	case c.Issuer != "" && len(c.Audience) > 0 && c.Unscoped:
		return cl, errors.New("unscoped is set, but issuer and audience are named: remove it")
	case slices.Contains(c.Audience, ""):
		return cl, errors.New("an audience is empty: want the site's own name, as tokens name it in aud")
	case c.BindSubject && c.BindClaim != "":
		return cl, errors.New("step-ups are bound to the subject or to a claim: want one of the two")
	}
	if c.Type != "" {
		cl.kinds = []string{plainKind(c.Type)}
	}
	var err error
	for _, p := range []struct {
		of, text string
		to       *path
	}{
		{"the subject", c.Subject, &cl.fields.subject}, {"the login", c.Login, &cl.fields.login}, {"the email", c.Email, &cl.fields.email},
		{"the phone", c.Phone, &cl.fields.phone}, {"what step-ups are bound to", c.BindClaim, &cl.bind},
	} {
		if p.text == "" {
			continue
		}
		if *p.to, err = claimPath(p.text); err != nil {
			return cl, fmt.Errorf("place of %s %w", p.of, err)
		}
	}
	if c.BindClaim != "" && slices.Equal(cl.bind, cl.fields.subject) {
		return cl, errors.New("step-ups are bound to the claim of the subject, which all sessions of a player share: want the subject itself, or a claim of the session, such as sid")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Require)) {
		r := requirement{name: name, values: c.Require[name]}
		if r.path, err = claimPath(name); err != nil {
			return cl, fmt.Errorf("claim that is required %w", err)
		}
		if len(r.values) == 0 || slices.Contains(r.values, "") {
			return cl, fmt.Errorf("claim %s is required to be one of nothing, or empty: want one or more texts", name)
		}
		cl.required = append(cl.required, r)
	}
	return cl, nil
}

// plainKind returns a media type as it is compared (RFC 7515 section 4.1.9).
func plainKind(s string) string {
	return strings.TrimPrefix(strings.ToLower(s), "application/")
}

// claimPath reads names joined by dots, in which a dot that is part of a name is written
// \. as in https://casino\.example/phone.
func claimPath(text string) (path, error) {
	var p path
	var name strings.Builder
	for i := 0; i <= len(text); i++ {
		switch {
		case i == len(text) || text[i] == '.':
			p = append(p, name.String())
			name.Reset()
		case text[i] == '\\' && i+1 < len(text) && (text[i+1] == '.' || text[i+1] == '\\'):
			i++
			name.WriteByte(text[i])
		default:
			name.WriteByte(text[i])
		}
	}
	if slices.Contains(p, "") || len(p) > maxPathLength {
		return nil, fmt.Errorf(`is %q: want up to %d names joined by dots, where \. stands for a dot that is part of a name`, text, maxPathLength)
	}
	return p, nil
}

// read returns whose a token is that the issuer has signed. It returns ErrAnonymous for
// one that has expired, or that is a visitor's.
func (c *expected) read(t token, payload []byte, now time.Time, skew time.Duration) (Identity, error) {
	issuer, audience := &field{name: "iss", path: path{"iss"}}, &field{name: "aud", path: path{"aud"}, as: asList}
	expires, begins := &field{name: "exp", path: path{"exp"}, as: asInstant}, &field{name: "nbf", path: path{"nbf"}, as: asInstant}
	acr, amr := &field{name: "acr", path: path{"acr"}, lenient: true}, &field{name: "amr", path: path{"amr"}, as: asList, lenient: true}
	since := &field{name: "auth_time", path: path{"auth_time"}, as: asInstant, lenient: true}
	subject, login := &field{name: "subject", path: c.fields.subject}, &field{name: "login", path: c.fields.login}
	email, phone := &field{name: "email", path: c.fields.email}, &field{name: "phone", path: c.fields.phone}
	bound := &field{name: "what step-ups are bound to", path: c.bind}
	wanted := []*field{issuer, audience, expires, begins, acr, amr, since, subject, login, email, phone, bound}
	required := make([]*field, len(c.required))
	for i, r := range c.required {
		required[i] = &field{name: r.name, path: r.path}
	}
	if err := readJSON(payload, append(wanted, required...)...); err != nil {
		return Identity{}, fmt.Errorf("it %w", err)
	}
	switch {
	case expires.instant.IsZero():
		return Identity{}, errors.New("it has no exp, so that it would never end")
	case !now.Before(expires.instant.Add(skew)):
		return Identity{}, ErrAnonymous
	case !begins.instant.IsZero() && now.Add(skew).Before(begins.instant):
		return Identity{}, errors.New("its nbf lies ahead of our clock")
	case c.issuer != "" && issuer.text != c.issuer:
		return Identity{}, errors.New("its iss is not the issuer that is configured")
	case len(c.audience) > 0 && !slices.ContainsFunc(audience.list, func(a string) bool { return slices.Contains(c.audience, a) }):
		return Identity{}, errors.New("its aud names no audience that is configured")
	case !slices.Contains(c.kinds, plainKind(t.kind)):
		return Identity{}, errors.New("its typ is not the one of a session")
	}
	for i, r := range c.required {
		if !slices.Contains(r.values, required[i].text) {
			return Identity{}, fmt.Errorf("its %s is not what is required", r.name)
		}
	}
	id, err := named(Identity{Subject: subject.text, Login: login.text, Email: email.text, Phone: phone.text})
	switch {
	case err != nil && c.missing:
		return Identity{}, ErrAnonymous
	case err != nil:
		return Identity{}, errors.New("it names no subject; if visitors have such tokens, describe them with: anonymous missing")
	}
	switch {
	case c.bindSubject:
		id.Binding = BindSubject(id.Subject)
	case c.bindName != "" && bound.text == "":
		return Identity{}, fmt.Errorf("it has no %s, which step-ups are bound to", c.bindName)
	case c.bindName != "":
		id.Binding = BindClaim(c.bindName, bound.text)
	}
	// Without a time, or with one that has not come, it says nothing (requirement R33).
	if !since.instant.IsZero() && !now.Add(skew).Before(since.instant) {
		id.Authentication = &Authentication{ACR: acr.text, AMR: amr.list, At: since.instant}
	}
	return id, nil
}
