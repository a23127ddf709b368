package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"unicode"

	"go.uber.org/zap"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/identity"
)

func init() { caddy.RegisterModule(new(PlaceholderIdentity)) }

// PlaceholderIdentity takes the identity from placeholders that an earlier handler
// has set: `basic_auth`, `forward_auth`, a plugin that verifies tokens. That
// handler must run before `step_up` on every request, and what it sets must be the
// result of authentication.
//
// These are taken:
//
//	{http.auth.user.*}             set by Caddy's authentication handlers
//	{http.reverse_proxy.header.*}  the answer of forward_auth, also {rp.header.*}
//	{http.vars.*}                  set by the configuration, also {vars.*}; DANGER: not
//	                               from a header, cookie or query of the request
//	{http.request.tls.client.*}    a client certificate; with client_auth mode
//	                               require_and_verify only
//
// Everything else is what the client itself has sent, or the same for all, and is
// refused; request headers can be had with UnsafeHeader.
type PlaceholderIdentity struct {
	// The account's stable id. Required. A request for which it is empty or unknown
	// counts as one of nobody who is logged in.
	Subject string `json:"subject,omitempty"`
	// The login name, e-mail address and phone number. A header of forward_auth's answer
	// is in Caddy's log at level DEBUG, unless the log has a filter that deletes it, such
	// as `headers>Remote-Phone delete`.
	Login string `json:"login,omitempty"`
	Email string `json:"email,omitempty"`
	Phone string `json:"phone,omitempty"`

	// The request header that carries the session. A step-up is bound to its value
	// and ends when it changes. Default: `Authorization`, unless Cookie is set.
	Header string `json:"header,omitempty"`
	// The cookie that carries the session.
	Cookie string `json:"cookie,omitempty"`

	// Allows {http.request.header.*}, for the reason that is given here, such as
	// "forward_auth deletes and sets it". DANGER: unless something deletes the
	// header from every request before it sets it, any client writes into it whose
	// money it wants. The reason is logged at start.
	UnsafeHeader string `json:"unsafe_header,omitempty"`

	// finder finds the session by the same rules as the upstream source.
	finder identity.Finder
}

const (
	requestHeaderPrefix = "http.request.header."
	maxIdentityLength   = 256 // bytes, as in package identity
)

// trustedPlaceholders begin the names of what a handler of ours has found out.
var trustedPlaceholders = []string{
	"http.auth.user.", "http.reverse_proxy.header.", "http.vars.", "http.request.tls.client.",
}

// CaddyModule returns the Caddy module information.
func (*PlaceholderIdentity) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: identityNamespace + ".placeholder", New: func() caddy.Module { return new(PlaceholderIdentity) }}
}

// Provision checks the configuration, and tells of what is unsafe in it.
func (p *PlaceholderIdentity) Provision(ctx caddy.Context) error {
	if err := p.check(); err != nil {
		return err
	}
	if p.UnsafeHeader != "" {
		ctx.Logger().Warn("identities are taken from request headers", zap.String("reason", p.UnsafeHeader))
	}
	session := identity.Session{Kind: identity.Bearer}
	if p.Cookie != "" {
		session = identity.Session{Kind: identity.Cookie, Name: p.Cookie}
	}
	var err error
	if p.finder, err = identity.NewFinder(session); err != nil {
		return fmt.Errorf("identity placeholder: %w", err)
	}
	return nil
}

// check reports what is wrong with the configuration.
func (p *PlaceholderIdentity) check() error {
	if p.Subject == "" {
		return errors.New("identity placeholder: want the placeholder of the account's id, such as {http.auth.user.id}")
	}
	unsafe := false
	for _, text := range []string{p.Subject, p.Login, p.Email, p.Phone} {
		if text == "" {
			continue
		}
		name, err := placeholderName(text)
		if err != nil {
			return err
		}
		if err := p.checkPlaceholder(name); err != nil {
			return err
		}
		unsafe = unsafe || strings.HasPrefix(name, requestHeaderPrefix)
	}
	switch {
	case p.UnsafeHeader != "" && !unsafe:
		return errors.New("identity placeholder: unsafe_header is set, but no request header is used: remove it")
	case p.Header != "" && p.Cookie != "":
		return errors.New("identity placeholder: the session is in a header or in a cookie: name one of the two")
	case p.Header != "" && !isHeaderName(p.Header):
		return fmt.Errorf("identity placeholder: %q is no name of a header", p.Header)
	case strings.EqualFold(p.Header, "Cookie"):
		return errors.New("identity placeholder: the header Cookie carries more than the session: write credential cookie and its name")
	}
	return nil
}

