package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the source from Caddyfile tokens:
//
//	identity placeholder <placeholder> {
//		credential    header <name> | cookie <name>
//		login         <placeholder>
//		email         <placeholder>
//		phone         <placeholder>
//		unsafe_header <reason>
//	}
func (p *PlaceholderIdentity) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	const want = "a placeholder such as {http.auth.user.id}"
	var err error
	if p.Subject, err = argument(d, want); err != nil {
		return err
	}
	err = parseBlock(d, "identity placeholder", []option{
		{name: "credential", parse: p.parseCredential},
		text("login", want, &p.Login),
		text("email", want, &p.Email),
		text("phone", want, &p.Phone),
		text("unsafe_header", `the reason why no client can set the header, such as "forward_auth deletes and sets it"`, &p.UnsafeHeader),
	})
	if err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (p *PlaceholderIdentity) parseCredential(d *caddyfile.Dispenser) error {
	kind, err := argument(d, "header or cookie, and its name")
	if err != nil {
		return err
	}
	switch kind {
	case "header":
		p.Header, err = argument(d, "the name of the header that carries the session, such as Authorization")
	case "cookie":
		p.Cookie, err = argument(d, "the name of the cookie that carries the session")
	default:
		return unknown(d, kind, "place of a session credential", []string{"header", "cookie"})
	}
	return err
}
