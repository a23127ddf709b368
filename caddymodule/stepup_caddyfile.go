package caddymodule

import (
	"net/http"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/stepgate/stepgate/internal/gate"
	"github.com/stepgate/stepgate/policy"
)

const directive = "step_up"

func init() {
	httpcaddyfile.RegisterDirective(directive, parseStepUp)
	// Who is logged in is known by then, and nothing has been answered yet.
	httpcaddyfile.RegisterDirectiveOrder(directive, httpcaddyfile.After, "forward_auth")
}

// parseStepUp reads the directive. It takes no matcher, although other handlers
// do: Caddy's path matcher knows fewer spellings of a path than a site's router,
// and a request that it does not match would pass without being looked at, with
// the Step-Up headers that a client has made up still on it.
func parseStepUp(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // the directive
	if h.Option(appName) == nil {
		return nil, h.Errf("step_up needs the app stepgate: add a stepgate block to the global options")
	}
	if h.CountRemainingArgs() > 0 {
		return nil, h.Errf("step_up takes no matcher, because it has to see every request of the site: write paths and methods in protect")
	}
	handler := new(StepUp)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	if handler.LoginPage == "" && needsLoginPage(h) {
		return nil, h.WrapErr(errNoLoginPage)
	}
	return h.NewRoute(nil, handler), nil
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens:
//
//	step_up {
//		identity       <module> ...
//		settings       <path>
//		login_page     <path>
//		login          <path> ...
//		logout         <path> ...
//		public_url     <url>
//		prefix         <path>
//		trusted_origin <origin> ...
//		max_body       <size>
//		profile        <name> ...
//		mode           enforce|report
//		protect <name> {
//			...
//		}
//		new_device {
//			...
//		}
//	}
//
// What stands in a protect block is at [Rule.parse], in new_device at
// [StepUp.parseNewDevice].
func (h *StepUp) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	err := parseBlock(d, directive, []option{
		{name: "identity", parse: h.parseIdentity},
		sitePath("settings", "/account/security", &h.Settings),
		sitePath("login_page", "/login", &h.LoginPage),
		visitPaths("login", "/api/login", &h.Logins),
		visitPaths("logout", "/logout", &h.Logouts),
		{name: "public_url", parse: h.parsePublicURL},
		sitePath("prefix", gate.DefaultPrefix, &h.Prefix),
		{name: "trusted_origin", parse: h.parseOrigins},
		{name: "max_body", parse: h.parseMaxBody},
		{name: "profile", parse: h.parseProfiles},
		{name: "mode", parse: h.Mode.parse},
		{name: "protect", many: true, parse: h.parseProtect},
		{name: "new_device", parse: h.parseNewDevice},
	})
	if err != nil {
		return err
	}
	if h.IdentityRaw == nil {
		return d.Errf("step_up needs an identity source: write one, such as identity upstream http://127.0.0.1:8080/api/me")
	}
	if err := h.checkTrust(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// sitePath is an option whose argument is a path of the site.
func sitePath(name, example string, into *string) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		path, err := argument(d, "a path such as "+example)
		if err != nil {
			return err
		}
		if path[0] != '/' || len(path) < 2 || strings.HasPrefix(path, "//") || strings.HasSuffix(path, "/") || strings.ContainsAny(path, "*?#{}\\% ") {
			return d.Errf("%s %q: write a plain path of the site, such as %s", name, path, example)
		}
		*into = path
		return nil
	}}
}

func (h *StepUp) parseIdentity(d *caddyfile.Dispenser) error {
	if _, err := argument(d, "the name of an identity source, such as upstream"); err != nil {
		return err
	}
	var err error
	h.IdentityRaw, err = guest(d, identityNamespace, "identity source")
	return err
}

func (h *StepUp) parsePublicURL(d *caddyfile.Dispenser) error {
	var err error
	if h.PublicURL, err = argument(d, "scheme and host, such as https://casino.example"); err != nil {
		return err
	}
	if err := gate.CheckPublicURL(h.PublicURL); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (h *StepUp) parseOrigins(d *caddyfile.Dispenser) error {
	var err error
	if h.TrustedOrigins, err = arguments(d, "one or more origins, such as https://www.example.com"); err != nil {
		return err
	}
	for _, origin := range h.TrustedOrigins {
		if http.NewCrossOriginProtection().AddTrustedOrigin(origin) != nil {
			return d.Errf("trusted_origin %q: write scheme and host and nothing else, such as https://www.example.com", origin)
		}
	}
	return nil
}

func (h *StepUp) parseMaxBody(d *caddyfile.Dispenser) error {
	value, err := argument(d, "a size such as 256KiB")
	if err != nil {
		return err
	}
	size, err := humanize.ParseBytes(value)
	if err != nil || size == 0 || size > gate.DefaultMaxBody {
		return d.Errf("max_body %q: write a size of up to 1MiB, such as 256KiB", value)
	}
	h.MaxBody = int64(size)
	return nil
}

func (h *StepUp) parseProfiles(d *caddyfile.Dispenser) error {
	var known []string
	for _, p := range policy.Profiles() {
		known = append(known, p.Name)
	}
	var err error
	if h.Profiles, err = arguments(d, "one or more frameworks, such as laravel"); err != nil {
		return err
	}
	for _, name := range h.Profiles {
		if !slices.Contains(known, name) {
			return unknown(d, name, "profile", known)
		}
	}
	return nil
}

func (m *Mode) parse(d *caddyfile.Dispenser) error {
	value, err := argument(d, "enforce or report")
	if err != nil {
		return err
	}
	if *m = Mode(value); m.check() != nil {
		return unknown(d, value, "mode", []string{string(ModeEnforce), string(ModeReport)})
	}
	return nil
}

func (h *StepUp) parseProtect(d *caddyfile.Dispenser) error {
	var rule Rule
	if err := rule.parse(d); err != nil {
		return err
	}
	if slices.ContainsFunc(h.Rules, func(other Rule) bool { return other.Name == rule.Name }) {
		return d.Errf("protect %s stands twice in step_up: write another name, or add the paths to the first", rule.Name)
	}
	h.Rules = append(h.Rules, rule)
	return nil
}

var _ caddyfile.Unmarshaler = (*StepUp)(nil)