func (p *PlaceholderIdentity) checkPlaceholder(name string) error {
	if strings.HasPrefix(name, "http.auth.candidate.") {
		return fmt.Errorf("placeholder {%s} is what was claimed and not proved: write {http.auth.user.%s}",
			name, strings.TrimPrefix(name, "http.auth.candidate."))
	}
	if strings.HasPrefix(name, requestHeaderPrefix) {
		if p.UnsafeHeader != "" {
			return nil
		}
		return fmt.Errorf("placeholder {%s} is what the client sent: use what a handler has verified, such as {http.auth.user.id}, "+
			"or write unsafe_header and why no client can set this one", name)
	}
	for _, prefix := range trustedPlaceholders {
		if strings.HasPrefix(name, prefix) && len(name) > len(prefix) {
			return nil
		}
	}
	return fmt.Errorf("placeholder {%s} does not say who was authenticated: write one such as {http.auth.user.id}", name)
}

// placeholderName returns the name in a text that is one placeholder and nothing
// else. With something around it an empty placeholder would make one and the same
// subject of all visitors.
func placeholderName(text string) (string, error) {
	name, opened := strings.CutPrefix(text, "{")
	name, closed := strings.CutSuffix(name, "}")
	if !opened || !closed || name == "" || strings.ContainsAny(name, "{}") {
		return "", fmt.Errorf("%q is not one placeholder: write one such as {http.auth.user.id}, with nothing around it", text)
	}
	return name, nil
}

// isHeaderName reports whether s is a token (RFC 9110, section 5.1).
func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// Credential finds the session in a request.
func (p *PlaceholderIdentity) Credential(r *http.Request) (identity.Credential, error) {
	if p.Cookie != "" {
		return p.finder.Credential(r)
	}
	name := "Authorization"
	if p.Header != "" {
		name = textproto.CanonicalMIMEHeaderKey(p.Header)
	}
	if name == "Authorization" {
		// A bearer token is known as one: no browser attaches it by itself.
		if c, err := p.finder.Credential(r); !errors.Is(err, identity.ErrAnonymous) {
			return c, err
		}
	}
	switch values := r.Header[name]; {
	case len(values) > 1:
		return identity.Credential{}, identity.ErrAmbiguous
	case len(values) == 0 || strings.TrimSpace(values[0]) == "":
		return identity.Credential{}, identity.ErrAnonymous
	default:
		return identity.Credential{Kind: identity.Header, Name: name, Value: values[0]}, nil
	}
}

// seesLogins reports that a login says nothing to this source: it knows only the request
// at hand.
func (*PlaceholderIdentity) seesLogins() bool { return false }

// Identify reads the placeholders of the request.
func (p *PlaceholderIdentity) Identify(_ context.Context, r *http.Request, _ identity.Credential) (identity.Identity, error) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return identity.Identity{}, errors.New("reading identity: the request has no placeholders")
	}
	var id identity.Identity
	for _, field := range []struct {
		placeholder string
		into        *string
	}{{p.Subject, &id.Subject}, {p.Login, &id.Login}, {p.Email, &id.Email}, {p.Phone, &id.Phone}} {
		if field.placeholder == "" {
			continue
		}
		value, err := valueOf(repl, r, field.placeholder)
		if err != nil {
			return identity.Identity{}, err
		}
		*field.into = value
	}
	if strings.TrimSpace(id.Subject) == "" {
		return identity.Identity{}, identity.ErrAnonymous
	}
	return id, nil
}

// valueOf returns what a placeholder stands for in a request, empty if nothing.
func valueOf(repl *caddy.Replacer, r *http.Request, placeholder string) (string, error) {
	name, err := placeholderName(placeholder)
	if err != nil {
		return "", err
	}
	var value string
	if field, ok := strings.CutPrefix(name, requestHeaderPrefix); ok {
		// The placeholder joins two headers into a third subject.
		values := r.Header.Values(field)
		if len(values) > 1 {
			return "", identity.ErrAmbiguous
		}
		value = strings.Join(values, "")
	} else {
		value, _ = repl.GetString(name)
	}
	if len(value) > maxIdentityLength || strings.ContainsFunc(value, unicode.IsControl) {
		return "", fmt.Errorf("reading identity: {%s} is longer than %d bytes or has a control character", name, maxIdentityLength)
	}
	return value, nil
}

var (
	_ caddy.Provisioner     = (*PlaceholderIdentity)(nil)
	_ caddyfile.Unmarshaler = (*PlaceholderIdentity)(nil)
	_ identity.Source       = (*PlaceholderIdentity)(nil)
)
