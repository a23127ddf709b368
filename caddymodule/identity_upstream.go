package caddymodule

import (
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/identity"
)

func init() { caddy.RegisterModule(new(UpstreamIdentity)) }

// UpstreamIdentity asks the site itself who is logged in: it sends the session
// credential of the request, and nothing else of it, to a URL of the site that
// answers with JSON about the player, or with a page that names them.
//
// Every kind of session that the site accepts has to be described. A session that is
// not described is invisible to the gateway. Where a request bears several, each is
// asked about: they have to be of one player, or the request is refused. A cookie
// that the site does not know is passed over beside a session that it knows; a token
// that it does not know is not.
type UpstreamIdentity struct {
	// The site's "who am I", such as `http://127.0.0.1:8080/api/me`. Required. It is asked
	// with a player's session, at any moment and often, and the player sees nothing of the
	// answer: asking must not change the session, and a page must not be one that shows
	// messages once ("flash" messages), which these questions would swallow.
	URL string `json:"url,omitempty"`
	// The Host header to send. Default: the host of the URL.
	Host string `json:"host,omitempty"`
	// Where the site looks for its session. At least one is required. Of several in
	// one request the first in this order is what a step-up is bound to.
	Sessions []SessionPlace `json:"sessions,omitempty"`
	// What a step-up is bound to: `credential`, which is the default; or `subject`, for
	// sites that give out a new credential all the time. DANGER: with `subject` a
	// step-up outlives the session: it ends by its age, not when the player logs out,
	// and a new login of the same player in the same browser finds it again.
	Bind string `json:"bind,omitempty"`
	// How the answer is written: `json` or `html`, a page in UTF-8. Default: json.
	Format identity.Format `json:"format,omitempty"`
	// How the site answers a session in which nobody is logged in. Default: with status
	// 401. Every other answer that names no subject makes the request unavailable (503).
	Anonymous *UpstreamAnonymous `json:"anonymous,omitempty"`
	// Where in the answer the site's own stable id of the account stands. In JSON, keys
	// joined by dots: `id`, `user.id`. In a page, a CSS selector, @ and an attribute:
	// `#account@data-id`, `meta[name=user-id]@content`; the selector names elements, ids,
	// classes and attributes, and has to match one element. Required. It must never pass
	// from one account to another, as a login name might. DANGER: it must not be anything
	// that a player can change.
	Subject string `json:"subject,omitempty"`
	// Where the login name stands. It labels the account in authenticator apps.
	Login string `json:"login,omitempty"`
	// Where the e-mail address stands.
	Email string `json:"email,omitempty"`
	// Where the phone number stands. It is what protects a first enrolment: a first
	// factor is bound after a code to this phone.
	Phone string `json:"phone,omitempty"`
	// How long one question may take. Default: 3s.
	Timeout caddy.Duration `json:"timeout,omitempty"`
	// How long an answer is used again. For so long a session that the site ended, or
	// gave to another player by a login that did not go through this gateway, still
	// counts as what it was for requests that change nothing; unsafe requests always ask
	// anew. Default: 30s.
	CacheFor caddy.Duration `json:"cache,omitempty"`
	// Use no answer again: each protected request asks the site, which adds the time of
	// that question to it. For sites that keep a session over a login, behind several
	// gateways or with a login that goes around them.
	NoCache bool `json:"no_cache,omitempty"`

	*identity.Cached `json:"-"`
}

// SessionPlace is a place where a site looks for its session.
type SessionPlace struct {
	// `cookie`, `bearer` (RFC 6750), or `header`, for a secret in a header of the site's
	// own.
	Kind string `json:"kind,omitempty"`
	// The exact name of the cookie or header. Not for bearer.
	Name string `json:"name,omitempty"`
}

// UpstreamAnonymous is how a site answers a session in which nobody is logged in.
// What is described here is believed: whoever gets the site to answer so for a stolen
// session is a visitor to the gateway.
type UpstreamAnonymous struct {
	// With one of these statuses, such as 401 and 403.
	Statuses []int `json:"statuses,omitempty"`
	// With a redirect: status 302, 303 or 307.
	Redirect bool `json:"redirect,omitempty"`
	// The paths that such a redirect leads to, such as `/login`. Default: any.
	LoginPages []string `json:"login_pages,omitempty"`
	// With status 200 and no subject, or one that is null, empty or 0.
	Missing bool `json:"missing,omitempty"`
}

const (
	bindCredential = "credential"
	bindSubject    = "subject"
)

// sessionKinds are the kinds of session by their words.
var sessionKinds = map[string]identity.Kind{"cookie": identity.Cookie, "bearer": identity.Bearer, "header": identity.Header}

// CaddyModule returns the Caddy module information.
func (*UpstreamIdentity) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: identityNamespace + ".upstream", New: func() caddy.Module { return new(UpstreamIdentity) }}
}

// Provision checks the configuration, and tells of what is weaker in it. It asks
// nothing.
func (u *UpstreamIdentity) Provision(ctx caddy.Context) error {
	if u.CacheFor < 0 {
		return errors.New("cache of the identity upstream is negative: write a duration such as 30s")
	}
	if u.CacheFor > 0 && u.NoCache {
		return errors.New("identity upstream: cache is set, and no_cache: write one of the two")
	}
	config, err := u.config()
	if err != nil {
		return err
	}
	if config.URL, err = caddy.NewReplacer().ReplaceOrErr(u.URL, true, true); err != nil {
		return fmt.Errorf("reading url of the identity upstream: %w", err)
	}
	upstream, err := identity.NewUpstream(config)
	if err != nil {
		return err
	}
	if config.BindSubject {
		ctx.Logger().Warn("step-ups are bound to the player and not to the session: they do not end when the session does")
	}
	u.Cached = identity.Cache(upstream, identity.CacheOptions{
		TTL: time.Duration(u.CacheFor), Off: u.NoCache,
		FlightTimeout: max(identity.DefaultFlightTimeout, config.Timeout),
	})
	return nil
}

func (u *UpstreamIdentity) config() (identity.UpstreamConfig, error) {
	c := identity.UpstreamConfig{
		URL: u.URL, Host: u.Host, BindSubject: u.bindsSubject(), Format: u.Format,
		Subject: u.Subject, Login: u.Login, Email: u.Email, Phone: u.Phone,
		Timeout: time.Duration(u.Timeout),
	}
	switch u.Bind {
	case "", bindCredential, bindSubject:
	default:
		return c, fmt.Errorf("identity upstream: bind %q: want credential or subject", u.Bind)
	}
	for _, s := range u.Sessions {
		c.Sessions = append(c.Sessions, identity.Session{Kind: sessionKinds[s.Kind], Name: s.Name})
	}
	if a := u.Anonymous; a != nil {
		c.Anonymous = identity.Anonymous{Statuses: a.Statuses, Redirect: a.Redirect, LoginPages: a.LoginPages, Missing: a.Missing}
	}
	return c, nil
}

// bindsSubject reports whether step-ups outlive the session.
func (u *UpstreamIdentity) bindsSubject() bool { return u.Bind == bindSubject }

var (
	_ caddy.Provisioner     = (*UpstreamIdentity)(nil)
	_ caddyfile.Unmarshaler = (*UpstreamIdentity)(nil)
	_ identity.Source       = (*UpstreamIdentity)(nil)
	_ identity.Forgetter    = (*UpstreamIdentity)(nil)
)
