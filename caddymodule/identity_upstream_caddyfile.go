package caddymodule

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/stepgate/stepgate/identity"
)

// UnmarshalCaddyfile sets up the source from Caddyfile tokens:
//
//	identity upstream <url> {
//		host      <name>
//		cookie    <name>
//		bearer
//		header    <name>
//		bind      credential | subject
//		anonymous status <code...> | redirect [<path...>] | missing
//		subject   json:<path> | html:<selector>@<attribute>
//		login     json:<path> | html:<selector>@<attribute>
//		email     json:<path> | html:<selector>@<attribute>
//		phone     json:<path> | html:<selector>@<attribute>
//		timeout   <duration>
//		cache     <duration> | off
//	}
//
// cookie, header and anonymous may stand more than once. A selector with blanks is
// quoted together with what stands before it: "html:header .account@data-id".
func (u *UpstreamIdentity) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	var err error
	if u.URL, err = argument(d, "the URL at which the site says who is logged in, such as http://127.0.0.1:8080/api/me"); err != nil {
		return err
	}
	err = parseBlock(d, "identity upstream", []option{
		text("host", "the site's public name", &u.Host),
		{name: "cookie", many: true, parse: parseSession(&u.Sessions, "the name of the site's session cookie")},
		{name: "bearer", parse: parseSession(&u.Sessions, "")},
		{name: "header", many: true, parse: parseSession(&u.Sessions, "the name of the header that carries the site's session")},
		{name: "bind", parse: u.parseBind},
		{name: "anonymous", many: true, parse: u.parseAnonymous},
		{name: "subject", parse: u.place(&u.Subject, "id")},
		{name: "login", parse: u.place(&u.Login, "username")},
		{name: "email", parse: u.place(&u.Email, "email")},
		{name: "phone", parse: u.place(&u.Phone, "phone")},
		duration("timeout", "3s", &u.Timeout),
		{name: "cache", parse: u.parseCache},
	})
	if err != nil {
		return err
	}
	if u.Format == identity.JSON {
		u.Format = "" // the default
	}
	config, err := u.config()
	if err != nil {
		return d.WrapErr(err)
	}
	if strings.Contains(config.URL, "{") {
		// A placeholder, which is known when the configuration is loaded.
		config.URL = "http://site.invalid"
	}
	if _, err := identity.NewUpstream(config); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// parseSession reads a place where the site looks for its session, with a name if that is
// wanted.
func parseSession(into *[]SessionPlace, want string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) (err error) {
		s := SessionPlace{Kind: d.Val()}
		if want != "" {
			s.Name, err = argument(d, want)
		}
		*into = append(*into, s)
		return err
	}
}

func (u *UpstreamIdentity) parseCache(d *caddyfile.Dispenser) error {
	const example = "30s, or off"
	value, err := argument(d, "a duration such as "+example)
	if u.NoCache = value == "off"; err != nil || u.NoCache {
		return err
	}
	u.CacheFor, err = parseDuration(d, "cache", value, example)
	return err
}

func (u *UpstreamIdentity) parseBind(d *caddyfile.Dispenser) error {
	word, err := argument(d, "what a step-up is bound to, credential or subject")
	if err != nil {
		return err
	}
	if word != bindCredential && word != bindSubject {
		return unknown(d, word, "thing that a step-up is bound to", []string{bindCredential, bindSubject})
	}
	u.Bind = word
	return nil
}

// parseAnonymous reads one way in which the site answers visitors.
func (u *UpstreamIdentity) parseAnonymous(d *caddyfile.Dispenser) error {
	how, err := argument(d, "how the site answers visitors: status and the codes, redirect, or missing")
	if err != nil {
		return err
	}
	if u.Anonymous == nil {
		u.Anonymous = new(UpstreamAnonymous)
	}
	switch a := u.Anonymous; how {
	case "status":
		codes, err := arguments(d, "the codes that visitors get, such as anonymous status 401 403")
		if err != nil {
			return err
		}
		for _, code := range codes {
			status, err := strconv.Atoi(code)
			if err != nil {
				return d.Errf("%q after anonymous status is no status code: write one such as 401", code)
			}
			a.Statuses = append(a.Statuses, status)
		}
	case "redirect":
		a.Redirect = true
		a.LoginPages = append(a.LoginPages, d.RemainingArgs()...)
	case "missing":
		a.Missing = true
	default:
		return unknown(d, how, "way to answer visitors", []string{"status", "redirect", "missing"})
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
		word, place, ok := strings.Cut(value, ":")
		format := identity.Format(word)
		if !ok || place == "" || format != identity.JSON && format != identity.HTML {
			return d.Errf("%s %q: write json: and the keys that lead to it, such as json:%s, or html:, a selector, @ and an attribute, "+
				"such as html:#account@data-%s", name, value, example, example)
		}
		if u.Format != "" && u.Format != format {
			return d.Errf("%s stands in %s and something else in %s: the site's answer is one of the two", name, format, u.Format)
		}
		u.Format = format
		*into = place
		return nil
	}
}
