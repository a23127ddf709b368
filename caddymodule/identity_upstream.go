package caddymodule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/identity"
)

func init() { caddy.RegisterModule(new(UpstreamIdentity)) }

// UpstreamIdentity asks the site itself who is logged in: it sends the session
// credential of the request, and nothing else of it, to a URL of the site that
// answers with JSON about the player.
//
// Every kind of session that the site accepts has to be described, the cookie, the
// bearer token or both. A session that is not described is invisible to the
// gateway.
type UpstreamIdentity struct {
	// The site's "who am I", such as `http://127.0.0.1:8080/api/me`. Required.
	URL string `json:"url,omitempty"`
	// The Host header to send. Default: the host of the URL.
	Host string `json:"host,omitempty"`
	// The exact name of the site's session cookie.
	Cookie string `json:"cookie,omitempty"`
	// Whether the site takes bearer tokens (RFC 6750).
	Bearer bool `json:"bearer,omitempty"`
	// Where in the answer the site's own stable id of the account stands, as keys
	// joined by dots: `id`, `user.id`. Required. It must never pass from one account
	// to another, as a login name might.
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
	// How long an answer is used again. For so long a session that the site ended
	// still counts for requests that change nothing; unsafe requests always ask
	// anew. Default: 30s.
	CacheFor caddy.Duration `json:"cache,omitempty"`

	*identity.Cached `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (*UpstreamIdentity) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: identityNamespace + ".upstream", New: func() caddy.Module { return new(UpstreamIdentity) }}
}

// Provision checks the configuration. It asks nothing.
func (u *UpstreamIdentity) Provision(caddy.Context) error {
	if u.CacheFor < 0 {
		return errors.New("cache of the identity upstream is negative: write a duration such as 30s")
	}
	config := u.config()
	var err error
	if config.URL, err = caddy.NewReplacer().ReplaceOrErr(u.URL, true, true); err != nil {
		return fmt.Errorf("reading url of the identity upstream: %w", err)
	}
	upstream, err := identity.NewUpstream(config)
	if err != nil {
		return err
	}
	u.Cached = identity.Cache(upstream, identity.CacheOptions{
		TTL:           time.Duration(u.CacheFor),
		FlightTimeout: max(identity.DefaultFlightTimeout, config.Timeout),
	})
	return nil
}

func (u *UpstreamIdentity) config() identity.UpstreamConfig {
	return identity.UpstreamConfig{
		URL: u.URL, Host: u.Host, Cookie: u.Cookie, Bearer: u.Bearer,
		Subject: u.Subject, Login: u.Login, Email: u.Email, Phone: u.Phone,
		Timeout: time.Duration(u.Timeout),
	}
}

// UnmarshalCaddyfile sets up the source from Caddyfile tokens:
//
//	identity upstream <url> {
//		host    <name>
//		cookie  <name>
//		bearer
//		subject json:<path>
//		login   json:<path>
//		email   json:<path>
//		phone   json:<path>
//		timeout <duration>
//		cache   <duration>
//	}
func (u *UpstreamIdentity) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	var err error
	if u.URL, err = argument(d, "the URL at which the site says who is logged in, such as http://127.0.0.1:8080/api/me"); err != nil {
		return err
	}
	err = parseBlock(d, "identity upstream", []option{
		text("host", "the site's public name", &u.Host),
		text("cookie", "the name of the site's session cookie", &u.Cookie),
		flag("bearer", &u.Bearer),
		{name: "subject", parse: u.place(&u.Subject, "id")},
		{name: "login", parse: u.place(&u.Login, "username")},
		{name: "email", parse: u.place(&u.Email, "email")},
		{name: "phone", parse: u.place(&u.Phone, "phone")},
		duration("timeout", "3s", &u.Timeout),
		duration("cache", "30s", &u.CacheFor),
	})
	if err != nil {
		return err
	}
	config := u.config()
	if strings.Contains(config.URL, "{") {
		// A placeholder, which is known when the configuration is loaded.
		config.URL = "http://site.invalid"
	}
	if _, err := identity.NewUpstream(config); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// place reads where in the site's answer something stands.
func (u *UpstreamIdentity) place(into *string, example string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name := d.Val()
		value, err := argument(d, "where it stands in the site's answer, such as json:"+example)
		if err != nil {
			return err
		}
		path, ok := strings.CutPrefix(value, "json:")
		if !ok || path == "" {
			return d.Errf("%s %q: write json: and the keys that lead to it, such as json:%s", name, value, example)
		}
		*into = path
		return nil
	}
}

var (
	_ caddy.Provisioner     = (*UpstreamIdentity)(nil)
	_ caddyfile.Unmarshaler = (*UpstreamIdentity)(nil)
	_ identity.Source       = (*UpstreamIdentity)(nil)
	_ identity.Forgetter    = (*UpstreamIdentity)(nil)
)
